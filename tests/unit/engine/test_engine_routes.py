"""Ways through a plan: linear, conditional, fallback, the document's own retry, the end."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import UNANSWERED, VISITS_EXHAUSTED
from orchestrator.engine.effects import Effect
from orchestrator.engine.state import Phase, Result, Status
from orchestrator.plan.model import Goto
from tests.fakes.bench import Bench
from tests.fakes.plans import again, end, goto, linear, one_of, plan, step, to


def test_a_linear_run_goes_through_its_steps_and_succeeds() -> None:
    bench = Bench(linear("a", "b", "c"))
    assert bench.status() is Status.PENDING
    for name, following in (("a", "b"), ("b", "c")):
        decision = bench.run(name)
        assert decision.entered == ((following, 1),)
        assert bench.state.visits[name].entered == ((following, 1),)
        assert bench.status() is Status.RUNNING
    decision = bench.run("c")
    assert decision.entered == ()
    assert bench.status() is Status.SUCCEEDED
    assert bench.state.ended == bench.now
    assert bench.state.outbox
    assert decision.due is not None, "the result is still to be stored"


def test_a_failure_without_a_way_on_fails_the_run_with_its_code() -> None:
    bench = Bench(linear("a", "b"))
    bench.fail("a", "card_declined")
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("card_declined", "a")
    assert bench.phase("b") is None


def test_a_failure_without_a_code_has_one_all_the_same() -> None:
    bench = Bench(linear("a"))
    bench.fail("a", "")
    assert bench.state.code == "failed"


def test_a_success_of_which_no_condition_holds_ends_the_branch_and_the_run_succeeds() -> None:
    bench = Bench(plan(step("a", to("b")), step("b")))
    bench.run("a", matched="")
    assert bench.status() is Status.SUCCEEDED
    assert bench.phase("b") is None


def test_the_first_route_that_holds_is_taken_and_no_other() -> None:
    bench = Bench(plan(step("a", [one_of("b", "c")]), step("b"), step("c")))
    assert bench.run("a", matched="1").entered == (("c", 1),)
    bench = Bench(plan(step("a", [one_of("b", "c")]), step("b"), step("c")))
    assert bench.run("a", matched="0,1").entered == (("b", 1),)


def test_every_choice_is_followed_on_its_own() -> None:
    bench = Bench(plan(step("a", to("b", "c")), step("b"), step("c")))
    assert bench.run("a", matched=";0").entered == (("c", 1),)
    bench = Bench(plan(step("a", to("b", "c")), step("b"), step("c")))
    assert bench.run("a").entered == (("b", 1), ("c", 1))


def test_a_failure_that_no_failure_route_matches_fails_the_run() -> None:
    bench = Bench(plan(step("a", (), to("b")), step("b")))
    bench.fail("a", "card_declined", matched="")
    assert bench.status() is Status.FAILED
    assert bench.state.code == "card_declined"


def test_a_fallback_is_a_way_on_and_the_run_succeeds() -> None:
    bench = Bench(plan(step("a", (), to("b")), step("b")))
    assert bench.fail("a").entered == (("b", 1),)
    assert bench.phase("a") is Phase.FAILED
    assert bench.state.visits["a"].entered == (("b", 1),)
    bench.run("b")
    assert bench.status() is Status.SUCCEEDED


def fallback_loop(cap: int) -> Bench:
    return Bench(
        plan(
            step("create", to("confirm")),
            step("confirm", (), [one_of(goto("create", cap))]),
        )
    )


def test_a_fallback_loop_enters_anew_up_to_its_cap_and_then_the_failure_stands() -> None:
    bench = fallback_loop(cap=3)
    for visit in (1, 2, 3):
        assert bench.visits("create") == visit
        bench.run("create")
        assert bench.state.visits["confirm"].number == visit
        bench.fail("confirm", "card_declined")
    assert bench.status() is Status.FAILED
    assert bench.visits("create") == 3
    assert (bench.state.code, bench.state.failed_step) == ("card_declined", "confirm")


def test_a_fallback_loop_that_succeeds_at_last_ends_the_run() -> None:
    bench = fallback_loop(cap=3)
    bench.run("create")
    bench.fail("confirm")
    bench.run("create")
    bench.run("confirm")
    assert bench.status() is Status.SUCCEEDED


def test_a_new_visit_begins_without_the_old_ones_attempts_and_outcome() -> None:
    bench = fallback_loop(cap=3)
    bench.run("create")
    fence = bench.state.visits["create"].fence
    bench.fail("confirm")
    visit = bench.state.visits["create"]
    assert (visit.number, visit.attempts, visit.first, visit.result) == (2, 0, 0, "")
    assert visit.fence == fence, "fences never shrink: the old holder's writes stay lost"


def test_a_loop_of_successes_that_is_out_of_visits_has_failed() -> None:
    bench = Bench(plan(step("a", to("b")), step("b", [one_of(goto("a", 2))])))
    for _ in range(2):
        bench.run("a")
        bench.run("b")
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == (VISITS_EXHAUSTED, "b")


def test_a_loop_of_successes_that_is_out_of_visits_takes_its_next_route() -> None:
    bench = Bench(plan(step("a", to("b")), step("b", [one_of(goto("a", 2), "c")]), step("c")))
    for _ in range(2):
        bench.run("a")
        bench.run("b")
    assert bench.ready == {"c"}


def test_a_step_that_succeeds_into_itself_is_entered_again() -> None:
    """Polling: ask until the condition for going on holds."""
    bench = Bench(plan(step("poll", [one_of("done", goto("poll", 5))]), step("done")))
    decision = bench.run("poll", matched="1")
    assert decision.entered == (("poll", 2),)
    assert bench.phase("poll") is Phase.READY
    bench.run("poll", matched="1")
    assert bench.visits("poll") == 3
    bench.run("poll", matched="0,1")
    assert bench.ready == {"done"}


def test_a_step_that_fails_into_itself_is_entered_again() -> None:
    bench = Bench(plan(step("a", (), [one_of(goto("a", 3))])))
    assert bench.fail("a").entered == (("a", 2),)
    assert bench.phase("a") is Phase.READY
    bench.fail("a")
    bench.fail("a", "third")
    assert bench.status() is Status.FAILED
    assert bench.state.code == "third"


def test_end_after_a_success_ends_the_run_and_cancels_what_has_not_begun() -> None:
    bench = Bench(plan(step("a", [one_of(end())]), step("b"), starts=("a", "b")))
    bench.run("a")
    assert bench.status() is Status.SUCCEEDED
    assert bench.phase("b") is Phase.CANCELLED
    assert bench.state.code == ""


def test_end_after_a_failure_has_failed_with_the_steps_code() -> None:
    bench = Bench(plan(step("a", (), [one_of(end())])))
    bench.fail("a", "card_declined")
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("card_declined", "a")


def test_end_waits_for_a_branch_in_flight() -> None:
    bench = Bench(
        plan(step("a", [one_of(end())]), step("b", to("c")), step("c"), starts=("a", "b"))
    )
    bench.claim("b")
    bench.begin("b")
    bench.run("a")
    assert bench.state.ending == "succeeded"
    assert bench.status() is Status.RUNNING
    bench.land("b")
    decision = bench.decide()
    assert decision is not None
    assert decision.entered == (), "routes are no longer followed"
    assert bench.status() is Status.SUCCEEDED
    assert bench.phase("b") is Phase.SUCCEEDED


def test_end_waits_for_a_branch_that_is_in_doubt() -> None:
    bench = Bench(plan(step("a", [one_of(end())]), step("b"), starts=("a", "b")))
    bench.claim("b")
    bench.begin("b")
    bench.run("a")
    bench.land("b", Result.UNKNOWN)
    bench.decide()
    assert bench.status() is Status.UNKNOWN
    assert bench.state.end == ""


def retrying(limit: int) -> Bench:
    return Bench(plan(step("a", (), [one_of(again(limit, 5_000), "sorry")]), step("sorry")))


def test_the_documents_retry_is_a_new_visit_after_its_time() -> None:
    bench = retrying(2)
    bench.fail("a")
    visit = bench.state.visits["a"]
    assert (visit.number, visit.phase, visit.until) == (2, Phase.WAITING, bench.now + 5_000)
    assert (visit.attempts, visit.first) == (0, 0), "a new visit has a new key"


def test_the_documents_retry_is_used_up_and_then_the_next_route_is_taken() -> None:
    bench = retrying(2)
    for _ in range(3):
        assert bench.visits("sorry") == 0
        bench.fail("a")
    assert bench.visits("a") == 3, "the first try and two retries"
    assert bench.phase("a") is Phase.FAILED
    assert bench.ready == {"sorry"}


def test_each_route_has_retries_of_its_own() -> None:
    bench = Bench(plan(step("a", (), [one_of(again(1), again(2))])))
    bench.fail("a", matched="0")
    bench.fail("a", matched="1")
    bench.fail("a", matched="1")
    assert bench.visits("a") == 4
    bench.fail("a", "last", matched="0,1")
    assert bench.status() is Status.FAILED
    assert bench.state.code == "last"


def test_a_retry_without_a_budget_is_never_taken() -> None:
    bench = retrying(0)
    bench.fail("a")
    assert bench.ready == {"sorry"}


def test_parallel_starts_are_all_entered_and_the_run_ends_with_the_last() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")))
    assert bench.ready == {"a", "b"}
    bench.run("b")
    assert bench.status() is Status.RUNNING
    bench.run("a")
    assert bench.status() is Status.SUCCEEDED


def test_two_ways_that_meet_without_a_join_while_it_runs_are_one_arrival() -> None:
    bench = Bench(plan(step("a", to("c")), step("b", to("c")), step("c"), starts=("a", "b")))
    bench.run("a")
    bench.claim("c")
    bench.run("b")
    assert bench.visits("c") == 1
    assert bench.phase("c") is Phase.HELD


def settled_together(result: Result, delay: int = -1) -> Bench:
    """Both outcomes landed before anybody decided; a's way leads into x."""
    bench = Bench(plan(step("a", to("x")), step("x", to("y")), step("y"), starts=("a", "x")))
    for name in ("a", "x"):
        bench.claim(name)
        bench.begin(name)
    bench.land("a")
    bench.land("x", result, delay=delay)
    bench.decide()
    return bench


def test_a_step_that_settled_together_with_a_way_into_it_goes_on() -> None:
    bench = settled_together(Result.SUCCEEDED)
    assert "y" in bench.ready
    visit = bench.state.visits["x"]
    assert visit.phase is Phase.READY or visit.result == "succeeded", "no success without outcome"


@pytest.mark.parametrize(
    ("result", "delay", "phase"),
    [
        (Result.TRANSIENT, 500, Phase.WAITING),
        (Result.UNKNOWN, 500, Phase.WAITING),
        (Result.UNKNOWN, -1, Phase.UNKNOWN),
        (Result.PENDING, -1, Phase.UNKNOWN),
        (Result.OPERATOR, 500, Phase.WAITING),
    ],
)
def test_a_way_into_a_step_that_is_not_done_never_gives_it_a_new_visit(
    result: Result, delay: int, phase: Phase
) -> None:
    """A new visit is a new key: what the old one may have charged would be charged twice."""
    bench = settled_together(result, delay)
    visit = bench.state.visits["x"]
    assert (visit.number, visit.phase, visit.result) == (1, phase, result)
    assert visit.doubt == (result in {Result.UNKNOWN, Result.PENDING})


@pytest.mark.parametrize("phase", [Phase.UNKNOWN, Phase.WAITING])
def test_a_way_into_a_step_in_doubt_waits_for_no_new_visit(phase: Phase) -> None:
    bench = Bench(plan(step("a", to("x")), step("x", to("y")), step("y"), starts=("a", "x")))
    bench.run("x", Result.UNKNOWN, delay=500 if phase is Phase.WAITING else -1)
    bench.run("a")
    visit = bench.state.visits["x"]
    assert (visit.number, visit.phase) == (1, phase)


def redo_loop(cap: int = 3) -> Bench:
    """create → confirm → done; a confirm that fails leads back to create."""
    back = one_of(Goto(step="create", cap=cap, redo=True))
    return Bench(
        plan(step("create", to("confirm")), step("confirm", to("done"), [back]), step("done"))
    )


def test_a_way_back_is_taken_once_for_a_refusal_and_not_again_for_the_very_same() -> None:
    bench = redo_loop()
    bench.run("create")
    assert bench.fail("confirm", "card_declined").entered == (("create", 2),)
    bench.run("create")
    assert bench.fail("confirm", "card_declined").entered == ()
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("card_declined", "confirm")


def test_a_way_back_is_taken_up_to_its_cap_while_each_refusal_is_another() -> None:
    bench = redo_loop(cap=3)
    for code in ("card_declined", "processing_error", "card_declined"):
        bench.run("create")
        bench.fail("confirm", code)
    assert bench.visits("create") == 3
    assert bench.status() is Status.FAILED


def test_a_success_whose_way_on_nobody_can_tell_ends_the_run_and_takes_no_fallback() -> None:
    bench = Bench(plan(step("a", to("b"), to("c")), step("b"), step("c")))
    bench.run("a", matched=UNANSWERED, code="condition-failed")
    assert bench.phase("a") is Phase.SUCCEEDED
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("condition-failed", "a")
    assert bench.phase("b") is bench.phase("c") is None


def test_a_failure_whose_way_on_nobody_can_tell_is_that_failure() -> None:
    bench = Bench(plan(step("a", (), to("c")), step("c")))
    bench.fail("a", "card_declined", matched=UNANSWERED)
    assert bench.status() is Status.FAILED
    assert bench.state.code == "card_declined"


def test_what_a_step_did_stands_whatever_became_of_it_and_is_known_over_its_visits() -> None:
    bench = redo_loop()
    bench.run("create")
    for number, code in enumerate(("card_declined", "processing_error"), 1):
        bench.claim("confirm")
        bench.begin("confirm")
        bench.land("confirm", Result.FINAL, code=code, effect=f"charged pi_{number}")
        bench.decide()
        bench.run("create")
    bench.claim("confirm")
    bench.begin("confirm")
    bench.land("confirm", Result.FINAL, code="card_declined", effect="charged pi_2")
    bench.decide()
    assert bench.status() is Status.FAILED
    assert bench.state.effects == (
        Effect(step="confirm", what="charged", id="pi_1"),
        Effect(step="confirm", what="charged", id="pi_2"),
    )

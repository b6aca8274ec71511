"""A run's deadline: nothing is begun after it, and what was done or may have been is kept."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import DEADLINE_PASSED, advance
from orchestrator.engine.recovery import PARKED_CHECK, next_check
from orchestrator.engine.state import Phase, Result, Status
from orchestrator.plan.model import Plan
from tests.fakes.bench import START, Bench
from tests.fakes.plans import linear, plan, step, to

WITHIN = 60_000
DEADLINE = START + WITHIN


def at_deadline(bench: Bench) -> Bench:
    bench.now = DEADLINE
    return bench


def ended(bench: Bench) -> tuple[Status, str, str]:
    return bench.status(), bench.state.code, bench.state.failed_step


def test_before_its_deadline_a_run_is_like_any_other() -> None:
    bench = Bench(linear("a", "b"), within=WITHIN)
    bench.now = DEADLINE - 1
    assert bench.decide() is None
    bench.now -= 10
    bench.run("a")
    assert bench.ready == {"b"}


@pytest.mark.parametrize("phase", [Phase.READY, Phase.WAITING])
@pytest.mark.parametrize("paused", [False, True])
def test_what_would_have_to_begin_is_cancelled_and_the_run_has_failed(
    phase: Phase, *, paused: bool
) -> None:
    bench = Bench(linear("a", "b"), within=WITHIN)
    if phase is Phase.WAITING:
        bench.run("a", Result.TRANSIENT, code="http-429", delay=500_000)
    if paused:
        bench.control("pause")
    assert bench.phase("a") is phase
    decision = at_deadline(bench).decide()
    assert decision is not None
    assert decision.entered == ()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "a")
    assert bench.phase("a") is Phase.CANCELLED


def test_a_call_under_way_lands_first_and_what_follows_is_never_entered() -> None:
    bench = Bench(linear("a", "b"), within=WITHIN)
    bench.claim("a")
    bench.begin("a")
    assert at_deadline(bench).decide() is None
    assert bench.status() is Status.RUNNING
    bench.now += 1_000
    bench.land("a")
    decision = bench.decide()
    assert decision is not None
    assert decision.entered == ()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "b")
    assert (bench.phase("a"), bench.phase("b")) == (Phase.SUCCEEDED, None)


def test_a_run_whose_last_call_lands_late_has_succeeded() -> None:
    bench = Bench(linear("a"), within=WITHIN)
    bench.claim("a")
    bench.begin("a")
    at_deadline(bench).land("a")
    bench.decide()
    assert ended(bench) == (Status.SUCCEEDED, "", "")


def test_a_refusal_that_ends_the_run_keeps_its_own_code() -> None:
    bench = Bench(linear("a", "b"), within=WITHIN)
    bench.claim("a")
    bench.begin("a")
    at_deadline(bench).land("a", Result.FINAL, code="card_declined")
    bench.decide()
    assert ended(bench) == (Status.FAILED, "card_declined", "a")


def test_no_fallback_is_entered_after_the_deadline() -> None:
    bench = Bench(plan(step("a", (), to("sorry")), step("sorry")), within=WITHIN)
    bench.claim("a")
    bench.begin("a")
    at_deadline(bench).land("a", Result.FINAL, code="card_declined")
    bench.decide()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "sorry")
    assert (bench.phase("a"), bench.phase("sorry")) == (Phase.FAILED, None)


@pytest.mark.parametrize("result", [Result.UNKNOWN, Result.PENDING])
def test_what_is_in_doubt_is_not_failed_by_the_deadline(result: Result) -> None:
    bench = Bench(linear("a"), within=WITHIN)
    bench.run("a", result)
    assert at_deadline(bench).decide() is None
    assert bench.status() is Status.UNKNOWN


def test_what_waits_to_be_sent_again_in_doubt_is_parked_for_a_look_up_instead() -> None:
    bench = Bench(linear("a"), within=WITHIN)
    bench.run("a", Result.UNKNOWN, delay=500_000)
    assert bench.phase("a") is Phase.WAITING
    at_deadline(bench).decide()
    assert bench.phase("a") is Phase.UNKNOWN
    assert bench.state.ending == "", "it may turn out that all was done"


@pytest.mark.parametrize(
    ("flow", "result", "status"),
    [
        (linear("a"), Result.SUCCEEDED, Status.SUCCEEDED),
        (linear("a", "b"), Result.SUCCEEDED, Status.FAILED),
        (linear("a"), Result.UNDONE, Status.FAILED),
    ],
)
def test_what_a_late_look_up_finds_decides_the_end(
    flow: Plan, result: Result, status: Status
) -> None:
    bench = Bench(flow, within=WITHIN)
    bench.run("a", Result.UNKNOWN)
    visit = bench.state.visits["a"]
    at_deadline(bench)
    fields = {"s": "a", "n": 1, "f": visit.fence + 1, "w": "w2", "u": bench.now + 30_000}
    bench.put("claimed", fields)
    bench.put("looked", {"s": "a", "n": 1, "u": bench.now + 85_000})
    bench.land("a", result, delay=0 if result is Result.UNDONE else -1)
    bench.decide()
    assert bench.status() is status
    assert bench.state.code == (DEADLINE_PASSED if status is Status.FAILED else "")


def test_branches_that_are_cut_off_together_are_no_single_steps_failure() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")), within=WITHIN)
    at_deadline(bench).decide()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "")


def test_one_branch_is_cut_off_while_the_other_lands() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")), within=WITHIN)
    bench.claim("b")
    bench.begin("b")
    at_deadline(bench).decide()
    assert bench.status() is Status.RUNNING
    assert (bench.state.ending, bench.phase("a")) == ("failed", Phase.CANCELLED)
    bench.land("b")
    bench.decide()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "a")
    assert bench.phase("b") is Phase.SUCCEEDED


def test_a_join_whose_branches_are_in_is_not_entered_late() -> None:
    joined = plan(
        step("a", to("c")), step("b", to("c")), step("c", awaits=("a", "b")), starts=("a", "b")
    )
    bench = Bench(joined, within=WITHIN)
    bench.run("a")
    bench.claim("b")
    bench.begin("b")
    at_deadline(bench).land("b")
    bench.decide()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "c")


def test_a_cancel_before_the_deadline_stays_a_cancel() -> None:
    bench = Bench(linear("a", "b"), within=WITHIN)
    bench.claim("a")
    bench.begin("a")
    bench.control("cancel")
    at_deadline(bench).land("a")
    bench.decide()
    assert ended(bench) == (Status.CANCELLED, "cancelled", "")


def test_a_retry_after_the_deadline_takes_it_away() -> None:
    bench = Bench(linear("a"), within=WITHIN)
    at_deadline(bench).decide()
    bench.put("control", {"k": "retry", "by": "ops", "s": "a", "n": 2})
    assert bench.state.deadline == 0
    assert bench.decide() is None
    bench.run("a")
    assert bench.status() is Status.SUCCEEDED


def test_a_retry_before_the_deadline_leaves_it() -> None:
    bench = Bench(linear("a"), within=WITHIN)
    bench.fail("a")
    bench.put("control", {"k": "retry", "by": "ops", "s": "a", "n": 2})
    assert bench.state.deadline == DEADLINE
    at_deadline(bench).decide()
    assert ended(bench) == (Status.FAILED, DEADLINE_PASSED, "a")


# When the timekeeper looks.


@pytest.mark.parametrize("kind", ["ready", "paused", "unknown", "waiting"])
def test_a_run_is_looked_at_when_its_deadline_passes(kind: str) -> None:
    bench = Bench(linear("a"), within=3_000)
    if kind == "waiting":
        bench.run("a", Result.TRANSIENT, delay=500_000)
    if kind == "unknown":
        bench.run("a", Result.UNKNOWN)
    if kind == "paused":
        bench.control("pause")
    assert next_check(bench.state, bench.now) == START + 3_000


def test_a_deadline_that_has_passed_wakes_nobody_again() -> None:
    bench = Bench(linear("a"), within=WITHIN)
    bench.run("a", Result.UNKNOWN)
    at_deadline(bench)
    assert next_check(bench.state, bench.now) == DEADLINE + PARKED_CHECK
    assert advance(bench.graph, bench.state, bench.now) is None

"""What each outcome of an attempt leads to."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Phase, Result, Status
from tests.fakes.bench import Bench
from tests.fakes.plans import linear, plan, step, to


def flow() -> Bench:
    return Bench(plan(step("a", to("b"), to("sorry")), step("b"), step("sorry")))


def test_transient_waits_for_its_delay_in_the_same_visit() -> None:
    bench = flow()
    bench.run("a", Result.TRANSIENT, code="http-429", delay=2_000)
    visit = bench.state.visits["a"]
    assert (visit.number, visit.phase, visit.until) == (1, Phase.WAITING, bench.now + 2_000)
    assert visit.attempts == 1
    assert bench.status() is Status.WAITING
    assert bench.decisions[-1].due == bench.now + 2_000


def test_a_delay_of_nothing_is_a_delay() -> None:
    bench = flow()
    bench.run("a", Result.TRANSIENT, delay=0)
    assert bench.phase("a") is Phase.WAITING


def test_transient_out_of_attempts_has_failed_for_nothing_was_done() -> None:
    bench = Bench(linear("a"))
    bench.run("a", Result.TRANSIENT, code="http-429")
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("http-429", "a")


def test_transient_out_of_attempts_after_an_unknown_one_is_unknown_and_takes_no_failure_edge() -> (
    None
):
    bench = flow()
    bench.run("a", Result.UNKNOWN, delay=500)
    assert bench.phase("a") is Phase.WAITING
    bench.run("a", Result.TRANSIENT)
    assert bench.phase("a") is Phase.UNKNOWN
    assert bench.phase("sorry") is None
    assert bench.status() is Status.UNKNOWN


def test_transient_out_of_attempts_after_a_worker_died_in_its_call_is_unknown() -> None:
    bench = flow()
    bench.claim("a")
    bench.begin("a")
    bench.run("a", Result.TRANSIENT)
    assert bench.phase("a") is Phase.UNKNOWN


def test_a_success_after_an_unknown_attempt_is_a_success() -> None:
    bench = flow()
    bench.run("a", Result.UNKNOWN, delay=500)
    bench.run("a")
    assert bench.ready == {"b"}


def test_a_refusal_after_an_unknown_attempt_is_the_providers_last_word() -> None:
    bench = flow()
    bench.run("a", Result.UNKNOWN, delay=500)
    bench.fail("a")
    assert bench.ready == {"sorry"}


@pytest.mark.parametrize("result", [Result.UNKNOWN, Result.PENDING])
def test_what_may_have_been_done_parks_the_run_and_takes_no_edge(result: Result) -> None:
    bench = flow()
    bench.run("a", result, code="timeout")
    assert bench.phase("a") is Phase.UNKNOWN
    assert bench.state.visits["a"].doubt == 1
    assert bench.state.visits["a"].code == "timeout"
    assert bench.ready == set()
    assert bench.status() is Status.UNKNOWN
    assert bench.state.end == ""


def test_unknown_with_a_delay_is_sent_again_and_stays_in_doubt() -> None:
    bench = flow()
    bench.run("a", Result.UNKNOWN, delay=700)
    visit = bench.state.visits["a"]
    assert (visit.phase, visit.until, visit.doubt) == (Phase.WAITING, bench.now + 700, 1)


def test_pending_is_never_sent_again_by_a_delay() -> None:
    bench = flow()
    bench.run("a", Result.PENDING, delay=700)
    assert bench.phase("a") is Phase.UNKNOWN


def test_operator_trouble_waits_and_fails_nobody() -> None:
    bench = flow()
    for _ in range(10):
        bench.run("a", Result.OPERATOR, code="http-401", delay=30_000)
        assert bench.phase("a") is Phase.WAITING
        assert bench.state.visits["a"].until == bench.now + 30_000
    assert bench.visits("a") == 1


def test_what_was_given_back_is_ready_with_no_message_out() -> None:
    bench = flow()
    bench.claim("a")
    bench.land("a", Result.WITHDRAWN)
    decision = bench.decide()
    visit = bench.state.visits["a"]
    assert (visit.phase, visit.since, visit.number) == (Phase.READY, 0, 1)
    assert decision is not None
    assert decision.due == bench.now, "a message must be sent: none is out"


def test_one_branch_unknown_stops_no_other_but_the_run_does_not_end() -> None:
    bench = Bench(
        plan(step("a", to("c")), step("b", to("d")), step("c"), step("d"), starts=("a", "b"))
    )
    bench.run("a", Result.UNKNOWN)
    assert bench.status() is Status.PENDING or bench.status() is Status.RUNNING
    bench.run("b")
    bench.run("d")
    assert bench.status() is Status.UNKNOWN
    assert bench.state.end == ""


def test_one_branch_unknown_and_one_failed_is_unknown() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")))
    bench.run("a", Result.UNKNOWN)
    bench.fail("b")
    assert bench.state.ending == "failed"
    assert bench.status() is Status.UNKNOWN
    assert bench.state.end == ""


def test_a_failing_branch_lets_the_call_of_another_land_first() -> None:
    bench = Bench(plan(step("a"), step("b", to("c")), step("c"), starts=("a", "b")))
    bench.claim("b")
    bench.begin("b")
    bench.fail("a", "card_declined")
    assert bench.status() is Status.RUNNING
    bench.land("b")
    bench.decide()
    assert bench.status() is Status.FAILED
    assert (bench.state.code, bench.state.failed_step) == ("card_declined", "a")
    assert bench.phase("b") is Phase.SUCCEEDED
    assert bench.phase("c") is None


def test_two_failures_keep_the_first_ones_code() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")))
    bench.claim("b")
    bench.begin("b")
    bench.fail("a", "first")
    bench.land("b", Result.FINAL, code="second")
    bench.decide()
    assert (bench.state.code, bench.state.failed_step) == ("first", "a")


def test_nothing_is_decided_where_nothing_settled() -> None:
    bench = flow()
    assert bench.decide() is None
    bench.claim("a")
    assert bench.decide() is None
    bench.begin("a")
    assert bench.decide() is None


def test_nothing_is_decided_after_the_end() -> None:
    bench = Bench(linear("a"))
    bench.run("a")
    assert bench.decide() is None

"""Cancel, pause and resume, at every phase that a visit can be in."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Phase, Result, Status
from tests.fakes.bench import Bench
from tests.fakes.plans import linear, plan, step, to


def at(phase: Phase) -> Bench:
    """A run whose step ``a`` is in this phase."""
    bench = Bench(linear("a", "b"))
    match phase:
        case Phase.HELD:
            bench.claim("a")
        case Phase.CALLING:
            bench.claim("a")
            bench.begin("a")
        case Phase.WAITING:
            bench.run("a", Result.TRANSIENT, delay=1_000)
        case Phase.SETTLED:
            bench.claim("a")
            bench.begin("a")
            bench.land("a")
        case Phase.UNKNOWN:
            bench.run("a", Result.UNKNOWN)
        case Phase.SUCCEEDED:
            bench.run("a")
        case _:
            pass
    assert bench.phase("a") is phase
    return bench


@pytest.mark.parametrize("phase", [Phase.READY, Phase.WAITING])
def test_cancel_ends_what_has_not_begun_at_once(phase: Phase) -> None:
    bench = at(phase)
    bench.control("cancel")
    assert bench.status() is Status.CANCELLED
    assert bench.phase("a") is Phase.CANCELLED
    assert bench.state.code == "cancelled"


def test_cancel_ends_a_run_whose_next_step_has_not_begun() -> None:
    bench = at(Phase.SUCCEEDED)
    bench.control("cancel")
    assert bench.status() is Status.CANCELLED
    assert (bench.phase("a"), bench.phase("b")) == (Phase.SUCCEEDED, Phase.CANCELLED)


def test_cancel_of_a_settled_success_keeps_it_and_goes_no_further() -> None:
    bench = at(Phase.SETTLED)
    bench.control("cancel")
    assert bench.status() is Status.CANCELLED
    assert bench.phase("a") is Phase.SUCCEEDED
    assert bench.phase("b") is None


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.CALLING])
def test_cancel_waits_for_what_is_in_flight(phase: Phase) -> None:
    bench = at(phase)
    assert bench.control("cancel") is None
    assert bench.status() is Status.RUNNING
    assert bench.state.ending == "cancelled"


@pytest.mark.parametrize(
    ("result", "phase", "status"),
    [
        (Result.SUCCEEDED, Phase.SUCCEEDED, Status.CANCELLED),
        (Result.FINAL, Phase.FAILED, Status.CANCELLED),
        (Result.TRANSIENT, Phase.CANCELLED, Status.CANCELLED),
        (Result.OPERATOR, Phase.CANCELLED, Status.CANCELLED),
        (Result.WITHDRAWN, Phase.CANCELLED, Status.CANCELLED),
        (Result.UNKNOWN, Phase.UNKNOWN, Status.UNKNOWN),
        (Result.PENDING, Phase.UNKNOWN, Status.UNKNOWN),
    ],
)
@pytest.mark.parametrize("delay", [-1, 500])
def test_what_lands_after_a_cancel_is_kept_and_never_sent_again(
    result: Result, phase: Phase, status: Status, delay: int
) -> None:
    bench = at(Phase.CALLING)
    bench.control("cancel")
    bench.land("a", result, delay=delay)
    decision = bench.decide()
    assert decision is not None
    assert decision.entered == ()
    assert bench.phase("a") is phase
    assert bench.status() is status


@pytest.mark.parametrize("result", [Result.TRANSIENT, Result.OPERATOR, Result.WITHDRAWN])
def test_a_cancel_does_not_forget_an_earlier_doubt(result: Result) -> None:
    bench = at(Phase.CALLING)
    bench.claim("a", "w2")
    assert bench.state.visits["a"].doubt == 1
    bench.control("cancel")
    bench.land("a", result, delay=500)
    bench.decide()
    assert bench.phase("a") is Phase.UNKNOWN
    assert bench.status() is Status.UNKNOWN


def test_a_cancel_of_a_wait_after_an_unknown_attempt_is_unknown() -> None:
    bench = Bench(linear("a"))
    bench.run("a", Result.UNKNOWN, delay=500)
    bench.control("cancel")
    assert bench.phase("a") is Phase.UNKNOWN
    assert bench.status() is Status.UNKNOWN


def test_a_cancel_of_an_unknown_run_waits_for_the_look_up() -> None:
    bench = at(Phase.UNKNOWN)
    assert bench.control("cancel") is None
    assert bench.status() is Status.UNKNOWN


def test_a_second_cancel_changes_nothing() -> None:
    bench = at(Phase.CALLING)
    bench.control("cancel")
    bench.control("cancel")
    assert (bench.state.ending, bench.state.code) == ("cancelled", "cancelled")


def test_a_cancel_does_not_take_back_a_failure_that_is_on_its_way() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")))
    bench.claim("b")
    bench.begin("b")
    bench.fail("a", "card_declined")
    bench.control("cancel")
    assert (bench.state.ending, bench.state.code) == ("failed", "card_declined")


@pytest.mark.parametrize(
    "phase", [Phase.READY, Phase.HELD, Phase.CALLING, Phase.WAITING, Phase.UNKNOWN]
)
def test_pause_decides_nothing_and_resume_brings_everything_back(phase: Phase) -> None:
    bench = at(phase)
    before = bench.state.visits["a"]
    bench.control("pause")
    assert bench.state.paused
    assert bench.phase("a") is phase
    in_flight = phase in {Phase.HELD, Phase.CALLING}
    # A doubt is for a person now; that the run is paused can wait.
    shown = {Phase.UNKNOWN: Status.UNKNOWN}.get(phase, Status.PAUSED)
    assert bench.status() is (Status.RUNNING if in_flight else shown)
    bench.control("resume")
    assert "paused" not in bench.state.encode()
    after = bench.state.visits["a"]
    assert after.phase is before.phase
    # A message that came meanwhile was dropped: none is out any more.
    assert after.since == (0 if phase is Phase.READY else before.since)


def test_what_lands_while_paused_is_decided_but_begins_nothing() -> None:
    bench = at(Phase.CALLING)
    bench.control("pause")
    bench.land("a")
    bench.decide()
    assert bench.phase("b") is Phase.READY
    assert bench.status() is Status.PAUSED
    bench.control("resume")
    assert bench.state.visits["b"].since == 0


def test_the_last_step_ends_a_paused_run() -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.begin("a")
    bench.control("pause")
    bench.land("a")
    bench.decide()
    assert bench.status() is Status.SUCCEEDED


def test_a_paused_run_can_be_cancelled() -> None:
    bench = Bench(plan(step("a", to("b")), step("b")))
    bench.control("pause")
    bench.control("cancel")
    assert bench.status() is Status.CANCELLED

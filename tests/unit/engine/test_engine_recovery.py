"""When a run is looked at again, and what is sent again: the timekeeper's tables."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from orchestrator.engine.recovery import (
    DUTY_GRACE,
    LEASE_CHECK,
    LOOK_CAP,
    PARKED_CHECK,
    RESEND_AFTER,
    RESEND_CAP,
    SETTLE_GRACE,
    Lane,
    abandoned,
    next_check,
    patience,
)
from orchestrator.engine.state import Phase, State, Visit

NOW = 1_700_000_000_000
ALIVE = frozenset({"w1"})
QUIET = Lane(claimed=0, empty=True)
BUSY = Lane(claimed=0, empty=False)


def run(*visits: Visit, paused: bool = False, ending: str = "") -> State:
    return State(
        plan="d", name="n", lane="l", accepted=NOW - 100, paused=paused, ending=ending,
        visits={f"s{number}": visit for number, visit in enumerate(visits)},
    )  # fmt: skip


def visit(
    phase: Phase, *, since: int = 0, until: int = 0, sends: int = 1, worker: str = "w1"
) -> Visit:
    return Visit(number=1, phase=phase, since=since, until=until, sends=sends, worker=worker)


@pytest.mark.parametrize(
    ("phase", "since", "until", "expected"),
    [
        (Phase.READY, 0, 0, NOW),
        (Phase.READY, NOW, 0, NOW + RESEND_AFTER),
        (Phase.READY, NOW - 1_000, 0, NOW - 1_000 + RESEND_AFTER),
        (Phase.READY, NOW - RESEND_AFTER, 0, NOW + RESEND_AFTER),
        (Phase.READY, NOW - 20_000, 0, NOW + 20_000),
        (Phase.READY, NOW - 900_000, 0, NOW + LOOK_CAP),
        (Phase.HELD, 0, NOW + 30_000, NOW + LEASE_CHECK),
        (Phase.CALLING, 0, NOW + 85_000, NOW + LEASE_CHECK),
        (Phase.CALLING, 0, NOW + 1_000, NOW + 1_000),
        (Phase.WAITING, 0, NOW + 7, NOW + 7),
        (Phase.SETTLED, 0, 0, NOW + SETTLE_GRACE),
        (Phase.UNKNOWN, 0, 0, NOW + PARKED_CHECK),
    ],
)
def test_each_phase_has_its_next_check(phase: Phase, since: int, until: int, expected: int) -> None:
    assert next_check(run(visit(phase, since=since, until=until)), NOW) == expected


def test_the_earliest_of_all_branches_counts() -> None:
    state = run(visit(Phase.UNKNOWN), visit(Phase.WAITING, until=NOW + 5), visit(Phase.SUCCEEDED))
    assert next_check(state, NOW) == NOW + 5


def test_a_finished_run_is_looked_at_until_its_duties_are_done() -> None:
    ended = replace(run(visit(Phase.SUCCEEDED)), end="succeeded", ended=NOW)
    assert next_check(ended, NOW) is None
    assert next_check(replace(ended, outbox="result"), NOW) == NOW + DUTY_GRACE


def test_a_run_of_which_nothing_is_known_is_looked_at_soon() -> None:
    assert next_check(run(visit(Phase.SUCCEEDED)), NOW) == NOW + SETTLE_GRACE


@pytest.mark.parametrize(
    ("phase", "since", "until", "worker", "lane", "expected"),
    [
        (Phase.READY, 0, 0, "w1", BUSY, True),
        (Phase.READY, NOW, 0, "w1", QUIET, False),
        (Phase.READY, NOW - RESEND_AFTER, 0, "w1", QUIET, True),
        (Phase.READY, NOW - RESEND_AFTER, 0, "w1", BUSY, False),
        (Phase.READY, NOW - RESEND_AFTER, 0, "w1", Lane(claimed=NOW - 1, empty=False), True),
        (Phase.READY, NOW - 4_000, 0, "w1", Lane(claimed=NOW - 4_001, empty=False), False),
        (Phase.HELD, 0, NOW + 1, "w1", QUIET, False),
        (Phase.HELD, 0, NOW, "w1", QUIET, True),
        (Phase.HELD, 0, NOW + 1, "gone", QUIET, True),
        (Phase.CALLING, 0, NOW + 1, "w1", QUIET, False),
        (Phase.CALLING, 0, NOW - 1, "w1", QUIET, True),
        (Phase.CALLING, 0, NOW + 1, "gone", QUIET, True),
        (Phase.WAITING, 0, NOW + 1, "w1", QUIET, False),
        (Phase.WAITING, 0, NOW, "w1", QUIET, True),
        (Phase.SETTLED, 0, 0, "gone", QUIET, False),
        (Phase.UNKNOWN, 0, 0, "gone", QUIET, False),
        (Phase.SUCCEEDED, 0, 0, "gone", QUIET, False),
        (Phase.CANCELLED, 0, 0, "gone", QUIET, False),
    ],
)  # fmt: skip
def test_what_nobody_drives_is_sent_again(
    *, phase: Phase, since: int, until: int, worker: str, lane: Lane, expected: bool
) -> None:
    state = run(visit(phase, since=since, until=until, worker=worker))
    found = abandoned(state, now=NOW, alive=ALIVE, lane=lane)
    assert bool(found) is expected
    assert all(step == "s0" and seen == state.visits["s0"] for step, seen in found)


def test_a_paused_run_is_left_alone() -> None:
    state = run(visit(Phase.WAITING, until=NOW), visit(Phase.READY), paused=True)
    assert abandoned(state, now=NOW, alive=ALIVE, lane=QUIET) == ()
    assert next_check(state, NOW) == NOW + PARKED_CHECK


def test_a_finished_run_is_left_alone() -> None:
    state = replace(run(visit(Phase.WAITING, until=NOW)), end="failed")
    assert abandoned(state, now=NOW, alive=ALIVE, lane=QUIET) == ()


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.CALLING])
def test_a_cancelled_run_ends_though_it_was_paused_when_its_worker_died(phase: Phase) -> None:
    """Cancel is the person's last word: somebody must take the dead lease over and land it."""
    state = run(visit(phase, until=NOW - 1, worker="gone"), paused=True, ending="cancelled")
    assert abandoned(state, now=NOW, alive=ALIVE, lane=QUIET)


def test_a_message_that_is_lost_after_many_that_were_claimed_is_looked_for_at_once() -> None:
    """One that was limited seven times is as dear as one that never was."""
    seen = visit(Phase.READY, since=NOW - RESEND_AFTER - 5_000, sends=7)
    assert abandoned(run(seen), now=NOW, alive=ALIVE, lane=QUIET) == ()
    claimed = replace(seen, taken=6)
    assert abandoned(run(claimed), now=NOW, alive=ALIVE, lane=QUIET)


def test_patience_doubles_with_each_send_up_to_a_cap() -> None:
    assert [patience(n) for n in (1, 2, 3)] == [4_000, 8_000, 16_000]
    assert patience(50) == RESEND_CAP


@pytest.mark.parametrize("phase", sorted(Phase))
@pytest.mark.parametrize("paused", [True, False])
def test_a_run_with_nothing_to_send_is_not_looked_at_again_at_once(
    paused: bool, phase: Phase
) -> None:
    """A check that is past already is due in every tick: a hundred of them stop all others."""
    since = (0, NOW - 1, NOW - 10_000, NOW - 90_000_000)
    until = (NOW - 90_000_000, NOW - 1, NOW, NOW + 1)
    for s, u, worker in product(since, until, ("w1", "gone")):
        state = run(visit(phase, since=s, until=u, worker=worker), paused=paused)
        found = abandoned(state, now=NOW, alive=ALIVE, lane=BUSY)
        due = next_check(state, NOW)
        assert found or due is None or due > NOW

"""A lane that is long: what only waits there is not sent again, however it came to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.engine.recovery import (
    LEASE_CHECK,
    LOOK_CAP,
    OVERTAKING,
    RESEND_AFTER,
    Lane,
    abandoned,
    next_check,
)
from orchestrator.engine.state import Phase, State, Status, Visit
from tests.fakes import plans
from tests.fakes.world import World

NOW = 1_700_000_000_000
HOUR = 3_600_000
ALIVE = frozenset({"w1"})


def state(visit: Visit) -> State:
    return State(plan="d", name="n", lane="l", accepted=NOW - HOUR, visits={"a": visit})


def visit(phase: Phase, *, since: int, until: int = 0, sends: int = 1, worker: str = "w1") -> Visit:
    return Visit(number=1, phase=phase, since=since, until=until, sends=sends, worker=worker)


def is_sent(found: Visit, lane: Lane) -> bool:
    return bool(abandoned(state(found), now=NOW, alive=ALIVE, lane=lane))


@pytest.mark.parametrize(("later", "lost"), [(OVERTAKING, False), (OVERTAKING + 1, True)])
def test_a_message_that_was_overtaken_by_a_little_is_not_lost(later: int, lost: bool) -> None:
    """Its sender was slower between the journal and the broker than the next one."""
    found = visit(Phase.READY, since=NOW - 60_000)
    assert is_sent(found, Lane(claimed=NOW - 60_000 + later, empty=False)) is lost


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.CALLING, Phase.UNKNOWN])
def test_what_was_sent_again_is_not_sent_once_more_while_its_message_waits(phase: Phase) -> None:
    found = visit(phase, since=NOW - 30_000, until=NOW - 31_000, sends=2, worker="gone")
    assert not is_sent(found, Lane(claimed=NOW - 30_001, empty=False))
    # It was claimed, or the lane has none left.
    assert is_sent(found, Lane(claimed=NOW - 30_000, empty=False))
    assert is_sent(found, Lane(claimed=NOW - 30_001, empty=True))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.HELD, LEASE_CHECK),
        (Phase.CALLING, LEASE_CHECK),
        (Phase.UNKNOWN, 30_000),
    ],
)
def test_what_waits_in_a_long_lane_is_looked_at_ever_more_seldom(
    phase: Phase, expected: int
) -> None:
    found = visit(phase, since=NOW - 30_000, until=NOW - 31_000, sends=2)
    assert next_check(state(found), NOW) == NOW + expected


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [(0, RESEND_AFTER), (1_000, RESEND_AFTER + 1_000), (HOUR, LOOK_CAP)],
)
def test_a_send_that_lies_ahead_is_looked_at_within_a_minute(ahead: int, expected: int) -> None:
    """Redis' clock went back since."""
    assert next_check(state(visit(Phase.READY, since=NOW + ahead)), NOW) == NOW + expected


@pytest.mark.parametrize(("ahead", "sent"), [(1_000, False), (RESEND_AFTER + 1, True)])
def test_a_send_that_lies_far_ahead_may_be_lost(ahead: int, sent: bool) -> None:
    found = visit(Phase.READY, since=NOW + ahead)
    assert is_sent(found, Lane(claimed=0, empty=True)) is sent
    assert not is_sent(found, Lane(claimed=0, empty=False))


# The whole.


@contextmanager
def backlog(runs: int) -> Iterator[World]:
    """So many messages wait, a second apart, behind one that is on its way."""
    found = World()
    try:
        for _ in range(runs):
            found.submit(plans.charge_and_text())
            found.pass_time(1_000)
        yield found
    finally:
        found.close()


def wait(found: World, seconds: int) -> None:
    """Nobody works; the timekeeper looks."""
    for _ in range(seconds):
        found.pass_time(1_000)
        found.tick()


def again(found: World) -> int:
    """Messages that the timekeeper sent."""
    return sum(e.kind == "sent" for run in found.runs for e in found.raw.history(run))


@pytest.mark.slow
def test_a_lane_that_nobody_works_at_is_not_sent_again() -> None:
    with backlog(20) as found:
        wait(found, 600)
        assert again(found) == 0


@pytest.mark.slow
@pytest.mark.parametrize("passes", [2, 5])
def test_what_a_killed_worker_held_is_sent_once_behind_a_backlog(passes: int) -> None:
    with backlog(20) as found:
        found.deliver(0, 1, "crash", passes)
        found.kill(1)
        found.broker.queue.pop()  # the error callback of the killed child: it finds nothing
        wait(found, 600)
        assert again(found) == 1
        found.heal()
        found.check()
        assert {found.state(run).status for run in found.runs} == {Status.SUCCEEDED}


@pytest.mark.slow
def test_a_lane_that_was_lost_is_sent_again_once_each() -> None:
    with backlog(20) as found:
        found.deliver()
        found.broker.queue.clear()
        for _ in range(120):
            found.pass_time(1_000)
            found.tick()
            # One worker, a message a second.
            if found.broker.queue:
                found.deliver()
        sends = [found.state(run).visits["charge"].sends for run in found.runs]
        assert set(sends[1:]) == {2}
        found.heal()
        found.check()


@pytest.mark.slow
def test_one_run_that_was_paused_and_resumed_does_not_make_the_rest_of_its_lane_look_lost() -> None:
    with backlog(20) as found:
        found.control("run-10", "pause")
        found.control("run-10", "resume")
        # It has two messages now, and the first of them comes to its turn.
        wait(found, 2)
        for _ in range(11):
            found.deliver()
        wait(found, 600)
        assert again(found) == 1

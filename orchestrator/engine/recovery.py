"""When a run must be looked at again, and what to send when nobody drives it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from orchestrator.engine.state import IN_FLIGHT, Phase, State, Visit

#: A message that is not claimed after this is looked for; doubles with each send. ms.
RESEND_AFTER: Final = 4_000
RESEND_CAP: Final = 300_000
#: A message that waits in a long lane is looked at at least so often. ms.
LOOK_CAP: Final = 60_000
#: Messages of a lane overtake one another by so much: the journal's mark and the broker's push are
#: two steps, of many senders. ms.
OVERTAKING: Final = 2_000
#: A lease is checked this often: a dead worker's run moves again about so much later. ms.
LEASE_CHECK: Final = 2_500
#: Duties (a result to store) that their doer left undone are taken over after this. ms.
DUTY_GRACE: Final = 3_000
#: Landed outcomes that their worker did not live to decide upon. ms.
SETTLE_GRACE: Final = 1_000
#: Runs that wait for a person. ms.
PARKED_CHECK: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What is known of a lane's queue, so that a mere backlog is not sent twice."""

    #: The newest send that was claimed: older messages still unclaimed are lost. ms.
    claimed: int
    empty: bool


def next_check(state: State, now: int) -> int | None:
    """When to look at the run next (ms, Redis' clock); None when it may leave the due-set."""
    if state.end:
        return now + DUTY_GRACE if state.outbox else None
    times = [_visit_check(visit, now, paused=state.paused) for visit in state.visits.values()]
    if not state.ending and state.deadline > now:
        times.append(state.deadline)
    return min((t for t in times if t is not None), default=now + SETTLE_GRACE)


def _visit_check(visit: Visit, now: int, *, paused: bool) -> int | None:
    match visit.phase:
        case Phase.READY | Phase.WAITING if paused:
            return now + PARKED_CHECK
        case Phase.READY:
            return _ready_check(visit, now)
        case Phase.HELD | Phase.CALLING:
            return min(_due_check(visit, now), now + LEASE_CHECK)
        case Phase.WAITING:
            return visit.until
        case Phase.SETTLED:
            return now + SETTLE_GRACE
        case Phase.UNKNOWN:
            return _due_check(visit, now) if visit.until and not paused else now + PARKED_CHECK
        case _:
            return None


def _ready_check(visit: Visit, now: int) -> int:
    """A message that only waits in a long lane is looked at ever more seldom."""
    if not visit.since:
        return now
    wait = patience(visit.unanswered)
    first = visit.since + wait
    if first > now:
        # Redis' clock went back when it is further away than that.
        return min(first, now + max(wait, LOOK_CAP))
    return now + min(max(now - visit.since, RESEND_AFTER), LOOK_CAP)


def _due_check(visit: Visit, now: int) -> int:
    """When its time has come, and its message only waits in a long lane: ever more seldom."""
    if visit.until > now:
        return visit.until
    sent = visit.since >= visit.until
    return _ready_check(visit, now) if sent else now + LEASE_CHECK


def abandoned(
    state: State,
    *,
    now: int,
    alive: Container[str],
    lane: Lane,
    fresh: Callable[[str, Visit], bool] = lambda _step, _visit: False,
    first: Lane | None = None,
) -> tuple[tuple[str, Visit], ...]:
    """Visits that nobody drives and no message is out for, or whose time has come.

    ``fresh``: whether a visit's latest message is its run's very first. Those wait behind all of
    the others, in what is a queue of its own: ``first``.
    """
    if state.end:
        return ()
    return tuple(
        (step, visit)
        for step, visit in state.visits.items()
        # A paused run begins nothing, but what a dead worker left in flight must land.
        if (visit.phase in IN_FLIGHT or not state.paused)
        and _is_abandoned(
            visit, now=now, alive=alive, lane=(first or lane) if fresh(step, visit) else lane
        )
    )


def _is_abandoned(visit: Visit, *, now: int, alive: Container[str], lane: Lane) -> bool:
    match visit.phase:
        case Phase.WAITING:
            return visit.until <= now
        case Phase.READY:
            return not visit.since or (_is_overdue(visit, now) and _is_lost(visit, lane))
        case Phase.UNKNOWN:
            return 0 < visit.until <= now and not _is_on_its_way(visit, lane)
        case Phase.HELD | Phase.CALLING:
            dead = visit.until <= now or visit.worker not in alive
            return dead and not _is_on_its_way(visit, lane)
        case _:
            return False


def _is_overdue(visit: Visit, now: int) -> bool:
    """A send that lies ahead was made before Redis' clock went back, nobody knows how long ago."""
    waited = now - visit.since
    return waited >= patience(visit.unanswered) or waited < -RESEND_AFTER


def _is_lost(visit: Visit, lane: Lane) -> bool:
    """A lane is first in, first out: a later message was claimed, or none are left."""
    return lane.empty or lane.claimed > visit.since + OVERTAKING


def _is_on_its_way(visit: Visit, lane: Lane) -> bool:
    """It was sent again since it was claimed, and that message has not come to its turn.

    Its own claim left the lane's mark at its send, or later.
    """
    return visit.sends > 1 and not lane.empty and visit.since > lane.claimed


def patience(sends: int) -> int:
    """How long the last of so many messages in a row may stay unclaimed, until it is looked for.

    ms. A visit that is limited and comes back often has had many, each of them claimed.
    """
    return min(RESEND_AFTER << min(max(sends - 1, 0), 10), RESEND_CAP)

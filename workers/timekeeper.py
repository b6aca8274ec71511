"""The timekeeper: sends again what nobody drives. One leads at a time, any worker can be it.

It decides nothing about a call: a message is sent, and whoever claims it finds in the
journal what may have happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Driver, Plans
from orchestrator.engine.advance import advance
from orchestrator.engine.recovery import Lane, abandoned, next_check, patience
from orchestrator.engine.state import Phase, State
from orchestrator.errors import JournalUnavailable, NewerRelease
from orchestrator.journal.port import Due, Journal, Ref, Tick
from workers.logs import about

log = structlog.get_logger()

#: Runs looked at in one tick; a full tick is followed by the next at once.
BATCH: Final = 100
#: A run whose plan is of a newer release is met again after this. ms.
LEFT_CHECK: Final = 15_000
#: Without a tick for so long, another may lead. ms.
LEADER_LEASE: Final = 3_000
#: Between ticks, and between tries to lead. Seconds.
TICK_EVERY: Final = 0.5
#: While turns come: they are sent a little ahead of their time, not in a bunch behind it. Seconds.
TURNS_EVERY: Final = 0.05
#: Between looks at the windows of batches. ms, Redis' clock.
_TEND_EVERY: Final = 400
#: So long after the last of them. ms.
_TURNS_LINGER: Final = 2_000
#: Of a tick that finds nothing more to send, what may go to runs that are over. ms.
_SPARE: Final = 100.0


class Queues(Protocol):
    """The canvas, as the timekeeper needs it."""

    def backlog(self, lane: str, *, fresh: bool | None = None, bulk: bool = False) -> int: ...


@dataclass(slots=True)
class _Round:
    """One tick's work: what to look at again, and what is known of the lanes."""

    tick: Tick
    queues: Queues
    later: dict[str, tuple[int, int]] = field(default_factory=dict)
    empty: dict[tuple[str, bool, bool], bool] = field(default_factory=dict)

    def lane(self, due: Due, *, fresh: bool) -> Lane:
        """Where messages of runs under way wait, or first ones."""
        bulk = bool(due.state.batch)
        name = (due.state.lane, fresh, bulk)
        if name not in self.empty:
            self.empty[name] = self.queues.backlog(due.state.lane, fresh=fresh, bulk=bulk) == 0
        claimed = due.lane_fresh if fresh else due.lane_claimed
        return Lane(claimed=claimed, empty=self.empty[name])


class Timekeeper:
    def __init__(
        self,
        *,
        me: str,
        journal: Journal,
        plans: Plans,
        driver: Driver,
        queues: Queues,
        tend: Callable[[], None] = lambda: None,
        tidy: Callable[[float], None] = lambda _time_ms: None,
    ) -> None:
        """``tend``: what the leader does at each tick besides: fill the windows of batches.

        ``tidy``: what it does last, for so many ms: put finished runs away.
        """
        self._me = me
        self._journal = journal
        self._plans = plans
        self._driver = driver
        self._queues = queues
        self._tend = tend
        self._tidy = tidy
        self._tended = 0
        self._turns_until = 0
        self._now = 0

    @property
    def every(self) -> float:
        """Seconds until the next tick."""
        return TURNS_EVERY if self._now < self._turns_until else TICK_EVERY

    def tick(self) -> bool:
        """Look at what is due, if this is the leader. True: there is more, tick again at once."""
        tick = self._journal.tick(self._me, lease_ms=LEADER_LEASE, limit=BATCH)
        self._now = tick.now
        if tick.newer:
            code, count = NewerRelease.code, len(tick.newer)
            log.warning("runs.left", code=code, count=count, run=tick.newer[0])
        work = _Round(tick=tick, queues=self._queues)
        for due in tick.due:
            try:
                with about(due.run):
                    self._look(due, work)
            except JournalUnavailable:
                raise
            except NewerRelease as error:
                log.warning("run.left", code=error.code, run=due.run)
                work.later[due.run] = (due.state.seq, tick.now + LEFT_CHECK)
            except Exception as error:  # noqa: BLE001  one run that is broken stops no other
                kind = type(error).__name__
                log.error("run.not-carried-on", run=due.run, error=kind)
        if work.later:
            self._journal.postpone(work.later)
        more = len(tick.due) + len(tick.newer) >= BATCH
        if tick.leader and abs(tick.now - self._tended) >= _TEND_EVERY:
            self._tended = tick.now
            self._tend()
            self._tidy(0 if more else _SPARE)
        return more

    def _look(self, due: Due, work: _Round) -> None:
        now = work.tick.now
        if self._calls_for_decision(due.state, now):
            self._driver.carry_on(due.run)
            return
        # Before anything is written: a plan of a newer release is not this one's to carry on.
        graph = self._plans.graph(due.state.plan)
        found = abandoned(
            due.state,
            now=now,
            alive=work.tick.alive,
            lane=work.lane(due, fresh=False),
            fresh=lambda step, visit: graph.is_fresh(step, visit.number, visit.sends),
            first=work.lane(due, fresh=True),
        )
        for step, visit in found:
            ref = Ref(due.run, step, visit.number)
            send = self._journal.mark_sent(ref, visit, patience_ms=patience(visit.unanswered + 1))
            if visit.turn:
                self._turns_until = work.tick.now + _TURNS_LINGER
            if send is not None:
                log.info("segment.sent-again", run=due.run, step=step, was=visit.phase, send=send)
                self._driver.send(TaskId(due.run, step, visit.number, send), due.state)
        if not found:
            work.later[due.run] = (due.state.seq, next_check(due.state, now) or now)

    def _calls_for_decision(self, state: State, now: int) -> bool:
        """Something settled, a cancel or deadline that nobody carried out, or duties undone."""
        if state.end:
            return bool(state.outbox)
        settled = any(visit.phase is Phase.SETTLED for visit in state.visits.values())
        if not settled and not state.ending and not state.is_late(now):
            return False
        return advance(self._plans.graph(state.plan), state, now) is not None

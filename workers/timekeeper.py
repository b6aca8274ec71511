"""The timekeeper: sends again what nobody drives. One leads at a time, any worker can be it.

It decides nothing about a call: a message is sent, and whoever claims it finds in the
journal what may have happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Driver, Plans
from orchestrator.engine.advance import advance
from orchestrator.engine.recovery import Lane, abandoned, next_check, patience
from orchestrator.engine.state import Phase, State
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Due, Journal, Ref, Tick

log = structlog.get_logger()

#: Runs looked at in one tick; a full tick is followed by the next at once.
BATCH: Final = 100
#: Without a tick for so long, another may lead. ms.
LEADER_LEASE: Final = 3_000


class Queues(Protocol):
    """The canvas, as the timekeeper needs it."""

    def backlog(self, lane: str) -> int: ...


@dataclass(slots=True)
class _Round:
    """One tick's work: what to look at again, and what is known of the lanes."""

    tick: Tick
    queues: Queues
    later: dict[str, tuple[int, int]] = field(default_factory=dict)
    empty: dict[str, bool] = field(default_factory=dict)

    def lane(self, due: Due) -> Lane:
        name = due.state.lane
        if name not in self.empty:
            self.empty[name] = self.queues.backlog(name) == 0
        return Lane(claimed=due.lane_claimed, empty=self.empty[name])


class Timekeeper:
    def __init__(
        self, *, me: str, journal: Journal, plans: Plans, driver: Driver, queues: Queues
    ) -> None:
        self._me = me
        self._journal = journal
        self._plans = plans
        self._driver = driver
        self._queues = queues

    def tick(self) -> bool:
        """Look at what is due, if this is the leader. True: there is more, tick again at once."""
        tick = self._journal.tick(self._me, lease_ms=LEADER_LEASE, limit=BATCH)
        work = _Round(tick=tick, queues=self._queues)
        for due in tick.due:
            try:
                self._look(due, work)
            except JournalUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  one run that is broken stops no other
                kind = type(error).__name__
                log.error("run.not-carried-on", run=due.run, error=kind)
        if work.later:
            self._journal.postpone(work.later)
        return len(tick.due) >= BATCH

    def _look(self, due: Due, work: _Round) -> None:
        now = work.tick.now
        if self._calls_for_decision(due.state, now):
            self._driver.carry_on(due.run)
            return
        found = abandoned(due.state, now=now, alive=work.tick.alive, lane=work.lane(due))
        for step, visit in found:
            ref = Ref(due.run, step, visit.number)
            send = self._journal.mark_sent(ref, visit, patience_ms=patience(visit.sends + 1))
            if send is not None:
                log.info("segment.sent-again", run=due.run, step=step, was=visit.phase, send=send)
                self._driver.send(TaskId(due.run, step, visit.number, send), due.state)
        if not found:
            work.later[due.run] = (due.state.seq, next_check(due.state, now) or now)

    def _calls_for_decision(self, state: State, now: int) -> bool:
        """Something settled, a cancel that nobody carried out, or duties left undone."""
        if state.end:
            return bool(state.outbox)
        settled = any(visit.phase is Phase.SETTLED for visit in state.visits.values())
        if not settled and not state.ending:
            return False
        return advance(self._plans.graph(state.plan), state, now) is not None

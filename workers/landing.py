"""The end of an attempt: its outcome and what follows from it, written and carried out."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TypeVar

import structlog

from orchestrator.driver import Driver
from orchestrator.engine.advance import Decision, advance
from orchestrator.engine.events import apply, outcome_landed
from orchestrator.engine.state import Outcome, Phase
from orchestrator.journal.counts import Attempt
from orchestrator.journal.port import Committed, Journal, Ref, Settlement
from workers.held import Checkpoint, Held
from workers.judge import Judgement
from workers.patience import Patience
from workers.told import Said, Told, told_of

log = structlog.get_logger()

T = TypeVar("T")


class Landing:
    def __init__(
        self,
        *,
        journal: Journal,
        driver: Driver,
        patience: Patience,
        reached: Callable[[Checkpoint, Ref], None],
    ) -> None:
        self._journal = journal
        self._driver = driver
        self._patience = patience
        self._reached = reached

    def land(
        self,
        held: Held,
        outcome: Outcome,
        carried: Container[tuple[str, int]],
        judgement: Judgement | None = None,
        *,
        adopting: str = "",
    ) -> Told:
        """``adopting``: the effect that was looked up and is this call's if nobody else has it.

        Raises JournalUnavailable when Redis stays away for as long as the lease holds.
        """
        ref, now = held.ref, held.now
        event = outcome_landed(at=now, step=ref.step, visit=held.visit, outcome=outcome)
        landed = apply(held.state, event)
        decision = advance(held.graph, landed, now)
        settlement = Settlement(
            event=event,
            visit=landed.visits[ref.step],
            outputs=judgement.outputs if judgement else None,
            pause=judgement.pause if judgement else None,
            refused=judgement is not None and judgement.refused,
            freed=held.busy,
            effect=adopting or (judgement.effect if judgement else ""),
            adopted=bool(adopting),
            attempt=_attempt(held, outcome, now),
        )
        committed = self._commit(held, settlement, decision)
        self._reached(Checkpoint.COMMITTED, ref)
        _log(held, outcome, committed, now)
        match committed:
            case Committed.TAKEN:
                return Told(Said.IGNORE, committed)
            case Committed.LOST:
                return Told(Said.IGNORE, "lease-lost")
            case Committed.YES if decision is not None:
                return self._follow(ref, decision, carried)
            case _:
                state = self._driver.carry_on(ref.run)
                return told_of(state.visits.get(ref.step) if state else None, ref)

    def reread(self, held: Held) -> Held | None:
        """What the journal has of the lease, after Redis left it open; None: it holds no more."""
        return held.reread(self._patiently(held, lambda: self._journal.read(held.ref.run)))

    def _commit(self, held: Held, settlement: Settlement, decision: Decision | None) -> Committed:
        """What became of a call is known here only, so it is kept until Redis takes it."""
        ref, tries = held.ref, 0

        def commit() -> Committed:
            nonlocal tries
            tries += 1
            return self._journal.commit(ref, held.visit.fence, settlement, decision)

        committed = self._patiently(held, commit)
        if committed is Committed.LOST and tries > 1:
            # An earlier try may have landed, and its answer was lost.
            self._driver.send_entered(ref.run, ref.step, ref.visit)
        return committed

    def _patiently(self, held: Held, work: Callable[[], T]) -> T:
        """Try while the lease holds. Raises JournalUnavailable then."""
        return self._patience.trying(held.ref, held.visit.until - held.now, work)

    def _follow(self, ref: Ref, decision: Decision, carried: Container[tuple[str, int]]) -> Told:
        told = told_of(decision.after.visits[ref.step], ref)
        by_callback = decision.entered if told.said is Said.HANDLED else ()
        by_chain = [v for v in decision.entered if v in carried] if told.said is Said.GO_ON else ()
        self._driver.follow(ref.run, decision, carried={*by_callback, *by_chain})
        self._reached(Checkpoint.FOLLOWED, ref)
        return told


def _attempt(held: Held, outcome: Outcome, now: int) -> Attempt | None:
    """None for what is no call's end: a look-up, or one that was never begun."""
    if held.visit.phase is not Phase.CALLING:
        return None
    return Attempt(
        workflow=held.state.name,
        step=held.ref.step,
        provider=held.profile.name,
        result=outcome.result,
        status=outcome.status,
        ms=max(0, now - held.seen),
    )


def _log(held: Held, outcome: Outcome, committed: Committed, now: int) -> None:
    log.info(
        "attempt.finished",
        run=held.ref.run,
        step=held.ref.step,
        visit=held.ref.visit,
        attempt=held.visit.attempts,
        outcome=outcome.result.value,
        code=outcome.code,
        status=outcome.status,
        committed=committed.value,
        ms=now - held.seen,
    )

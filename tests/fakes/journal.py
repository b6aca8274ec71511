"""Journals for tests: one that checks itself, and what a worker does with a lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.engine.advance import Decision, advance
from orchestrator.engine.events import Event, apply, fold, outcome_landed
from orchestrator.engine.state import Outcome, Result, State, Visit
from orchestrator.expressions.nodes import Json
from orchestrator.journal.batches import Record
from orchestrator.journal.port import (
    Acceptance,
    Began,
    Begun,
    Claim,
    Committed,
    Journal,
    Limit,
    Listed,
    NewRun,
    Pace,
    Ref,
    Rewound,
    Settlement,
    Stop,
    Tick,
    Wake,
)
from orchestrator.plan.graph import Graph


def check_fold(journal: Journal, run: str) -> None:
    """The promise that makes any worker able to carry on: the events are the state."""
    events = journal.history(run)
    state = journal.read(run)
    assert (fold(events) if events else None) == state


class CheckedJournal:
    """Passes everything on, and after each call holds the run's events against its hash."""

    def __init__(self, inner: Journal) -> None:
        self.inner = inner

    def accept(self, new: NewRun) -> Acceptance:
        accepted = self.inner.accept(new)
        check_fold(self.inner, accepted.run)
        return accepted

    def plan(self, digest: str) -> bytes:
        return self.inner.plan(digest)

    def claim(self, ref: Ref, worker: str, *, mine: bool = False) -> Claim:
        claim = self.inner.claim(ref, worker, mine=mine)
        check_fold(self.inner, ref.run)
        return claim

    def begin(
        self,
        ref: Ref,
        fence: int,
        *,
        deadline_ms: int,
        frozen: bytes | None,
        limits: Sequence[Limit],
        durable: bool = False,
        provider: str = "",
    ) -> Begun:
        begun = self.inner.begin(
            ref,
            fence,
            deadline_ms=deadline_ms,
            frozen=frozen,
            limits=limits,
            durable=durable,
            provider=provider,
        )
        check_fold(self.inner, ref.run)
        return begun

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        begun = self.inner.look(ref, fence, deadline_ms=deadline_ms, limits=limits)
        check_fold(self.inner, ref.run)
        return begun

    def commit(
        self, ref: Ref, fence: int, settlement: Settlement, decision: Decision | None
    ) -> Committed:
        committed = self.inner.commit(ref, fence, settlement, decision)
        check_fold(self.inner, ref.run)
        return committed

    def resolve(self, ref: Ref, settlement: Settlement, decision: Decision | None) -> Committed:
        committed = self.inner.resolve(ref, settlement, decision)
        check_fold(self.inner, ref.run)
        return committed

    def decide(self, run: str, decision: Decision) -> Committed:
        committed = self.inner.decide(run, decision)
        check_fold(self.inner, run)
        return committed

    def control(self, run: str, kind: str, *, by: str, reason: str) -> State | None:
        state = self.inner.control(run, kind, by=by, reason=reason)
        check_fold(self.inner, run)
        return state

    def reopen(
        self,
        run: str,
        step: str,
        seen: int,
        *,
        by: str,
        reason: str,
        batch: str = "",
        in_turn: bool = False,
    ) -> int | None:
        number = self.inner.reopen(
            run, step, seen, by=by, reason=reason, batch=batch, in_turn=in_turn
        )
        check_fold(self.inner, run)
        return number

    def stop(self, provider: str, *, by: str, reason: str) -> Stop:
        return self.inner.stop(provider, by=by, reason=reason)

    def go_on(self, provider: str, *, by: str, reason: str, pace: Pace) -> Wake:
        found = self.inner.go_on(provider, by=by, reason=reason, pace=pace)
        self._check_all()
        return found

    def wake(self, provider: str, *, pace: Pace, woken: int) -> Wake:
        found = self.inner.wake(provider, pace=pace, woken=woken)
        self._check_all()
        return found

    def _check_all(self) -> None:
        for run in self.inner.recent(1_000):
            check_fold(self.inner, run)

    def stops(self, *, reasons: bool = False) -> Sequence[Stop]:
        return self.inner.stops(reasons=reasons)

    def house(self, *, reasons: bool = False) -> list[Event]:
        return self.inner.house(reasons=reasons)

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        send = self.inner.mark_sent(ref, seen, patience_ms=patience_ms)
        check_fold(self.inner, ref.run)
        return send

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        self.inner.postpone(times)
        for run in times:
            check_fold(self.inner, run)

    def settle(self, run: str, batch: str = "", record: Record | None = None) -> bool:
        fill = self.inner.settle(run, batch, record)
        check_fold(self.inner, run)
        return fill

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        return self.inner.tick(leader, lease_ms=lease_ms, limit=limit)

    def heartbeat(self, worker: str, *, ttl_ms: int) -> int:
        return self.inner.heartbeat(worker, ttl_ms=ttl_ms)

    def retire(self, worker: str) -> None:
        self.inner.retire(worker)

    def alive(self) -> frozenset[str]:
        return self.inner.alive()

    def require_writable(self) -> None:
        self.inner.require_writable()

    def rewound(self) -> Rewound | None:
        return self.inner.rewound()

    def now(self) -> int:
        return self.inner.now()

    def read(self, run: str) -> State | None:
        return self.inner.read(run)

    def history(self, run: str, *, reasons: bool = False) -> list[Event]:
        return self.inner.history(run, reasons=reasons)

    def inputs(self, run: str) -> Mapping[str, Json]:
        return self.inner.inputs(run)

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]:
        return self.inner.outputs(run, steps)

    def key_of(self, run: str) -> str | None:
        return self.inner.key_of(run)

    def recent(self, limit: int) -> list[str]:
        return self.inner.recent(limit)

    def lanes(self) -> frozenset[str]:
        return self.inner.lanes()

    def unended(self, first: int, limit: int) -> Sequence[Listed]:
        return self.inner.unended(first, limit)

    def doubted(self, limit: int) -> Sequence[Listed]:
        return self.inner.doubted(limit)

    def page(self, *, until: int, since: int, limit: int, after: str = "") -> Sequence[Listed]:
        return self.inner.page(until=until, since=since, limit=limit, after=after)


@dataclass(slots=True)
class Lease:
    """What a worker holds between its claim and its commit, driven by hand."""

    journal: Journal
    graph: Graph
    ref: Ref
    state: State

    @property
    def visit(self) -> Visit:
        return self.state.visits[self.ref.step]

    @property
    def fence(self) -> int:
        return self.visit.fence

    def begin(
        self,
        frozen: bytes | None = b"request",
        limits: Sequence[Limit] = (),
        deadline_ms: int = 10_000,
        provider: str = "",
        *,
        durable: bool = False,
    ) -> Begun:
        begun = self.journal.begin(
            self.ref,
            self.fence,
            deadline_ms=deadline_ms,
            frozen=frozen,
            limits=limits,
            durable=durable,
            provider=provider,
        )
        if begun.verdict is Began.YES:
            fields: dict[str, Json] = {"s": self.ref.step, "a": begun.attempt, "u": begun.until}
            self.state = apply(self.state, Event(kind="begun", at=begun.now, fields=fields))
        return begun

    def look(self, limits: Sequence[Limit] = (), deadline_ms: int = 10_000) -> Begun:
        begun = self.journal.look(self.ref, self.fence, deadline_ms=deadline_ms, limits=limits)
        if begun.verdict is Began.YES:
            fields: dict[str, Json] = {"s": self.ref.step, "u": begun.until}
            self.state = apply(self.state, Event(kind="looked", at=begun.now, fields=fields))
        return begun

    def settlement(
        self,
        outcome: Outcome,
        outputs: Mapping[str, Json] | None = None,
        pause: tuple[str, int] | None = None,
    ) -> tuple[Settlement, Decision | None]:
        now = self.journal.now()
        event = outcome_landed(at=now, step=self.ref.step, visit=self.visit, outcome=outcome)
        landed = apply(self.state, event)
        decision = advance(self.graph, landed, now)
        visit = landed.visits[self.ref.step]
        return Settlement(event=event, visit=visit, outputs=outputs, pause=pause), decision

    def commit(
        self,
        result: Result = Result.SUCCEEDED,
        *,
        code: str = "",
        delay: int = -1,
        look: int = -1,
        outputs: Mapping[str, Json] | None = None,
        pause: tuple[str, int] | None = None,
        effect: str = "",
        adopted: bool = False,
        done: str = "",
    ) -> Committed:
        """``done``: what the call did to the world outside, e.g. "charged pi_1"."""
        outcome = Outcome(
            result=result,
            code=code,
            delay=delay,
            look=look,
            matched=self._all(result),
            effect=done,
        )
        settlement, decision = self.settlement(outcome, outputs, pause)
        settlement = replace(settlement, effect=effect, adopted=adopted)
        return self.journal.commit(self.ref, self.fence, settlement, decision)

    def _all(self, result: Result) -> str:
        step = self.graph.steps[self.ref.step]
        choices = {Result.SUCCEEDED: step.success, Result.FINAL: step.failure}.get(result, ())
        return ";".join(",".join(map(str, range(len(c.routes)))) for c in choices)


def take(journal: Journal, graph: Graph, ref: Ref, worker: str = "w1") -> Lease:
    """Claim, which must succeed."""
    claim = journal.claim(ref, worker)
    assert claim.verdict == "claimed", claim.verdict
    assert claim.state is not None
    return Lease(journal=journal, graph=graph, ref=ref, state=claim.state)


def carry_on(journal: Journal, graph: Graph, run: str) -> State:
    """Decide until there is nothing to decide."""
    for _ in range(20):
        state = journal.read(run)
        assert state is not None
        decision = advance(graph, state, journal.now())
        if decision is None:
            return state
        journal.decide(run, decision)
    raise AssertionError("the run does not come to rest")


def without_seq(state: State) -> State:
    return replace(state, seq=0)

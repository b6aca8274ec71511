"""The engine on a bench: a run driven by hand, event by event, without a journal.

Every event that is put on the bench is checked: folding all of them gives the state, a
decision made twice is the same, its fields are what changed, and upon a decision there is
nothing left to decide.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine import events
from orchestrator.engine.advance import Decision, advance, routes_text
from orchestrator.engine.events import Event, apply, fold
from orchestrator.engine.state import Outcome, Phase, Result, State, Status, Visit
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan

START = 1_700_000_000_000


class Bench:
    def __init__(self, plan: Plan, *, within: int = 0) -> None:
        """``within``: ms from the start to the run's deadline, 0 for none."""
        self.graph = Graph(plan, "digest")
        self.now = START
        self.events = [
            events.accepted(
                at=START, plan="digest", name=plan.name, lane="l", starts=plan.starts,
                deadline=START + within if within else 0,
            )
        ]  # fmt: skip
        self.state = fold(self.events)
        self.decisions: list[Decision] = []

    # What a worker does.

    def claim(self, step: str, worker: str = "w1") -> Visit:
        visit = self.state.visits[step]
        assert visit.phase in {Phase.READY, Phase.WAITING, Phase.HELD, Phase.CALLING}
        fields = {"s": step, "n": visit.number, "f": visit.fence + 1, "w": worker}
        fields |= {"u": self.now + 30_000}
        fields |= {"d": 1} if visit.phase is Phase.CALLING else {}
        self.put("claimed", fields)
        return self.state.visits[step]

    def begin(self, step: str) -> None:
        visit = self.state.visits[step]
        fields = {"s": step, "n": visit.number, "a": visit.attempts + 1, "u": self.now + 85_000}
        self.put("begun", fields)

    def land(
        self,
        step: str,
        result: Result = Result.SUCCEEDED,
        *,
        matched: str | None = None,
        code: str = "",
        delay: int = -1,
        effect: str = "",
    ) -> None:
        """``matched``: routes that hold; None: all of them do."""
        if matched is None:
            matched = self._all(step, result)
        outcome = Outcome(result=result, code=code, matched=matched, delay=delay, effect=effect)
        event = events.outcome_landed(
            at=self.now, step=step, visit=self.state.visits[step], outcome=outcome
        )
        self.put_event(event)

    def decide(self) -> Decision | None:
        decision = advance(self.graph, self.state, self.now)
        assert advance(self.graph, self.state, self.now) == decision
        if decision is None:
            return None
        assert decision.seq == self.state.seq
        _check_fields(decision)
        self.put_event(decision.event)
        assert self.state == replace(decision.after, seq=decision.seq + 1)
        assert advance(self.graph, self.state, self.now) is None
        for step, number in decision.entered:
            assert self.state.visits[step].number >= number
        self.decisions.append(decision)
        return decision

    def run(
        self,
        step: str,
        result: Result = Result.SUCCEEDED,
        *,
        matched: str | None = None,
        code: str = "",
        delay: int = -1,
    ) -> Decision:
        """A whole attempt: claim, begin, land, decide."""
        self.now += 10
        self.claim(step)
        self.begin(step)
        self.land(step, result, matched=matched, code=code, delay=delay)
        decision = self.decide()
        assert decision is not None
        return decision

    def fail(self, step: str, code: str = "card_declined", matched: str | None = None) -> Decision:
        return self.run(step, Result.FINAL, code=code, matched=matched)

    def control(self, kind: str) -> Decision | None:
        self.put_event(events.control(at=self.now, kind=kind, by="ops", reason="test"))
        return self.decide()

    def put(self, kind: str, fields: dict[str, object]) -> None:
        self.put_event(Event(kind=kind, at=self.now, fields=fields))

    def put_event(self, event: Event) -> None:
        # Through its text, as the journal keeps it.
        event = Event.decode(event.encode())
        self.events.append(event)
        self.state = apply(self.state, event)
        assert fold(self.events) == self.state
        assert State.decode(self.state.encode()) == self.state

    # What a test asks.

    def phase(self, step: str) -> Phase | None:
        visit = self.state.visits.get(step)
        return visit.phase if visit else None

    def visits(self, step: str) -> int:
        return self.state.visited(step)

    @property
    def ready(self) -> set[str]:
        return {step for step, v in self.state.visits.items() if v.phase is Phase.READY}

    def status(self) -> Status:
        return self.state.status

    def _all(self, step: str, result: Result) -> str:
        found = self.graph.steps[step]
        choices = {Result.SUCCEEDED: found.success, Result.FINAL: found.failure}.get(result, ())
        return routes_text(range(len(choice.routes)) for choice in choices)


def _check_fields(decision: Decision) -> None:
    before = decision.before.encode()
    changed, removed = decision.fields()
    assert all(before.get(name) != value for name, value in changed.items())
    written = {**before, **changed}
    for name in removed:
        del written[name]
    assert written == decision.after.encode()

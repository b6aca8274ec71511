"""The pure heart: what follows from a run's state.

``advance`` is called by whoever holds a run's news: a worker after its call, the
timekeeper after a worker died, a person's cancel. Called twice on one state it decides
the same; called on a state with nothing settled it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.engine.events import Change, Event, apply_change, decided
from orchestrator.engine.recovery import next_check
from orchestrator.engine.state import ACTIVE, Phase, Result, State, Visit
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Action, Choice, End, Goto, Retry

VISITS_EXHAUSTED: Final = "visits-exhausted"
DEADLINE_PASSED: Final = "deadline-passed"
#: ``Outcome.matched`` when a condition was neither true nor false: nobody knows the way on.
UNANSWERED = "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    #: The state's seq that this was decided upon; the journal refuses it on any other.
    seq: int
    event: Event
    before: State
    after: State
    #: Visits entered now: each needs a message in the run's lane.
    entered: tuple[tuple[str, int], ...]
    #: When the timekeeper looks at the run next; None when the run is over and paid its duties.
    due: int | None

    def fields(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """What the decision writes into the control hash, and what it removes from it.

        Only what changed: another branch's claim or lease must not be written over.
        """
        written, gone = self.after.since(self.before)
        written.pop("seq", None)
        return written, gone


def advance(graph: Graph, state: State, now: int) -> Decision | None:
    """The decision that ``state`` calls for; None when it calls for none."""
    if state.end:
        return None
    desk = _Desk(graph, state, now)
    desk.decide()
    if cut := desk.cut_off():
        # Decided anew, so that nothing is entered only to be given up.
        desk = _Desk(graph, state, now)
        desk.do("ending", "failed", DEADLINE_PASSED, cut[0] if len(cut) == 1 else "")
        desk.decide()
    return desk.decision() if desk.changes else None


def routes_text(matched: Iterable[Iterable[int]]) -> str:
    """Which routes hold, by choice, as ``Outcome.matched`` has it."""
    return ";".join(",".join(map(str, routes)) for routes in matched)


def _routes(text: str, choices: int) -> list[list[int]]:
    if text == UNANSWERED:
        return [[] for _ in range(choices)]
    rows = [[int(i) for i in row.split(",") if i] for row in text.split(";")]
    return (rows + [[] for _ in range(choices)])[:choices]


class _Desk:
    """A state under decision: every change is applied as it is made."""

    def __init__(self, graph: Graph, state: State, now: int) -> None:
        self.graph = graph
        self.before = state
        self.state = state
        self.now = now
        self.changes: list[Change] = []

    def do(self, *change: str | int) -> None:
        self.changes.append(change)
        self.state = apply_change(self.state, change, at=self.now)

    def decide(self) -> None:
        for step in self.graph.plan.steps:
            visit = self.state.visits.get(step.id)
            if visit and visit.phase is Phase.SETTLED:
                self.settle(step.id, visit)
        if self.state.ending:
            self.wind_down()
        else:
            self.join()
            self._park_late()
        self.finish()

    def decision(self) -> Decision:
        event = decided(at=self.now, changes=self.changes)
        pairs = ((c[1], c[2]) for c in self.changes if c[0] == "enter")
        return Decision(
            seq=self.before.seq,
            event=event,
            before=self.before,
            after=self.state,
            entered=tuple((str(step), int(number)) for step, number in pairs),
            due=next_check(self.state, self.now),
        )

    # One settled visit.

    def settle(self, step: str, visit: Visit) -> None:
        match Result(visit.result):
            case Result.SUCCEEDED:
                self._succeed(step, visit)
            case Result.FINAL:
                self._fail(step, visit)
            case Result.PENDING:
                self._park(step, visit)
            case _ if self.state.ending:
                self._give_up(step, visit)
            case Result.WITHDRAWN:
                self.do("ready", step)
            case Result.UNDONE:
                self.do("wait", step, self.now + max(visit.delay, 0))
            case Result.OPERATOR:
                self.do("wait", step, self.now + max(visit.delay, 0))
            case Result.TRANSIENT | Result.UNKNOWN if visit.delay >= 0:
                self.do("wait", step, self.now + visit.delay)
            case Result.TRANSIENT if not visit.doubt:
                self._fail(step, visit)
            case _:
                # Out of attempts, and one of them may have been executed: not a failure.
                self._park(step, visit)

    def _park(self, step: str, visit: Visit) -> None:
        self.do("park", step, self.now + visit.look if visit.look >= 0 else 0)

    def _give_up(self, step: str, visit: Visit) -> None:
        if visit.result in {Result.UNKNOWN, Result.PENDING}:
            self._park(step, visit)
        elif visit.doubt:
            # The last send surely did nothing; of the one before nobody has been asked yet.
            self.do("park", step, self.now)
        else:
            self.do("close", step, Phase.CANCELLED, "")

    def _succeed(self, step: str, visit: Visit) -> None:
        if self.state.ending:
            self.do("close", step, Phase.SUCCEEDED, "")
            return
        if visit.matched == UNANSWERED:
            self.do("close", step, Phase.SUCCEEDED, "")
            self.do("ending", "failed", visit.code, step)
            return
        choices = self.graph.steps[step].success
        entered, taken, blocked = self._follow(step, visit, choices)
        if not self._tries_again(step, visit):
            self.do("close", step, Phase.SUCCEEDED, entered)
        if blocked and not taken:
            self.do("ending", "failed", VISITS_EXHAUSTED, step)

    def _fail(self, step: str, visit: Visit) -> None:
        if self.state.ending:
            self.do("close", step, Phase.FAILED, "")
            return
        choices = self.graph.steps[step].failure
        entered, taken, _ = self._follow(step, visit, choices)
        if not self._tries_again(step, visit):
            self.do("close", step, Phase.FAILED, entered)
        if not taken and not self.state.ending:
            self.do("ending", "failed", visit.code or "failed", step)

    def _follow(
        self, step: str, visit: Visit, choices: tuple[Choice, ...]
    ) -> tuple[str, bool, bool]:
        """Take each choice's first open route: what was entered, any taken, any closed."""
        first = len(self.changes)
        taken = blocked = False
        for number, rows in enumerate(_routes(visit.matched, len(choices))):
            for index in rows:
                action = choices[number].routes[index].then
                if self._take(step, visit, action, route=f"{number}.{index}"):
                    taken = True
                    break
                blocked = True
        enters = (c for c in self.changes[first:] if c[0] == "enter")
        return " ".join(f"{c[1]}.{c[2]}" for c in enters), taken, blocked

    def _tries_again(self, step: str, visit: Visit) -> bool:
        """The step was entered anew by its own routes: this visit of it is history."""
        return self.state.visited(step) != visit.number

    def _take(self, step: str, visit: Visit, action: Action, *, route: str) -> bool:
        match action:
            case Goto(step=target, cap=cap, redo=redo):
                if self.state.visited(target) >= cap or (redo and visit.failed_alike):
                    return False
                self._arrive(step, target)
            case Retry(after_ms=after, limit=limit):
                used = dict(word.split(":") for word in visit.retried.split())
                count = int(used.get(route, 0))
                if count >= limit:
                    return False
                used[route] = str(count + 1)
                retried = " ".join(f"{r}:{n}" for r, n in used.items())
                self.do("again", step, visit.number + 1, self.now + after, retried)
            case End():
                failed = visit.result != Result.SUCCEEDED
                end, code = ("failed", visit.code or "failed") if failed else ("succeeded", "")
                self.do("ending", end, code, step if failed else "")
        return True

    # Ways into steps.

    def _arrive(self, source: str, target: str) -> None:
        if source in self.graph.steps[target].awaits:
            self.do("arrive", target, source)
            return
        visit = self.state.visits.get(target)
        if visit and source != target and visit.phase in ACTIVE | {Phase.UNKNOWN}:
            # Under way, or in doubt: a new visit would be a new key for what may have happened.
            # Two ways that meet without a join are one arrival.
            return
        self._enter(target)

    def _enter(self, target: str) -> None:
        self.do("enter", target, self.state.visited(target) + 1)

    def join(self) -> None:
        """Enter the joins for which nothing that is under way can bring another arrival."""
        while target := self._complete():
            self.do("joined", target)
            self._enter(target)

    def _complete(self) -> str | None:
        waiting = [j.id for j in self.graph.joins if self._may_enter(j.id)]
        live = {
            step for step, v in self.state.visits.items() if v.phase in ACTIVE | {Phase.UNKNOWN}
        }
        tokens = live | {*self.state.arrivals}
        for target in waiting:
            absent = {*self.graph.steps[target].awaits} - {*self.state.arrivals[target]}
            if not any(self.graph.leads(t, absent, around=target) for t in tokens - {target}):
                return target
        # Joins that only wait for each other would wait for ever.
        return waiting[0] if waiting and not live else None

    def _may_enter(self, target: str) -> bool:
        visit = self.state.visits.get(target)
        idle = visit is None or visit.phase not in ACTIVE | {Phase.UNKNOWN}
        return target in self.state.arrivals and idle

    # The end of the run.

    def wind_down(self) -> None:
        for step, visit in self._unbegun():
            self._give_up(step, visit)

    def cut_off(self) -> list[str]:
        """Steps that the run would have to begin after its deadline, in the plan's order."""
        if self.state.ending or not self.state.is_late(self.now):
            return []
        cut = {step for step, visit in self._unbegun() if not visit.doubt}
        return [step.id for step in self.graph.plan.steps if step.id in cut]

    def _park_late(self) -> None:
        """What may have been done is looked up after the deadline, and never sent again.

        The run is not failed by it: it may turn out that there is nothing left to do.
        """
        if self.state.is_late(self.now):
            for step, visit in self._unbegun():
                if visit.doubt:
                    self._park(step, visit)

    def _unbegun(self) -> list[tuple[str, Visit]]:
        waits = {Phase.READY, Phase.WAITING}
        return [(step, visit) for step, visit in self.state.visits.items() if visit.phase in waits]

    def finish(self) -> None:
        phases = {visit.phase for visit in self.state.visits.values()}
        if phases & ACTIVE or Phase.UNKNOWN in phases:
            return
        self.do("end", self.state.ending or "succeeded", "result")

"""What the runs' journals say, read once when nothing moves any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ops.chaos.schedule import Customer
from ops.chaos.stage import pid_of
from orchestrator.engine.events import Event, fold
from orchestrator.engine.state import State
from orchestrator.errors import UnknownRun
from orchestrator.service import Report, Run
from orchestrator.wiring import Wiring

_LOOKS: Final = 5
_ENDS: Final = frozenset({"claimed", "outcome", "limited"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A lease, and whether a call was begun under it."""

    step: str
    pid: int
    begun: int
    #: None: it never did. ms since the epoch.
    ended: int | None = None
    #: When a call was begun under it, None when none was.
    called: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    customer: Customer
    run: str
    #: None: the journal has no such run.
    state: State | None
    report: Report | None
    events: Sequence[Event]
    #: As a Celery client sees it that waits for the run.
    result: str
    #: Whether its events come to its state.
    folds: bool = True

    def phase(self, step: str) -> str:
        """Of the step as its report says, "" when it was never entered."""
        steps = self.report.steps if self.report else ()
        return next((row.state for row in steps if row.step == step), "")

    def spans(self) -> Iterator[Span]:
        """Every lease that was given, until its outcome landed or another took it over."""
        held: dict[str, Span] = {}
        for event in self.events:
            step = event.fields.get("s", "")
            if event.kind == "begun" and step in held:
                held[step] = replace(held[step], called=event.at)
            elif event.kind in _ENDS and step in held:
                yield replace(held.pop(step), ended=event.at)
            if event.kind == "claimed":
                held[step] = Span(step=step, pid=pid_of(event.fields["w"]), begun=event.at)
        yield from held.values()


def stories(wiring: Wiring, customers: Sequence[Customer], runs: Mapping[int, str]) -> list[Story]:
    """In the order of the customers; those without a run have none."""
    found = ((c, runs[c.number]) for c in customers if c.number in runs)
    return [_story(wiring, customer, run) for customer, run in found]


def _story(wiring: Wiring, customer: Customer, name: str) -> Story:
    run = Run(wiring.core, name)
    state, events = _at_one_time(wiring, run)
    try:
        report = run.report() if state else None
    except UnknownRun:
        # Its plan went with a power cut.
        report = None
    return Story(
        customer=customer,
        run=name,
        state=state,
        report=report,
        events=events,
        result=str(wiring.app.AsyncResult(name).state),
        folds=state is None or _folds(events, state),
    )


def _folds(events: Sequence[Event], state: State) -> bool:
    try:
        return fold(events) == state
    except (AttributeError, KeyError, TypeError, ValueError):
        # An event that cannot have happened there.
        return False


def _at_one_time(wiring: Wiring, run: Run) -> tuple[State | None, Sequence[Event]]:
    """A run that is in doubt may be looked up meanwhile."""
    state, events = wiring.core.journal.read(run.id), run.history()
    for _ in range(_LOOKS):
        last, state = state, wiring.core.journal.read(run.id)
        if state == last:
            break
        events = run.history()
    return state, events

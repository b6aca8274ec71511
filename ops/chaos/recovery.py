"""How long runs stood still: after a trouble that struck who drove them, and after any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final

from ops.chaos.journals import Story
from ops.chaos.schedule import Kind
from ops.chaos.storm import Struck
from orchestrator.engine.events import apply, begin
from orchestrator.engine.state import Phase, State, Status

#: What the dead had already sent may land for so long after its end. ms.
_POSTHUMOUS: Final = 50
#: While nothing has to be waited for, something should happen.
_MOVING: Final = frozenset({Status.PENDING, Status.RUNNING, Status.WAITING})
_DRIVERS: Final = frozenset({Kind.CHILD, Kind.MAIN, Kind.WORKER, Kind.FREEZE, Kind.FREEZE_CHILD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    kind: Kind
    run: str
    #: From the trouble to the run's next event; None: none ever came.
    ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill:
    """Nothing happened to a run, though nothing had to be waited for."""

    run: str
    ms: int
    #: The last that had happened: an event's kind, and its step.
    after: str


def recoveries(stories: Sequence[Story], struck: Sequence[Struck]) -> list[Recovery]:
    blows = [blow for blow in struck if blow.hit and blow.strike.what in _DRIVERS]
    return [found for story in stories for found in _of(story, blows)]


def standstills(stories: Sequence[Story]) -> list[Standstill]:
    """The longest of each run, the longest first."""
    longest = (max(_gaps(story), key=lambda gap: gap.ms, default=None) for story in stories)
    return sorted((gap for gap in longest if gap is not None), key=lambda gap: -gap.ms)


def percentiles(times: Sequence[int]) -> tuple[int, int, int]:
    """p50, p95 and the longest; of at least one."""
    ordered = sorted(times)
    p50, p95 = (ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return p50, p95, ordered[-1]


def by_kind(found: Sequence[Recovery]) -> Mapping[Kind, Sequence[int]]:
    kinds = sorted({recovery.kind for recovery in found})
    return {k: [r.ms for r in found if r.kind is k and r.ms is not None] for k in kinds}


def _of(story: Story, blows: Sequence[Struck]) -> Iterator[Recovery]:
    for blow in blows:
        alive_until = blow.at + _POSTHUMOUS
        driven = any(
            span.pid in blow.pids
            and span.begun < blow.at
            and (span.ended is None or span.ended > alive_until)
            for span in story.spans()
        )
        if not driven:
            continue
        after = (e.at for e in story.events if e.at > alive_until and e.kind != "control")
        moved = next(after, None)
        ms = None if moved is None else moved - blow.at
        yield Recovery(kind=blow.strike.what, run=story.run, ms=ms)


def _gaps(story: Story) -> Iterator[Standstill]:
    if not story.events or not story.folds:
        return
    state = begin(story.events[0])
    for last, event in pairwise(story.events):
        if last is not story.events[0]:
            state = apply(state, last)
        if state.status in _MOVING:
            after = f"{last.kind} {last.fields.get('s', '')}".strip()
            since = max(last.at, _awaited(state))
            yield Standstill(run=story.run, ms=max(0, event.at - since), after=after)


def _awaited(state: State) -> int:
    """Until when nothing can happen but by chance, 0 when it could all the time. ms."""
    if state.status is not Status.WAITING:
        return 0
    return min(v.until for v in state.visits.values() if v.phase is Phase.WAITING)

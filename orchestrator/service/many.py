"""Many runs at once: those that a filter fits, one after the other. One page is held at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from orchestrator.engine.state import Phase, State, Status
from orchestrator.errors import DurazzoError, JournalUnavailable, NoWorker
from orchestrator.service.core import Core

#: Runs of one round trip.
PAGE: Final = 200
_OVER: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What runs must be like; what is not said fits all."""

    statuses: frozenset[Status] = frozenset()
    workflow: str = ""
    #: Where the run stands, or what failed it.
    step: str = ""
    #: The run's, or that of a step that did not succeed; with ``step``, that step's.
    code: str = ""
    #: Accepted then or later. ms, Redis' clock.
    since: int = 0

    @property
    def empty(self) -> bool:
        return self == Filter()

    def fits(self, state: State) -> bool:
        return (
            (not self.statuses or state.status in self.statuses)
            and self.workflow in {"", state.name}
            and (not self.step or self.step in where(state))
            and (not self.code or self.code in self._codes(state))
            and state.accepted >= self.since
        )

    def _codes(self, state: State) -> set[str]:
        steps = {self.step} if self.step else set(state.visits)
        codes = {
            visit.code
            for step, visit in state.visits.items()
            if step in steps and visit.phase is not Phase.SUCCEEDED
        }
        return codes | ({state.code} if state.failed_step in steps or not self.step else set())


def where(state: State) -> list[str]:
    """The step that failed the run, or those at which an unfinished one stands."""
    if state.failed_step:
        return [state.failed_step]
    return sorted(step for step, visit in state.visits.items() if visit.phase not in _OVER)


# What each command can be meant for.


def goes_on(state: State) -> bool:
    """It can be cancelled."""
    return not state.end and not state.ending


def begins_more(state: State) -> bool:
    """It can be paused."""
    return goes_on(state) and not state.paused


def is_paused(state: State) -> bool:
    return not state.end and state.paused


def ended_badly(state: State) -> bool:
    """It can be retried."""
    return state.end in {Status.FAILED, Status.CANCELLED} and not state.forgotten


def in_doubt_at(step: str) -> Callable[[State], bool]:
    """It can be resolved."""

    def is_in_doubt(state: State) -> bool:
        visit = state.visits.get(step)
        return visit is not None and visit.phase is Phase.UNKNOWN

    return is_in_doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Runs that a filter fits and a command can be meant for, as long as they stay so."""

    core: Core
    wanted: Filter
    meant: Callable[[State], bool]
    #: Accepted later than this, a run is none of them: it was not counted. ms, Redis' clock.
    until: int
    #: At most so many, the latest ones; None for all.
    limit: int | None = None

    def runs(self) -> Iterator[tuple[str, State]]:
        """Newest first. What is done to a run meanwhile moves no other."""
        return islice(self._fitting(), self.limit)

    def count(self) -> int:
        return sum(1 for _ in self.runs())

    def _fitting(self) -> Iterator[tuple[str, State]]:
        journal, since = self.core.journal, self.wanted.since
        after, until = "", self.until
        while page := journal.page(after=after, until=until, since=since, limit=PAGE):
            for one in page:
                if one.state and self.meant(one.state) and self.wanted.fits(one.state):
                    yield one.run, one.state
            after, until = page[-1].run, page[-1].accepted


def select(
    core: Core,
    wanted: Filter,
    meant: Callable[[State], bool],
    *,
    limit: int | None = None,
) -> Selection:
    """``meant``: one of this module's, e.g. ``goes_on`` for a cancel."""
    until = core.journal.now()
    return Selection(core=core, wanted=wanted, meant=meant, until=until, limit=limit)


@dataclass(frozen=True, slots=True)
class Done:
    run: str
    #: Why nothing was done; None when it was.
    refused: DurazzoError | None = None


def each(selection: Selection, act: Callable[[str], object]) -> Iterator[Done]:
    """Do it to every run; one that is refused stops no other.

    ``act`` has a run's id, e.g. ``partial(cancel, core, by=…, must=True)``. Lazy: what is not
    asked for is not done. Raises JournalUnavailable: what was done until then stands.
    """
    return done_to((run for run, _ in selection.runs()), act)


def done_to(runs: Iterable[str], act: Callable[[str], object]) -> Iterator[Done]:
    """As ``each``."""
    for run in runs:
        try:
            act(run)
        except (JournalUnavailable, NoWorker):
            raise
        except DurazzoError as error:
            yield Done(run, error)
        else:
            yield Done(run)


__all__ = [
    "Done", "Filter", "Selection", "begins_more", "each", "ended_badly", "goes_on", "in_doubt_at",
    "is_paused", "select", "where",
]  # fmt: skip

"""What Flower's server shows of runs, beside Flower's own pages: ids, names and codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    step: str
    state: str
    visits: int
    #: Calls begun, over all visits.
    calls: int
    #: HTTP status of the last answer, 0 when there was none.
    status: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    run: str
    workflow: str
    state: str
    #: How long it is in its state, or took to get there: "for 3 min", "after 0.2 s".
    since: str
    #: When it was accepted, in which lane.
    head: Sequence[str]
    #: What stands, what is wrong, and what to do about it: sentences.
    advice: Sequence[str]
    #: What can be typed next.
    commands: Sequence[str]
    steps: Sequence[StepRow]
    #: What it did to the world outside, without amounts.
    effects: Sequence[str]
    #: Lines of what happened, in order of time, for a fixed font.
    story: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    run: str
    workflow: str
    code: str
    steps: str
    age: str
    #: What it did to the world outside, though it came to no good end.
    stands: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    title: str
    #: What to do about them.
    advice: str
    rows: Sequence[RunRow]
    #: How many there are of them, those that are not shown as well.
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsView:
    """What is wrong first."""

    #: Providers that nobody calls.
    stops: Sequence[str]
    tables: Sequence[Table]
    #: Lane, state and number of the runs that have not ended.
    lanes: Sequence[tuple[str, str, int]]
    #: How many runs were looked at.
    looked_at: str


class Views(Protocol):
    """Reads the journal, and opens nothing that is sealed. Any thread.

    Raises JournalUnavailable, and NewerRelease for a run that only a newer release can read.
    """

    def run(self, run: str) -> RunView:
        """``run``: its whole id. Raises UnknownRun."""
        ...

    def runs(self) -> RunsView: ...


__all__ = ["RunRow", "RunView", "RunsView", "StepRow", "Table", "Views"]

"""What the journal promises of batches: rows that become runs, as a window has room for them.

A row becomes a run once, whoever admits it; a run that ends is counted once. What stands here of
a row outlives its run.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from orchestrator.expressions.nodes import Json

#: In place of a run key that was erased.
ERASED: Final = "[erased]"

#: Rows of a block: they are stored, read and forgotten together.
BLOCK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    #: Of the row in its file, from 1: rows that were bad leave gaps.
    number: int
    key: str | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    id: str
    #: Whose rows it gets.
    upload: str
    #: Rows that were uploaded.
    total: int
    #: What these rows and this plan are told apart by.
    print: str
    plan: bytes
    digest: str
    name: str
    lane: str
    starts: Sequence[str]
    #: As ``NewRun`` has it.
    reads: Mapping[str, Sequence[str]]
    #: Runs that are busy at one time.
    window: int
    #: Of ended runs, as a share of 1: the batch stops by itself when more have failed; 0 for never.
    ratio: float = 0.0
    #: Scope of the rows' run keys, "" where they have none.
    key_scope: str = ""
    #: Of each run, from its admission. ms, 0 for none.
    within: int = 0
    #: As ``State`` has them, of each run.
    accounts: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch's counters say. They are kept, not computed: reading them costs the same for all
    sizes.
    """

    id: str
    digest: str
    name: str
    lane: str
    window: int
    total: int
    #: Rows that have become runs, or never will.
    admitted: int
    #: ms, Redis' clock.
    at: int
    by: str
    #: Where its rows and records are sealed to.
    place: str
    #: Blocks' size.
    size: int
    key_scope: str
    ratio: float
    #: When it was cancelled. ms, 0 for never.
    over: int
    #: End → rows: "succeeded", "failed", "cancelled"; "known": its run key was used before, for
    #: just this; "refused": for something else; "given-up": never begun.
    ends: Mapping[str, int]
    #: Code → failed rows, of the commonest codes.
    codes: Mapping[str, int]
    #: "charged", "charged:usd" → how many, how much in minor units, of rows that have ended.
    sums: Mapping[str, int]
    #: Rows with a place in the window.
    busy: int = 0
    #: Rows whose run is in doubt.
    parked: int = 0
    #: As ``State`` has them, of each run.
    accounts: str = ""
    #: By whom it is stopped, "" when it is not; the code when durazzo did.
    stopped: str = ""
    stopped_code: str = ""

    @property
    def ended(self) -> int:
        return sum(self.ends.values())

    @property
    def waiting(self) -> int:
        """Rows that are no runs yet."""
        return 0 if self.over else self.total - self.admitted

    @property
    def state(self) -> str:
        """One of "running", "paused", "finished" and "cancelled"."""
        if self.ended >= self.total:
            return "cancelled" if self.over else "finished"
        if self.stopped:
            return "paused"
        return "cancelled" if self.over else "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admittee:
    """A row that becomes a run; or, with a summary, a row that does not."""

    row: Row
    run: str
    #: As ``Record`` has it, of a row that becomes no run.
    record: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a row came to: kept for as long as the batch."""

    #: As ``Batch.ends`` has it.
    end: str
    code: str = ""
    run: str = ""
    step: str = ""
    #: When the run ended. ms, Redis' clock.
    at: int = 0
    #: What stands: a line for each step that did anything: its id, and texts of engine/effects.py.
    effects: str = ""
    #: What the effects sum to, see ``Batch.sums``.
    sums: Mapping[str, int] = field(default_factory=dict)


def run_of(batch: str, number: int) -> str:
    """A row's run: always the same one."""
    return f"{batch}-{number}"


def batch_of(run: str) -> str:
    """Of a row's run; "" for a single one, whose id has no number behind it."""
    batch, _, number = run.rpartition("-")
    return batch if number.isdecimal() else ""


def row_of(run: str) -> int:
    return int(run.rpartition("-")[2])


class Admitted(StrEnum):
    YES = "admitted"
    MOVED = "moved"  #: somebody else admitted, or a key was taken: look again
    FULL = "full"
    STOPPED = "stopped"
    OVER = "over"  #: cancelled, or unheard of


class Opened(StrEnum):
    NEW = "new"
    SAME = "same"  #: it is there already, with these very rows
    OTHER = "other"  #: its name is taken by other rows, or another workflow


class Batches(Protocol):
    """Raises JournalUnavailable from every method when Redis cannot be asked."""

    def mac(self, digest: bytes) -> str:
        """What rows are told apart by, in hex: nobody guesses the rows from it."""
        ...

    def upload(self, upload: str, number: int, rows: Sequence[Row]) -> None:
        """A block of rows. What is not opened within an hour of its last block is forgotten."""
        ...

    def discard(self, upload: str) -> None: ...

    def open(self, new: NewBatch) -> Opened:
        """From here on the rows become runs, whatever dies. Raises UploadGone."""
        ...

    def read(self, batch: str) -> Batch | None: ...

    def all(self) -> list[str]:
        """Newest first."""
        ...

    def active(self) -> list[str]:
        """Those with rows that are no runs yet."""
        ...

    def rows(self, batch: Batch, block: int) -> list[Row]:
        """Of rows that are no runs yet; none of a block that is forgotten."""
        ...

    def index(self, batch: Batch, block: int) -> list[tuple[int, str | None]]:
        """Numbers and run keys of a block's rows, whatever became of them."""
        ...

    def records(self, batch: Batch, numbers: Sequence[int]) -> list[Record | None]: ...

    def parked(self, batch: str) -> list[int]: ...

    def known(self, batch: Batch, rows: Sequence[Row]) -> dict[int, tuple[str, bool]]:
        """Row → run that its key stands for, and whether that has this plan and these inputs.

        And names the same accounts.
        """
        ...

    def admit(
        self, batch: Batch, starts: Sequence[str], admittees: Sequence[Admittee], *, drop: int = -1
    ) -> Admitted:
        """The next rows, in their order. ``drop``: the block that ends with them."""
        ...

    def redact(self, batch: Batch, block: int, numbers: Container[int]) -> int:
        """Erase what these rows brought along, their run keys among it; of how many.

        None of them may be a row that is no run yet.
        """
        ...

    def cancel(self, batch: str, *, by: str, reason: str) -> int:
        """What has not begun is given up; how many rows. -1 for an unheard-of batch."""
        ...

    def set_base(self, batch: str) -> None:
        """Failures so far count no more when it is judged whether too many fail."""
        ...

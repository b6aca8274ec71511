"""Rows as they come out of a file, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from orchestrator.batch.faults import Faults
from orchestrator.batch.lines import Lines
from orchestrator.expressions.nodes import Json

#: Rows of one batch, unless its caller allows fewer.
MAX_ROWS: Final = 1_000_000
#: Columns of a header; members of one line's object.
MAX_COLUMNS: Final = 1000
#: A column's name. Characters.
MAX_NAME: Final = 256


class Row(NamedTuple):
    """There may be a million: a tuple is made in half the time that a frozen dataclass takes."""

    #: Data rows count from 1, those with faults as well.
    number: int
    #: Where the row begins in the file, from 1.
    line: int
    #: By column. Those of a CSV file are texts.
    values: Mapping[str, Json]


class Reading(ABC):
    """One pass over a file: its rows in order. What is wrong with one is put to the faults."""

    #: The names in the header; None where each row has its own.
    columns: tuple[str, ...] | None = None
    #: What parts the cells; "" where nothing does.
    delimiter = ""

    def __init__(self, lines: Lines, faults: Faults, max_rows: int) -> None:
        self._lines = lines
        self._faults = faults
        self._max_rows = max_rows
        #: Those that were met so far, with those that could not be read.
        self.rows = 0

    @abstractmethod
    def _each(self) -> Iterator[Row]: ...

    def __iter__(self) -> Iterator[Row]:
        """Raises RowsRefused where nothing more can be read, or there was nothing to read."""
        yield from self._each()
        if not self.rows:
            raise self._faults.stop("rows-empty", "there are no rows: a batch needs one at least")

    def _count(self) -> int:
        self.rows += 1
        if self.rows > self._max_rows:
            message = f"there are more than {self._max_rows} rows: make several batches of them"
            raise self._faults.stop("rows-too-large", message, self._lines.row_line)
        return self.rows

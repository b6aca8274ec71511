"""Rows of a CSV file (RFC 4180), as spreadsheets and databases write them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain

from orchestrator.batch.faults import Faults
from orchestrator.batch.lines import Lines
from orchestrator.batch.reading import MAX_COLUMNS, MAX_NAME, Reading, Row
from orchestrator.errors import RowsRefused


class CsvRows(Reading):
    """The first row is the header; blank lines are no rows."""

    def __init__(self, lines: Lines, faults: Faults, max_rows: int) -> None:
        """Reads the header. Raises RowsRefused for one that cannot be used."""
        super().__init__(lines, faults, max_rows)
        texts = iter(lines)
        first = self._first(texts)
        self.delimiter = _delimiter(first)
        self._records = csv.reader(chain([first], texts), delimiter=self.delimiter, strict=True)
        header = self._record() or []
        self._check(header)
        self.columns: tuple[str, ...] = tuple(header)
        lines.begin_row()

    def _each(self) -> Iterator[Row]:
        columns, width = self.columns, len(self.columns)
        while (cells := self._record()) is not None:
            number, line = self._count(), self._lines.row_line
            if len(cells) == width:
                yield Row(number, line, dict(zip(columns, cells, strict=True)))
            else:
                message = f"{_cells(len(cells))}, and the header has {width}"
                self._faults.add("row-cells", message, line, min(len(cells), width) + 1)
            self._lines.begin_row()

    def _first(self, texts: Iterator[str]) -> str:
        for text in texts:
            if not text.isspace():
                return text
            self._lines.begin_row()
        raise self._faults.stop("rows-empty", "the file is empty: it needs a header and rows")

    def _record(self) -> list[str] | None:
        try:
            while (cells := next(self._records, None)) == []:
                self._lines.begin_row()
        except csv.Error as error:
            raise self._broken(str(error)) from None
        return cells

    def _broken(self, reason: str) -> RowsRefused:
        line = self._lines.row_line
        if "field limit" in reason:
            message = f"a cell has more than {csv.field_size_limit()} characters"
            return self._faults.stop("rows-too-large", message, line)
        if "unexpected end" in reason:
            message = "a quote is opened here and never closed"
        else:
            message = "text stands behind a closing quote: within quotes, a quote is written twice"
        return self._faults.stop("rows-quote", message, line)

    def _check(self, header: Sequence[str]) -> None:
        """Names are not repeated: where a header was forgotten, they are a person's data."""
        line = self._lines.row_line
        if len(header) > MAX_COLUMNS:
            message = f"there are more than {MAX_COLUMNS} columns"
            raise self._faults.stop("rows-header", message, line, MAX_COLUMNS + 1)
        places: dict[str, int] = {}
        for column, name in enumerate(header, 1):
            if not name.strip():
                self._faults.add("rows-header", f"column {column} has no name", line, column)
            elif len(name) > MAX_NAME:
                message = f"the name of column {column} has more than {MAX_NAME} characters"
                self._faults.add("rows-header", message, line, column)
            elif (other := places.setdefault(name, column)) != column:
                message = f"columns {other} and {column} have the same name"
                self._faults.add("rows-header", message, line, column)
        self._faults.raise_if_any()


def _delimiter(header: str) -> str:
    """A comma; in a header without one a semicolon, or a TAB. What stands in quotes is a name."""
    bare = "".join(header.split('"')[::2])
    return next((mark for mark in ",;\t" if mark in bare), ",")


def _cells(count: int) -> str:
    return "there is 1 cell" if count == 1 else f"there are {count} cells"

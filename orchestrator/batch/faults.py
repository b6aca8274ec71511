"""What is wrong with the rows, and where: the first faults in full, all of them counted.

A code that begins with ``rows-`` is about the whole file, and ends the reading; one that begins
with ``row-`` is about one row, which can be left out. No message holds what stands in a cell.
"""

from __future__ import annotations

from typing import Final, Literal

from orchestrator.errors import Diagnostic, RowsRefused

Code = Literal[
    "rows-format", "rows-encoding", "rows-quote", "rows-header", "rows-columns", "rows-too-large",
    "rows-empty", "row-cells", "row-json", "row-type", "row-input", "row-key", "row-key-twice",
]  # fmt: skip

#: Faults that are kept; the others are counted.
MAX_SHOWN: Final = 20


class Faults:
    """Those of one file. ``column`` is a cell's number, or a character where none can be read."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._shown: list[Diagnostic] = []
        self.found = 0

    @property
    def shown(self) -> tuple[Diagnostic, ...]:
        return tuple(self._shown)

    def add(self, code: Code, message: str, line: int, column: int = 1) -> None:
        self.found += 1
        if len(self._shown) < MAX_SHOWN:
            self._shown.append(
                Diagnostic(
                    code=code,
                    severity="error",
                    message=message,
                    file=self._file,
                    line=line,
                    column=column,
                )
            )

    def stop(self, code: Code, message: str, line: int = 1, column: int = 1) -> RowsRefused:
        """Nothing after this can be read: raise what this gives."""
        if len(self._shown) == MAX_SHOWN:
            # Why the reading ended is the one thing that must be seen.
            self._shown.pop()
        self.add(code, message, line, column)
        return RowsRefused(self.shown, found=self.found)

    def raise_if_any(self) -> None:
        """Raises RowsRefused."""
        if self.found:
            raise RowsRefused(self.shown, found=self.found)

"""The rows of a batch: from CSV or JSON Lines, streamed."""

from __future__ import annotations

from pathlib import PurePath
from typing import BinaryIO, Final, Literal

from orchestrator.batch.cells import CsvRows
from orchestrator.batch.faults import Faults
from orchestrator.batch.lines import Lines
from orchestrator.batch.objects import JsonRows
from orchestrator.batch.reading import MAX_ROWS, Reading

Format = Literal["csv", "jsonl"]

_BY_NAME: Final[dict[str, Format]] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(file: str, head: bytes) -> Format:
    """By the file's name; of ``-``, by how it begins: with ``{``, it is JSON Lines.

    ``head`` are the first bytes. Raises RowsRefused for a name that says nothing.
    """
    if file == "-":
        return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"
    if found := _BY_NAME.get(PurePath(file).suffix.lower()):
        return found
    raise Faults(file).stop(
        "rows-format", "the name does not end in .csv, .jsonl or .ndjson: give --format"
    )


def read(
    stream: BinaryIO, *, format: Format, faults: Faults, max_rows: int = MAX_ROWS  # noqa: A002
) -> Reading:  # fmt: skip
    """One pass over the rows, from where the (buffered) stream stands.

    Raises RowsRefused, here for a header that cannot be used, and while iterating for anything
    after which no row can be told from the next. A row that cannot be read alone is a fault.
    """
    kind = CsvRows if format == "csv" else JsonRows
    return kind(Lines(stream, faults), faults, max_rows)

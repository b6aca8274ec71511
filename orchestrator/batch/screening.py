"""All rows of a file are judged before one of them is accepted."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final, NamedTuple

from orchestrator.batch.amounts import Amounts
from orchestrator.batch.columns import Columns
from orchestrator.batch.faults import Faults
from orchestrator.batch.reading import MAX_ROWS, Row
from orchestrator.batch.rows import Format, read
from orchestrator.batch.seen import SeenKeys
from orchestrator.errors import Diagnostic
from orchestrator.expressions.nodes import Json
from orchestrator.formats.canonical import canonical
from orchestrator.plan import codec
from orchestrator.plan.checker import MAX_INPUTS, MAX_KEY, checker, too_large
from orchestrator.plan.model import Plan

#: Of a batch's id; 80 bits of its digest.
_ID_LENGTH: Final = 16
#: The most that a character of canonical JSON takes in the JSON that ``too_large`` measures.
_WIDEST: Final = 12


class Checked(NamedTuple):
    """A row that can be accepted."""

    #: Data rows count from 1, those with faults as well.
    number: int
    #: Its run key; None if the batch has no column of keys.
    key: str | None
    #: With the defaults of what the row leaves out.
    inputs: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What one pass over a file has found."""

    good: int
    bad: int
    #: The first of them, in the order in which they were met.
    faults: tuple[Diagnostic, ...]
    #: How many there are in all; a row may have several.
    found: int
    #: Columns that no input takes.
    unused: tuple[str, ...]
    #: Of these, the ones whose name is nearly an input's → that input.
    alike: Mapping[str, str]
    #: What parts the cells; "" for JSON Lines.
    delimiter: str
    #: By currency, in minor units, of the good rows; None if they have no total.
    totals: Mapping[str, int] | None
    #: Of the plan and the good rows in their order, however the file writes them. Hexadecimal.
    digest: str


class Screening:
    """One pass. Iterated once, it yields the good rows; then ``summary`` is complete.

    The same file screened again yields the same rows and the same digest: a second pass whose
    digest differs has read a file that was changed meanwhile.
    """

    def __init__(
        self,
        plan: Plan,
        stream: BinaryIO,
        *,
        file: str,
        format: Format,  # noqa: A002
        salt: bytes,
        mapping: Mapping[str, str] | None = None,
        key: str | None = None,
        common: Mapping[str, Json] | None = None,
        amounts: Amounts | None = None,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """``mapping``: input → column. ``key``: the column of run keys. ``salt``: ``SeenKeys``.
        ``common``: inputs of every row that gives none of its own.

        Raises RowsRefused where no row can be good: see ``Columns`` and ``read``.
        """
        self._faults = Faults(file)
        self._rows = read(stream, format=format, faults=self._faults, max_rows=max_rows)
        inputs = plan.inputs.filled(common or {})
        self._columns = Columns(
            inputs, self._rows.columns, self._faults, mapping=mapping or {}, key=key
        )
        self._key = key
        self._checker = checker(inputs)
        self._seen = SeenKeys(salt)
        self._amounts = amounts or Amounts()
        self._digest = sha256(codec.digest(codec.encode(plan)).encode())
        self._good = 0

    def __iter__(self) -> Iterator[Checked]:
        """Raises RowsRefused where nothing more can be read."""
        for row in self._rows:
            checked = self._checked(row)
            if checked is not None:
                self._good += 1
                yield checked
        self._columns.finish()

    @property
    def summary(self) -> Summary:
        return Summary(
            good=self._good,
            bad=self._rows.rows - self._good,
            faults=self._faults.shown,
            found=self._faults.found,
            unused=self._columns.unused,
            alike=self._columns.alike(),
            delimiter=self._rows.delimiter,
            totals=self._amounts.totals,
            digest=self._digest.hexdigest(),
        )

    def raise_if_bad(self) -> None:
        """Raises RowsRefused if anything was wrong."""
        self._faults.raise_if_any()

    def _checked(self, row: Row) -> Checked | None:
        before = self._faults.found
        key = None if self._key is None else self._key_of(row, self._key)
        given, unread = self._columns.inputs(row)
        filled = self._checker.filled(given)
        if unread or not self._checker.fits(filled):
            self._misfits(row, filled, unread)
        if self._faults.found > before:
            return None
        text = canonical([key, filled])
        if len(text) * _WIDEST > MAX_INPUTS and too_large(filled):
            message = f"the inputs are larger than {MAX_INPUTS // 1024} KiB"
            self._faults.add("row-input", message, row.line)
            return None
        # No line end stands in JSON text unescaped.
        self._digest.update(b"\n" + text.encode())
        self._amounts.add(filled)
        return Checked(row.number, key, filled)

    def _misfits(self, row: Row, filled: Mapping[str, Json], unread: set[str]) -> None:
        for problem in self._checker.problems(filled):
            if problem.input not in unread:
                column = self._columns.of(problem.input)
                shown = "" if column == problem.input else f"column {column!r}: "
                place = self._columns.place(column)
                self._faults.add("row-input", shown + problem.rule, row.line, place)

    def _key_of(self, row: Row, column: str) -> str | None:
        """None for none that can be used: a fault."""
        written = row.values.get(column)
        # A number in JSON Lines is the same key as its digits in CSV.
        key = str(written) if type(written) is int else written
        place = self._columns.place(column)
        if not isinstance(key, str) or not key.strip() or len(key) > MAX_KEY:
            message = f"column {column!r}: a run key has 1 to {MAX_KEY} characters"
            self._faults.add("row-key", message, row.line, place)
            return None
        if line := self._seen.first(key, row.line):
            message = f"column {column!r}: line {line} has the same run key"
            self._faults.add("row-key-twice", message, row.line, place)
        return key


def batch_id(digest: str) -> str:
    """The id of a batch that is given none: the same rows are the same batch."""
    name = b32encode(bytes.fromhex(digest)).decode().lower()
    return f"b-{name[:_ID_LENGTH]}"

"""Which column feeds which input, and how its text becomes the input's value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from orchestrator.batch.faults import Faults
from orchestrator.batch.reading import MAX_COLUMNS, Row
from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import did_you_mean
from orchestrator.formats.inputs import declared
from orchestrator.plan.given import Reader, input_types, reader
from orchestrator.plan.model import InputSchema

#: Of a type, how a cell says it.
_SAID: Final[Mapping[str, str]] = {
    "array": "a JSON array",
    "boolean": "true or false",
    "integer": "digits only",
    "null": "null",
    "number": "a decimal with a dot, of at most 15 digits",
    "object": "a JSON object",
}
#: As spreadsheets (TRUE) and databases (1) write them.
_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


class _Take(NamedTuple):
    input: str
    column: str
    #: None keeps the text.
    read: Reader | None
    #: An empty cell is then nothing given.
    drops_empty: bool


class Columns:
    """An input takes the column that is mapped to it, or else the one of its own name.

    A cell of CSV becomes what the input's schema says. An empty one gives nothing, so that the
    default counts, but to an input that may be a string and has no default: that gets "".
    A boolean may be TRUE or 1. A number is kept to its last digit, or refused.
    """

    def __init__(
        self,
        schema: InputSchema,
        columns: tuple[str, ...] | None,
        faults: Faults,
        *,
        mapping: Mapping[str, str],
        key: str | None,
    ) -> None:
        """Raises RowsRefused when some input can get no value in any row."""
        self._schema = schema
        self._types = input_types(schema)
        self._faults = faults
        self._mapping = mapping
        self._key = key
        #: Inputs and columns that do not go by their own name.
        self._mapped = {*mapping, *mapping.values()}
        #: None: any name may be an input.
        self._known = _known(schema)
        self._header = columns
        self._places = {name: place for place, name in enumerate(columns or (), 1)}
        self._takes = self._paired(columns)
        #: Of JSON Lines: the names that were met.
        self._met: set[str] = set()
        self._check_mapping()
        if columns is not None:
            self._check_header(columns)

    def place(self, column: str) -> int:
        """The column's number, from 1; 1 where columns have none."""
        return self._places.get(column, 1)

    def of(self, name: str) -> str:
        """The column that feeds an input, if one does."""
        return self._mapping.get(name, name)

    def inputs(self, row: Row) -> tuple[dict[str, Json], set[str]]:
        """What the row gives, and the inputs whose cells cannot be read: they are faults."""
        if self._header is None:
            return self._members(row.values), set()
        given: dict[str, Json] = {}
        unread: set[str] = set()
        for name, column, read, drops_empty in self._takes:
            text = row.values[column]
            if text == "" and drops_empty:
                continue
            try:
                given[name] = text if read is None else read(str(text))
            except ValueError:
                unread.add(name)
                self._unread(name, column, row.line)
        return given, unread

    def _members(self, values: Mapping[str, Json]) -> dict[str, Json]:
        if not values.keys() <= self._met:
            self._meet(values)
        given: dict[str, Json] = {}
        if self._known is None:
            given = {name: value for name, value in values.items() if name not in self._mapped}
        for name, column, _, _ in self._takes:
            if column in values:
                given[name] = values[column]
        return given

    def _meet(self, values: Mapping[str, Json]) -> None:
        """The names of a million rows may all differ; those of the first are enough to tell."""
        wanted = {take.column for take in self._takes}
        for name in values:
            if name in wanted or len(self._met) < MAX_COLUMNS:
                self._met.add(name)

    def finish(self) -> None:
        """All rows were read. Raises RowsRefused if none had a column that was asked for."""
        if self._header is None:
            for name, column in self._mapping.items():
                if column not in self._met:
                    message = f"no row has {column!r}, which input {name!r} is to take"
                    raise self._faults.stop("rows-columns", message)

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns that no input takes, in the order of the header; of JSON Lines, sorted."""
        taken = {take.column for take in self._takes} | {self._key}
        if self._header is not None:
            return tuple(name for name in self._header if name not in taken)
        return () if self._known is None else tuple(sorted(self._met - taken))

    def alike(self) -> dict[str, str]:
        """Of the unused columns, those whose name is an input's but for case, ``-`` and ``_``."""
        inputs = {_folded(name): name for name in self._known or ()}
        found = {column: inputs.get(_folded(column)) for column in self.unused}
        return {column: name for column, name in found.items() if name is not None}

    def _paired(self, columns: tuple[str, ...] | None) -> tuple[_Take, ...]:
        names = self._known
        if names is None:
            names = frozenset(columns or ()) - self._mapped
        wanted = {**{name: name for name in sorted(names)}, **self._mapping}
        pairs = wanted.items()
        there = self._places if columns is not None else {*wanted.values()}
        return tuple(self._take(name, column) for name, column in pairs if column in there)

    def _take(self, name: str, column: str) -> _Take:
        read = _cell_reader(self._types.get(name, frozenset()))
        has_default = any(name == other for other, _ in self._schema.defaults)
        return _Take(name, column, read, read is not None or has_default)

    def _check_mapping(self) -> None:
        for name in self._mapping:
            if self._known is not None and name not in self._known:
                hint = did_you_mean(name, self._known)
                self._fault(f"--map: the workflow has no input {name!r}{hint}")
        self._faults.raise_if_any()

    def _check_header(self, columns: tuple[str, ...]) -> None:
        """Raises RowsRefused. Column names are told only where some of them are inputs':

        where a header was forgotten, they are a person's data.
        """
        if not self._takes:
            some = ", ".join(sorted(self._known or ())[:8])
            inputs = f" ({some})" if some else ""
            self._fault(
                f"no column has the name of an input{inputs}: is the first row the header?"
                " --map input=column takes a column of another name"
            )
            self._faults.raise_if_any()
        for name, column in self._mapping.items():
            if column not in self._places:
                hint = did_you_mean(column, columns)
                self._fault(f"--map {name}: there is no column {column!r}{hint}")
        if self._key is not None and self._key not in self._places:
            hint = did_you_mean(self._key, columns)
            self._fault(f"--key: there is no column {self._key!r}{hint}")
        taken = {take.input for take in self._takes} | self._mapping.keys()
        for name in _needed(self._schema):
            if name not in taken:
                self._fault(f"input {name!r} has no column{_hint(name, columns)}")
        self._faults.raise_if_any()

    def _fault(self, message: str) -> None:
        self._faults.add("rows-columns", message, 1)

    def _unread(self, name: str, column: str, line: int) -> None:
        kinds = sorted(self._types[name])
        said = " or ".join(_SAID.get(kind, kind) for kind in kinds)
        message = f"{_cell(name, column)}: not of type {' or '.join(kinds)} ({said})"
        self._faults.add("row-type", message, line, self._places[column])


def _known(schema: InputSchema) -> frozenset[str] | None:
    names = declared(json.loads(schema.schema))
    return names | set(schema.referenced) if names else None


def _needed(schema: InputSchema) -> list[str]:
    """Inputs without which no row can run, in the order of the plan."""
    written = json.loads(schema.schema)
    required = written.get("required", []) if isinstance(written, dict) else []
    defaults = {name for name, _ in schema.defaults}
    names = dict.fromkeys((*schema.referenced, *required))
    return [name for name in names if name not in defaults]


def _hint(name: str, columns: Iterable[str]) -> str:
    near = [column for column in columns if _folded(column) == _folded(name)]
    if len(near) == 1:
        return f"; if column {near[0]!r} is meant: --map {name}={near[0]}"
    ways = f"--map {name}=COLUMN names another, -i {name}=VALUE is for all rows"
    return f"{did_you_mean(name, columns)} {ways}"


def _folded(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")


def _cell(name: str, column: str) -> str:
    return f"column {column!r}" if name == column else f"column {column!r} (input {name!r})"


def _cell_reader(types: frozenset[str]) -> Reader | None:
    read = reader(types)
    if read is None or "boolean" not in types or types & {"integer", "number"}:
        return read
    others = read

    def boolean(text: str) -> Json:
        word = _BOOLEANS.get(text.casefold())
        return others(text) if word is None else word

    return boolean

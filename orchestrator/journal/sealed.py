"""Every place in Redis where something is sealed, and how it stands there.

The table is keys.py's: what is sealed there has a row here, and nothing else knows all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeAlias

import redis

from orchestrator.journal import compact, reasons
from orchestrator.journal.keys import Keys
from orchestrator.journal.trouble import answering

#: A sealed value and the place it is bound to → what is to stand there.
Turn: TypeAlias = Callable[[bytes, str], bytes]

#: Names that Redis looks at in one go, and spots of a page: a large batch has a hundred thousand.
_NAMES: Final = 500
_SPOTS: Final = 1_000
#: Fields of a hash, or events of a list, of one answer.
_FIELDS: Final = 200
_LINES: Final = 1_000


class Kind(StrEnum):
    """What is sealed, as a person hears of it."""

    RUNS = "runs"  #: inputs, run key, outputs and requests of those that are not put away
    FINISHED = "finished runs"  #: of those that are
    REASONS = "reasons"
    PLANS = "plans"
    RUN_KEYS = "run keys"
    ROWS = "rows"
    RECORDS = "records"  #: of rows that came to their end
    UPLOADS = "uploads"
    PEPPER = "pepper"


class Form(StrEnum):
    """As reseal.lua has it."""

    STRING = "s"
    FIELD = "h"
    ITEM = "l"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A text in Redis with sealed values in it."""

    key: bytes
    form: Form
    #: Of a hash, or the place in a list.
    field: bytes | int
    kind: Kind
    text: bytes
    place: str
    shape: Callable[[bytes, str, Turn], bytes]

    def turned(self, turn: Turn) -> bytes:
        """The text with what ``turn`` makes of each sealed value.

        Raises NewerRelease, SealBroken, ValueError for a text that cannot be taken apart.
        """
        return self.shape(self.text, self.place, turn)


# How it stands in a text.


def _whole(text: bytes, place: str, turn: Turn) -> bytes:
    return turn(text, place)


def _record(text: bytes, place: str, turn: Turn) -> bytes:
    """Behind what scripts count by, see records.py."""
    head, mark, sealed = text.partition(b"\n")
    return head + mark + turn(sealed, place)


def _event(text: bytes, place: str, turn: Turn) -> bytes:
    return reasons.resealed(text, lambda sealed: turn(sealed, place))


def _of_the_house(text: bytes, _: str, turn: Turn) -> bytes:
    """An event says itself what it is about: a provider, or a batch."""
    fields = json.loads(text)
    about = f"batch:{fields['b']}" if "b" in fields else fields.get("p", "")
    return _event(text, f"stops:{about}", turn)


def _finished(text: bytes, run: str, turn: Turn) -> bytes:
    return compact.resealed(run, text, lambda line: _event(line, f"{run}:why", turn), turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Of the table: the keys of one kind."""

    #: Behind the prefix.
    name: str
    kind: Kind
    form: Form
    #: What a value is bound to: of the name's groups, ``field`` and ``owner``.
    place: str
    shape: Callable[[bytes, str, Turn], bytes] = _whole
    #: The one field that is sealed; "" for all of them.
    only: str = ""
    #: A field of the hash that the key belongs to: its own, or the one without the last word.
    owner: str = ""
    in_head: bool = False


_ROWS: Final = (
    _Row(name="done:(?P<id>.+)", kind=Kind.FINISHED, form=Form.STRING, place="{id}",
         shape=_finished),
    _Row(name="run:(?P<id>.+):data", kind=Kind.RUNS, form=Form.FIELD, place="{id}:{field}"),
    _Row(name="run:(?P<id>.+):log", kind=Kind.REASONS, form=Form.ITEM, place="{id}:why",
         shape=_event),
    _Row(name="key:.+", kind=Kind.RUN_KEYS, form=Form.FIELD, place="{owner}:print", only="print",
         owner="run"),
    _Row(name="plan:(?P<id>.+)", kind=Kind.PLANS, form=Form.FIELD, place="{id}", only="body"),
    _Row(name="batch:(?P<id>.+):out", kind=Kind.RECORDS, form=Form.FIELD,
         place="{id}:out:{field}", shape=_record),
    _Row(name="batch:.+:(?P<part>rows|index)", kind=Kind.ROWS, form=Form.FIELD,
         place="{owner}:{part}:{field}", owner="place", in_head=True),
    _Row(name="upload:(?P<id>.+):(?P<part>rows|index)", kind=Kind.UPLOADS, form=Form.FIELD,
         place="{id}:{part}:{field}"),
    _Row(name="stops", kind=Kind.REASONS, form=Form.FIELD, place="stops:{field}", shape=_event),
    _Row(name="house", kind=Kind.REASONS, form=Form.ITEM, place="", shape=_of_the_house),
    _Row(name="pepper", kind=Kind.PEPPER, form=Form.STRING, place="pepper"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A key, its row of the table, and the groups of its name."""

    key: bytes
    row: _Row
    names: dict[str, str]

    @property
    def head(self) -> bytes:
        return self.key.rpartition(b":")[0] if self.row.in_head else self.key

    def spot(self, field: bytes | int, text: bytes, owner: str) -> Spot:
        word = field.decode() if isinstance(field, bytes) else ""
        place = self.row.place.format(**self.names, field=word, owner=owner)
        return Spot(
            key=self.key, form=self.row.form, field=field, kind=self.row.kind, text=text,
            place=place, shape=self.row.shape,
        )  # fmt: skip


class Sealed:
    """What is sealed in a journal, page by page."""

    def __init__(self, client: redis.Redis, keys: Keys | None = None) -> None:
        self._client: Any = client
        self._prefix = f"{{{(keys or Keys()).prefix}}}:"
        self._rows = [(re.compile(row.name), row) for row in _ROWS]

    def pages(self) -> Iterator[list[Spot]]:
        """Two round trips for some 500 names, and one more for each piece of what is long.

        What stands there from the first to the last page is met. What moves meanwhile (a run that
        is put away, an upload that becomes a batch) may be missed: look again.
        """
        cursor = 0
        while True:
            with answering():
                cursor, names = self._client.scan(cursor, match=f"{self._prefix}*", count=_NAMES)
            spots = self._read(names)
            while page := list(islice(spots, _SPOTS)):
                yield page
            if int(cursor) == 0:
                return

    def _read(self, names: Iterable[bytes]) -> Iterator[Spot]:
        found = [one for name in names if (one := self._row(name)) is not None]
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for one in found:
                if one.row.owner:
                    pipeline.hget(one.head, one.row.owner)
                _ask(pipeline, one)
            told = iter(pipeline.execute())
        for one in found:
            owner = (next(told) or b"").decode() if one.row.owner else ""
            for field, text in self._texts(one, next(told)):
                yield one.spot(field, text, owner)

    def _row(self, name: bytes) -> _Found | None:
        text = name.decode().removeprefix(self._prefix)
        for pattern, row in self._rows:
            if match := pattern.fullmatch(text):
                return _Found(key=name, row=row, names=match.groupdict())
        return None

    def _texts(self, one: _Found, first: Any) -> Iterator[tuple[bytes | int, bytes]]:
        """``first``: the answer to ``_ask``."""
        if one.row.form is Form.ITEM:
            yield from self._lines(one.key, first)
        elif one.row.form is Form.FIELD and not one.row.only:
            yield from self._fields(one.key, first)
        elif first is not None:
            yield one.row.only.encode(), first

    def _fields(self, key: bytes, first: Any) -> Iterator[tuple[bytes, bytes]]:
        cursor, fields = first
        yield from fields.items()
        while int(cursor):
            with answering():
                cursor, fields = self._client.hscan(key, cursor, count=_FIELDS)
            yield from fields.items()

    def _lines(self, key: bytes, first: Any) -> Iterator[tuple[int, bytes]]:
        lines, start = first, 0
        while lines:
            yield from ((start + i, line) for i, line in enumerate(lines) if b'"sealed"' in line)
            if len(lines) < _LINES:
                return
            start += len(lines)
            with answering():
                lines = self._client.lrange(key, start, start + _LINES - 1)


def _ask(pipeline: Any, one: _Found) -> None:
    match one.row.form:
        case Form.STRING:
            pipeline.get(one.key)
        case Form.ITEM:
            pipeline.lrange(one.key, 0, _LINES - 1)
        case Form.FIELD if one.row.only:
            pipeline.hget(one.key, one.row.only)
        case Form.FIELD:
            pipeline.hscan(one.key, 0, count=_FIELDS)


__all__ = ["Form", "Kind", "Sealed", "Spot", "Turn"]

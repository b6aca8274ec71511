"""Sealing keys change: all that is sealed comes under the newest, beside workers that go on.

Nothing is locked, and nothing but the values themselves says how far it is: whoever stops halfway
leaves a journal that the same keys open, and the next call goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from orchestrator.errors import NewerRelease, SealBroken
from orchestrator.journal.keys import Keys
from orchestrator.journal.replies import raw
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import AesSeal, key_id
from orchestrator.journal.sealed import Kind, Sealed, Spot
from orchestrator.journal.trouble import answering

#: Values of one script, and their bytes: a millisecond or so of Redis.
_CHUNK: Final = 100
_BYTES: Final = 1_000_000
#: What moved while it was looked for is met the next time. Who writes under an older key all the
#: while would be followed for ever.
_PASSES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """After a page of the journal."""

    #: From 1: the second sees what moved during the first.
    number: int
    #: Values that were looked at.
    looked: int
    resealed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What is sealed with which key."""

    #: (key id, kind) → values; the id "" for what no key has sealed.
    values: Mapping[tuple[str, Kind], int]
    #: Finished runs that a newer release wrote, or that were changed: nobody here reads them.
    unread: int = 0

    def under(self, key: str) -> dict[Kind, int]:
        return {kind: number for (id_, kind), number in self.values.items() if id_ == key}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(id_ for id_, _ in self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    #: Values that came under the newest key.
    resealed: int
    passes: int
    #: As the last pass left it.
    census: Census
    #: Values that a key at hand does not open, for they were changed or moved.
    broken: int
    #: Values that were under another key in the last pass as well: somebody goes on writing them.
    late: int


@dataclass(slots=True, kw_only=True)
class _Pass:
    number: int = 1
    values: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    looked: int = 0
    #: Values that were to be sealed anew, and that were.
    tried: int = 0
    resealed: int = 0
    broken: int = 0
    unread: int = 0

    @property
    def census(self) -> Census:
        return Census(values=dict(self.values), unread=self.unread)


def census(
    client: redis.Redis, tell: Callable[[Progress], None], keys: Keys | None = None
) -> Census:
    """Of a journal that is being written: roughly. Raises JournalUnavailable."""
    found = _Pass()

    def count(spot: Spot) -> None:
        def turn(sealed: bytes, _: str) -> bytes:
            found.values[key_id(sealed), spot.kind] += 1
            found.looked += 1
            return sealed

        _read(spot, turn, found)

    for page in Sealed(client, keys).pages():
        for spot in page:
            count(spot)
        tell(Progress(number=1, looked=found.looked, resealed=0))
    return found.census


def pepper_id(client: redis.Redis, keys: Keys | None = None) -> str | None:
    """Id of the key that seals what a journal cannot do without; None for a journal without runs.

    One round trip. Raises JournalUnavailable.
    """
    with answering():
        found = client.get((keys or Keys()).pepper)
    return None if found is None else key_id(raw(found))


class Rotation:
    def __init__(self, client: redis.Redis, seal: AesSeal, keys: Keys | None = None) -> None:
        self._seal = seal
        self._sealed = Sealed(client, keys)
        self._scripts = Scripts(client, ("reseal",), barrier=False)

    def rotate(self, tell: Callable[[Progress], None]) -> Rotated:
        """All that can be opened comes under the newest key. Raises JournalUnavailable.

        It looks until there is nothing left to do, twice at least: what was put away, or taken out,
        while it looked for it is met the next time.
        """
        found = self._pass(1, 0, tell)
        while (found.tried or found.number == 1) and found.number < _PASSES:
            found = self._pass(found.number + 1, found.resealed, tell)
        return Rotated(
            resealed=found.resealed,
            passes=found.number,
            census=found.census,
            broken=found.broken,
            late=found.tried,
        )

    def _pass(self, number: int, resealed: int, tell: Callable[[Progress], None]) -> _Pass:
        found = _Pass(number=number, resealed=resealed)
        for page in self._sealed.pages():
            self._page(page, found)
            tell(Progress(number=number, looked=found.looked, resealed=found.resealed))
        return found

    def _page(self, page: Sequence[Spot], found: _Pass) -> None:
        news = ((spot, *self._anew(spot, found)) for spot in page)
        for chunk in _chunks((spot, new, count) for spot, new, count in news if count):
            keys: list[Any] = [spot.key for spot, _, _ in chunk]
            args = [w for s, new, _ in chunk for w in (s.form.value, s.field, s.text, new)]
            replaced = self._scripts.call("reseal", keys, args)
            found.tried += sum(count for _, _, count in chunk)
            found.resealed += sum(
                count for (_, _, count), yes in zip(chunk, replaced, strict=True) if yes
            )

    def _anew(self, spot: Spot, found: _Pass) -> tuple[bytes, int]:
        """The text under the newest key, and how many of its values came there."""
        newest, turned = self._seal.ids[0], 0

        def turn(sealed: bytes, place: str) -> bytes:
            nonlocal turned
            id_ = key_id(sealed)
            found.looked += 1
            if id_ == newest or id_ not in self._seal.ids:
                found.values[id_, spot.kind] += 1
                return sealed
            try:
                value = self._seal.open(sealed, place)
            except SealBroken:
                found.values[id_, spot.kind] += 1
                found.broken += 1
                return sealed
            turned += 1
            found.values[newest, spot.kind] += 1
            return self._seal.seal(value, place)

        return _read(spot, turn, found), turned


def _read(spot: Spot, turn: Callable[[bytes, str], bytes], found: _Pass) -> bytes:
    try:
        return spot.turned(turn)
    except (NewerRelease, SealBroken, ValueError):
        found.unread += 1
        return spot.text


def _chunks(rows: Iterator[tuple[Spot, bytes, int]]) -> Iterator[list[tuple[Any, bytes, int]]]:
    chunk: list[tuple[Spot, bytes, int]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row[0].text) + len(row[1])
        if len(chunk) == _CHUNK or size > _BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


__all__ = ["Census", "Progress", "Rotated", "Rotation", "census", "pepper_id"]

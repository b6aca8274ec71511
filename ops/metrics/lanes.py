"""Messages that wait in lanes: how many, and how long the one that is taken next has waited."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.canvas.messages import TaskId, lists
from orchestrator.journal.gauges import Gauges
from orchestrator.journal.port import Ref

#: Bytes of a message that is looked into: those that durazzo sends are a tenth of that.
_LONGEST: Final = 65_536


class Kind(StrEnum):
    """Messages of a lane, in the order in which workers take them."""

    UNDER_WAY = "under-way"  #: of single runs that have begun
    FRESH = "fresh"  #: the very first of a single run
    BULK = "bulk"  #: of a batch


#: Of each of a lane's lists, in their order.
_KINDS: Final = (Kind.UNDER_WAY, Kind.FRESH, Kind.BULK, Kind.BULK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    count: int = 0
    #: 0 where there is none, or nobody knows when it was sent. ms.
    age: int = 0

    def and_(self, other: Waiting) -> Waiting:
        return Waiting(count=self.count + other.count, age=max(self.age, other.age))


def waiting(gauges: Gauges, lanes: Iterable[str], now: int) -> dict[tuple[str, Kind], Waiting]:
    """By lane and kind; two round trips. ``now``: Redis' clock."""
    places = [
        (lane, kind, name) for lane in lanes for kind, name in zip(_KINDS, lists(lane), strict=True)
    ]
    queues = gauges.queues([name for _, _, name in places])
    ages = _ages(gauges, [queue.oldest for queue in queues], now)
    found: dict[tuple[str, Kind], Waiting] = {}
    for (lane, kind, _), queue, age in zip(places, queues, ages, strict=True):
        one = Waiting(count=queue.length, age=age)
        found[lane, kind] = found.get((lane, kind), Waiting()).and_(one)
    return found


def _ages(gauges: Gauges, messages: Sequence[bytes], now: int) -> list[int]:
    """A message says whose it is, and the journal when that was sent."""
    refs = [_ref(message) for message in messages]
    known = [ref for ref in refs if ref is not None]
    sent = iter(gauges.sent(known))
    return [0 if ref is None else _since(next(sent), now) for ref in refs]


def _since(sent: int, now: int) -> int:
    return max(0, now - sent) if sent else 0


def _ref(message: bytes) -> Ref | None:
    """None for what is no message of a step: whoever has Redis may put anything there."""
    if not message or len(message) > _LONGEST:
        return None
    try:
        task = TaskId.parse(json.loads(message)["headers"]["id"])
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return Ref(task.run, task.step, task.visit)


__all__ = ["Kind", "Waiting", "waiting"]

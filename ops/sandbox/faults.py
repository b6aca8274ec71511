"""Scripted trouble: what a test tells the sandbox to do wrong, to which requests, how often.

A fault is a JSON object:

| field | | |
|---|---|---|
| `match` | `"POST /stripe/v1/payment_intents*"` | method (may be left out) and a path pattern (`*`, `?`, `[…]`; `*` spans `/`) |
| `do` | `latency` | wait `ms`, then carry on; with `after: true` carry out first, then wait |
| | `status` | answer `status` with `body` and `headers`, carry out nothing, store nothing |
| | `stored_status` | the same, but kept under the idempotency key as Stripe keeps a 500 (`status` 500 unless given) |
| | `drip` | carry out, then send the body one byte every `ms` |
| | `drop_before` | close the connection, carry out nothing |
| | `drop_after` | carry out, then close the connection without an answer |
| `times` | 1 | how many requests it strikes; `null` for every one |
| `skip` | 0 | how many matching requests it lets pass first |
| `probability`, `seed` | 1, 0 | strikes at random, the same requests for the same seed |

Faults are asked in the order in which they were given. The first that strikes decides, those behind
it do not see the request. `latency` alone lets the others have their say as well, and adds up.
"""  # noqa: E501 - a table

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import translate
from typing import Final, TypeGuard

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
MAX_FAULTS: Final = 1_000


class Do(StrEnum):
    LATENCY = "latency"
    STATUS = "status"
    STORED_STATUS = "stored_status"
    DRIP = "drip"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    match: str
    do: Do
    ms: float | None = None
    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0

    @property
    def seconds(self) -> float:
        return (self.ms or 0) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What strikes one request."""

    #: Seconds before and after it is carried out.
    before: float = 0.0
    after: float = 0.0
    #: Any but a latency.
    fault: Fault | None = None

    @property
    def do(self) -> Do | None:
        return None if self.fault is None else self.fault.do

    @property
    def label(self) -> str | None:
        """What the ledger says: `latency`, `drop_after`, `latency+drop_after`, …"""
        late = [Do.LATENCY.value] if self.before or self.after else []
        rest = [] if self.fault is None else [self.fault.do.value]
        return "+".join(late + rest) or None


CALM: Final = Trouble()


class _Armed:
    """A fault and how far its script has run."""

    def __init__(self, fault: Fault) -> None:
        method, path = _split(fault.match)
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._method = method
        self._path = re.compile(translate(path))
        self._dice = random.Random(fault.seed)  # noqa: S311 - a script, not a secret

    def strikes(self, method: str, path: str) -> bool:
        if not self._concerns(method, path):
            return False
        self.seen += 1
        if self.seen <= self.fault.skip or self._dice.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def row(self) -> dict[str, object]:
        fault = self.fault
        row: dict[str, object] = {
            name: getattr(fault, name) for name in _FIELDS if name not in {"do", "headers"}
        }
        shown = {"do": fault.do.value, "headers": dict(fault.headers)}
        return row | shown | {"seen": self.seen, "struck": self.struck}

    def _concerns(self, method: str, path: str) -> bool:
        spent = self.fault.times is not None and self.struck >= self.fault.times
        right_method = self._method in {None, method}
        return right_method and not spent and self._path.match(path) is not None


class Faults:
    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, faults: Iterable[Fault]) -> None:
        self._armed.extend(map(_Armed, faults))

    def clear(self) -> None:
        self._armed.clear()

    def rows(self) -> list[dict[str, object]]:
        return [armed.row() for armed in self._armed]

    def __len__(self) -> int:
        return len(self._armed)

    def strike(self, method: str, path: str) -> Trouble:
        if not self._armed:
            return CALM
        before = after = 0.0
        for armed in self._armed:
            if not armed.strikes(method, path):
                continue
            fault = armed.fault
            if fault.do is not Do.LATENCY:
                return Trouble(before=before, after=after, fault=fault)
            before += 0.0 if fault.after else fault.seconds
            after += fault.seconds if fault.after else 0.0
        return Trouble(before=before, after=after)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with a fault's definition."""

    field: str
    message: str


def read_faults(document: object) -> tuple[list[Fault], list[Complaint]]:
    """Faults from JSON: one object or a list. All complaints, in the document's order."""
    many = isinstance(document, list)
    items: Sequence[object] = document if isinstance(document, list) else [document]
    faults: list[Fault] = []
    complaints: list[Complaint] = []
    for index, item in enumerate(items):
        where = f"[{index}]." if many else ""
        wrong = _complaints(item)
        complaints += [Complaint(f"{where}{c.field}".rstrip("."), c.message) for c in wrong]
        if not wrong and isinstance(item, dict):
            faults.append(Fault(**{**item, "do": Do(item["do"])}))
    return faults, complaints


def _complaints(item: object) -> list[Complaint]:
    if not isinstance(item, dict):
        return [Complaint("", "a fault is a JSON object")]
    unknown = [
        Complaint(str(name), f"unknown; a fault has {', '.join(_FIELDS)}")
        for name in item
        if name not in _FIELDS
    ]
    wrong = [
        Complaint(name, f"must be {rule.expected}")
        for name, rule in _FIELDS.items()
        if name in item and not rule.holds(item[name])
    ]
    absent = [Complaint(name, "is missing") for name in ("match", "do") if name not in item]
    return unknown + absent + wrong + _needs(item)


def _needs(item: Mapping[str, object]) -> list[Complaint]:
    needed = {"latency": "ms", "drip": "ms", "status": "status"}.get(str(item.get("do")))
    if needed is None or item.get(needed) is not None:
        return []
    return [Complaint(needed, f"is needed to do {item['do']}")]


def _split(match: str) -> tuple[str | None, str]:
    method, space, path = match.partition(" ")
    return (method, path) if space else (None, method)


@dataclass(frozen=True, slots=True)
class _Rule:
    expected: str
    holds: Callable[[object], bool]


def _is_match(value: object) -> bool:
    if not isinstance(value, str):
        return False
    method, path = _split(value)
    return path.startswith(("/", "*")) and (method is None or method in METHODS)


def _is_whole(value: object, low: int, high: int | None = None) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= low and (high is None or value <= high)


def is_number(value: object, low: float, high: float) -> TypeGuard[float]:
    """Neither a boolean nor NaN is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) and text.isascii() and text.isprintable()
        for pair in value.items()
        for text in pair
    )


_FIELDS: Final[Mapping[str, _Rule]] = {
    "match": _Rule("a path pattern, after a method or without: 'POST /stripe/*'", _is_match),
    "do": _Rule(f"one of {', '.join(Do)}", lambda v: isinstance(v, str) and v in set(Do)),
    "ms": _Rule("milliseconds, from 0 to 3600000", lambda v: is_number(v, 0, 3_600_000)),
    "status": _Rule("an HTTP status from 200 to 599", lambda v: _is_whole(v, 200, 599)),
    "body": _Rule("JSON", lambda _: True),
    "headers": _Rule("an object of printable ASCII strings", _is_headers),
    "after": _Rule("true or false", lambda v: isinstance(v, bool)),
    "times": _Rule("a whole number from 1, or null", lambda v: v is None or _is_whole(v, 1)),
    "skip": _Rule("a whole number from 0", lambda v: _is_whole(v, 0)),
    "probability": _Rule("a number from 0 to 1", lambda v: is_number(v, 0, 1)),
    "seed": _Rule("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
}

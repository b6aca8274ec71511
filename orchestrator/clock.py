"""Time and chance, as arguments. Redis' clock judges; this one only measures spans."""

from __future__ import annotations

import os
import random
import time
from typing import Final, Protocol

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    def monotonic_ms(self) -> int: ...

    def unix_ms(self) -> int: ...

    def sleep_ms(self, span: int) -> None: ...


class SystemClock:
    def monotonic_ms(self) -> int:
        # Where there is one, a clock that counts a suspended machine's time as well.
        return time.clock_gettime_ns(_STEADY) // 1_000_000

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep_ms(self, span: int) -> None:
        time.sleep(span / 1000)


class Entropy(Protocol):
    def uniform(self) -> float:
        """In [0, 1)."""
        ...

    def token(self, size: int) -> bytes: ...


class SystemEntropy:
    def uniform(self) -> float:
        return random.random()  # noqa: S311  jitter, not a secret

    def token(self, size: int) -> bytes:
        return os.urandom(size)


def time_of(sortable: str) -> int:
    """When such an id was made. ms since the epoch. Raises ValueError for what is none."""
    number = 0
    for letter in sortable:
        number = number << 5 | _CROCKFORD.index(letter)
    return number >> 80


def sortable_id(unix_ms: int, chance: bytes) -> str:
    """26 characters, in the order of time (a ULID in lower case): 48 bits of ms, 80 of chance."""
    number = (unix_ms << 80) | int.from_bytes(chance[:10], "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

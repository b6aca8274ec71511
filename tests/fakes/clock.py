"""Time and chance that a test decides."""

from __future__ import annotations

import random


class ManualClock:
    """Stands still until somebody moves it. ms."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def monotonic_ms(self) -> int:
        return self.now

    def unix_ms(self) -> int:
        return self.now

    def sleep_ms(self, span: int) -> None:
        self.now += span

    def advance(self, span: int) -> None:
        self.now += span


class SeededEntropy:
    """The same chances every time."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def uniform(self) -> float:
        return self._random.random()

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

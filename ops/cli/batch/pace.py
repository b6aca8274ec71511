"""How fast a batch goes: over the last ten seconds, and what is left at that pace. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from ops.cli import terminal

#: Looked back so far. ms.
_BACK: Final = 10_000
#: Nothing is told from less. ms.
_LEAST: Final = 1_000
_SLOW: Final = 10


class Pace:
    def __init__(self, total: int) -> None:
        self._total = total
        self._seen: deque[tuple[int, int]] = deque()
        #: Of the latest look. ms.
        self.now = 0

    def add(self, now: int, over: int) -> None:
        """``over``: rows that have ended by ``now`` (ms, monotonic)."""
        self.now = now
        self._seen.append((now, over))
        # One that is older stays: the distance is not shorter than what is looked back.
        while len(self._seen) > 1 and self._seen[1][0] <= now - _BACK:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Rows a second; 0 where it is too early to tell."""
        (first, before), (last, over) = self._seen[0], self._seen[-1]
        return (over - before) * 1000 / (last - first) if last - first >= _LEAST else 0.0

    @property
    def left(self) -> int:
        """ms until all rows have ended, at this rate; 0 where none can be told."""
        remaining = self._total - self._seen[-1][1]
        return round(remaining * 1000 / self.rate) if self.rate > 0 else 0

    @property
    def told(self) -> str:
        """As "31 rows/s, about 22 s left"; "" where nothing can be told."""
        if self.rate <= 0:
            return ""
        rate = f"{self.rate:.1f}" if self.rate < _SLOW else f"{self.rate:,.0f}"
        left = f", about {terminal.span(self.left)} left" if self.left else ""
        return f"{rate} rows/s{left}"

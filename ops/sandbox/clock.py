"""The sandbox's time: the injected clock, and how far a test has moved it."""

from __future__ import annotations

from ops.sandbox.exchange import Clock


class MovableClock:
    """Goes forward only, as far as it is told to on top of its source."""

    def __init__(self, source: Clock) -> None:
        self._source = source
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._source() + self._ahead

    @property
    def ahead(self) -> float:
        return self._ahead

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("the clock only goes forward")
        self._ahead += seconds

    def back_to_source(self) -> None:
        self._ahead = 0.0


class ManualClock:
    """A source that stands still unless somebody sets `now`: for tests."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

"""A Redis in trouble, as a worker's log tells it: when it begins, what it is, when it is over.

Whoever tries again every half second would say so every half second, in every process.
"""

from __future__ import annotations

from typing import Final

import structlog

from orchestrator.clock import Clock
from orchestrator.errors import DurazzoError, JournalUnavailable

log = structlog.get_logger()

#: What goes on is said again after this. ms.
SAID_AGAIN: Final = 60_000
#: Between two tries: the first, and the longest. s.
_FIRST: Final = 0.5


class Outage:
    """One for each thing that is tried again and again. Its thread's own."""

    def __init__(self, event: str, clock: Clock, *, longest: float = 5.0) -> None:
        """``event``: ``event.missed`` begins it in the log, ``event.recovered`` ends it.

        ``longest``: no two tries are further apart. Seconds.
        """
        self._missed, self._recovered = f"{event}.missed", f"{event}.recovered"
        self._clock = clock
        self._longest = longest
        self._reason = ""
        self._began = 0
        self._said = 0
        #: How long to wait before the next try, 0 while nothing is wrong. Seconds.
        self.pause = 0.0

    def goes_on(self, error: DurazzoError) -> None:
        now = self._clock.monotonic_ms()
        reason = reason_of(error)
        if not self.pause:
            self._began = now
        if not self.pause or reason != self._reason or now - self._said >= SAID_AGAIN:
            self._said = now
            log.warning(self._missed, code=error.code, reason=reason)
        self._reason = reason
        self.pause = min(2 * self.pause or _FIRST, self._longest)

    def is_over(self) -> None:
        if self.pause:
            lasted = (self._clock.monotonic_ms() - self._began) // 1000
            log.info(self._recovered, reason=self._reason, lasted_s=lasted)
        self.pause = 0.0


def reason_of(error: DurazzoError) -> str:
    """What is wrong with Redis; "" for what has nothing to do with it."""
    return error.reason if isinstance(error, JournalUnavailable) else ""

"""Finished runs are put away and removed by whoever keeps time, as long as nothing else waits."""

from __future__ import annotations

from typing import Final

import structlog

from orchestrator.clock import Clock
from orchestrator.journal.archive import Archive

log = structlog.get_logger()

#: Runs of one look: some 10 to 30 ms, and never less at a tick, or they would pile up.
CHUNK: Final = 25


class Tidying:
    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock

    def __call__(self, time_ms: float) -> None:
        """One look, and more while there is time. Raises JournalUnavailable."""
        ends = self._clock.monotonic_ms() + time_ms
        while self._look() and self._clock.monotonic_ms() < ends:
            pass

    def _look(self) -> bool:
        """Whether there may be more."""
        done = self._archive.tidy(CHUNK)
        if done.removed:
            log.info("runs.removed", count=done.removed)
        if done.left:
            run, code = done.left[0]
            log.warning("runs.not-put-away", count=len(done.left), run=run, code=code)
        return done.removed >= CHUNK or done.put_away + len(done.left) >= CHUNK

"""How full a batch's window ever was, looked at all the time."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from orchestrator.errors import JournalUnavailable
from orchestrator.service import Core

#: Between two looks. s.
_TURN: Final = 0.02


class Gauge:
    """A thread of its own; where Redis is away there is nothing to be seen."""

    def __init__(self, core: Core) -> None:
        #: Most rows that ever had a place at one time.
        self.fullest = 0
        self._core = core
        self._batch = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gauge", daemon=True)

    def start(self, batch: str) -> None:
        self._batch = batch
        self._thread.start()

    def stop(self) -> None:
        """May be said twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_TURN):
            with suppress(JournalUnavailable):
                found = self._core.batches.read(self._batch)
                self.fullest = max(self.fullest, found.busy if found else 0)

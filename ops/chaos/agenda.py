"""Acts whose time comes: by somebody who may be told that Redis is away, and tries again."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final, TypeAlias

from orchestrator.errors import JournalUnavailable

#: Before the same is tried again. s.
AGAIN: Final = 0.25
Act: TypeAlias = Callable[[], None]


class Agenda:
    """A thread of its own: its Redis may hang, the storm may not."""

    def __init__(self, name: str) -> None:
        #: What went wrong that nobody could be asked to cope with.
        self.problems: list[str] = []
        #: How often Redis was away.
        self.unavailable = 0
        self._name = name
        self._order = count()
        self._acts: list[tuple[float, int, Act]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """What is not done by now never is."""
        self._stop.set()
        self._thread.join()

    def at(self, seconds: float, act: Act) -> None:
        """So long after the start."""
        heapq.heappush(self._acts, (seconds, next(self._order), act))

    def later(self, seconds: float, act: Act) -> None:
        """So long from now; for acts."""
        self.at(self._now() + seconds, act)

    def _run(self) -> None:
        while self._acts and not self._stop.is_set():
            at, _, act = self._acts[0]
            if self._stop.wait(max(0.0, at - self._now())):
                return
            heapq.heappop(self._acts)
            try:
                act()
            except JournalUnavailable:
                self.unavailable += 1
                self.later(AGAIN, act)
            except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
                self.problems.append(f"the {self._name} was told {type(error).__name__}")
                self.later(AGAIN, act)

    def _now(self) -> float:
        return time.monotonic() - self._began

"""What this process saw Redis acknowledge, so that it can tell when that is gone."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls without a key that were begun, by anybody, in one life of the server."""

    begun: int = 0
    #: The server's run id, "" where it is not known.
    life: str = ""


class Witness:
    """Remembers the most that was seen. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = Seen()

    @property
    def seen(self) -> Seen:
        return self._seen

    def saw(self, seen: Seen) -> None:
        """An answer that comes late, after one that says more, changes nothing."""
        with self._lock:
            if seen.begun >= self._seen.begun:
                self._seen = seen

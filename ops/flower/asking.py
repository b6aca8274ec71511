"""Questions to the journal that hold neither Flower's loop nor each other up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from orchestrator.errors import JournalUnavailable

T = TypeVar("T")

#: Asked at the same time, and waiting to be asked: a person reloads a page.
_THREADS: Final = 4
_MOST: Final = 16
#: Longer than a healthy Redis takes, whatever else it does. s.
PATIENCE: Final = 8.0


class Asking:
    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="durazzo-asking")
        self._places = threading.BoundedSemaphore(_MOST)

    async def ask(self, question: Callable[[], T]) -> T:
        """What it answers, or raises; JournalUnavailable when nobody answers in time."""
        if not self._places.acquire(blocking=False):
            raise JournalUnavailable("too many pages wait for Redis: reload this one in a while")
        future = self._threads.submit(question)
        # Whoever asked may be gone by then; a thread that waits for Redis keeps its place.
        future.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._patience)
        except TimeoutError:
            raise JournalUnavailable(
                f"Redis cannot be used: it does not answer within {self._patience:g} s"
            ) from None


__all__ = ["PATIENCE", "Asking"]

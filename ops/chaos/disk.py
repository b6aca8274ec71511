"""What of Redis' log of writes is on the disk for certain, and a power cut, which takes the rest.

A killed process loses nothing that it wrote: the system has it. But under appendfsync everysec
Redis puts off its writing, for two seconds at most, while the disk is still busy with the last
synchronisation, and acknowledges all the same. A machine that loses its power loses what was not
synchronised yet, acknowledged or not.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from orchestrator.errors import JournalUnavailable
from orchestrator.journal.trouble import answering
from orchestrator.wiring import connect

#: Longer than a second: under appendfsync everysec the disk has it by then. ms.
_PATIENCE: Final = 3_000
#: Where the disk was not to be heard of, it is asked again. s.
_SOON: Final = 0.02
_MARK: Final = "chaos:written"


class Disk:
    """Watches over an append-only file, from when it is entered."""

    def __init__(self, home: Path, socket: Path, *, every: float = 0) -> None:
        """``every``: seconds between two looks: a power cut takes what was written since the last.

        0 where others wait for the disk, and must find what they waited for.
        """
        self._every = every
        self._folder = home / "appendonlydir"
        self._socket = socket
        self._safe = 0
        self._file: Path | None = None
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="chaos-disk", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=_PATIENCE / 1000 + 5)

    def catch_up(self) -> None:
        """Returns when no power cut takes what was written before."""
        with self._client() as client, self._looking:
            while not self._looked(client):
                self._stop.wait(_SOON)

    def mark(self) -> int:
        """The last thing that Redis acknowledges before it is killed; 0 when it does not answer."""
        with suppress(JournalUnavailable, OSError), self._client() as client, answering():
            return int(client.incr(_MARK))
        return 0

    def has(self, mark: int) -> bool:
        """Whether it is there after a restart."""
        with self._client() as client, answering():
            return int(client.get(_MARK) or 0) >= mark

    def cut_power(self, share: float) -> int:
        """Of what only the system had, this share is lost; how many bytes. Redis must be dead.

        What it acknowledged as synchronised stays.
        """
        # What it acknowledged last is on its way to the watch, which knows of it when it is done.
        with self._looking:
            newest = self._newest()
            if newest is None or newest != self._file:
                return 0
            size = newest.stat().st_size
            kept = size - round(share * (size - self._safe))
            with newest.open("r+b") as file:
                file.truncate(kept)
            # Of what the next server writes nothing is known until the first look at it.
            self._file = None
        return size - kept

    def _watch(self) -> None:
        with self._client() as client:
            # One look after the other: what comes to the disk between two, nobody would know of.
            while not self._stop.is_set():
                with self._looking:
                    looked = self._looked(client)
                self._stop.wait(self._every if looked else _SOON)

    def _looked(self, client: Any) -> bool:
        with suppress(JournalUnavailable, OSError), answering():
            return self._look(client)
        return False

    def _look(self, client: Any) -> bool:
        file = self._newest()
        if file is None:
            return False
        with client.pipeline(transaction=False) as pipeline:
            pipeline.incr(_MARK)
            pipeline.execute_command("WAITAOF", 1, 0, _PATIENCE)
            _, (synchronised, _) = pipeline.execute()
        if synchronised and file == self._newest():
            # Others waited for the same, and may have written since this look began.
            self._file, self._safe = file, file.stat().st_size
        return bool(synchronised)

    def _client(self) -> Any:
        return connect(f"unix://{self._socket}")

    def _newest(self) -> Path | None:
        """The log's newest file is the one that is written to."""
        files = sorted(self._folder.glob("*.incr.aof"), key=lambda f: f.stat().st_mtime)
        return files[-1] if files else None

"""Who drives the runs: the workers of a named Redis, or one that this command brings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ops.cli import terminal
from ops.embedded import writable
from orchestrator.clock import Clock
from orchestrator.errors import NoWorker
from orchestrator.journal.port import Journal
from orchestrator.service import Core, unfinished
from orchestrator.settings import DEFAULT_LANE, Settings

#: The worker's own start, with a slow disk. ms.
_START: Final = 30_000
#: A call under way has so long to come back before the worker is killed: no call is lost by
#: that, but a text whose answer nobody read is parked as unknown. s.
_GRACE: Final = 10.0
#: After this, the person is told what is waited for. s.
_QUIET: Final = 2.0
_LOG_SIZE: Final = 1024 * 1024


class Hands:
    """The workers of a Redis of one's own: they are there, or nothing is accepted."""

    #: What a person is told who leaves before the end.
    carried_on = "its workers carry it on"

    def check(self) -> None:
        """Raises NoWorker when nobody drives the run any more."""


class OwnWorker(Hands):
    """A worker in a process of its own, for as long as this command."""

    carried_on = "the next `durazzo run`, or `durazzo worker`, carries it on"

    def __init__(self, settings: Settings, lanes: Iterable[str]) -> None:
        self._log = settings.home / "worker.log"
        words = [word for lane in sorted(set(lanes)) for word in ("--lane", lane)]
        with _log(self._log) as log:
            self._process = subprocess.Popen(
                [
                    # -P: a folder of the user's that is called `workers` is not imported.
                    sys.executable, "-P", "-m", "ops.cli.main", "worker", "--leashed",
                    "--pool", "threads", "--concurrency", "8", "--loglevel", "WARNING", *words,
                ],
                # Its end is the worker's sign that this process is gone, however it went.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(settings.environ),
                # Ctrl-C is for the command, not for a call under way.
                start_new_session=True,
            )  # fmt: skip

    def arrive(self, journal: Journal, clock: Clock) -> None:
        """Wait for its first heartbeat. Raises NoWorker."""
        ends = clock.monotonic_ms() + _START
        while not self._names(journal):
            self.check()
            if clock.monotonic_ms() > ends:
                raise NoWorker(f"the worker did not start in time: see {self._log}")
            clock.sleep_ms(10)

    def check(self) -> None:
        if (code := self._process.poll()) is not None:
            raise NoWorker(f"the worker ended by itself (exit code {code}): see {self._log}")

    def stop(self, journal: Journal) -> None:
        """Calls under way may land first; then the worker is gone, and holds no lease."""
        self._process.terminate()
        try:
            self._wait()
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
            for name in self._names(journal):
                journal.retire(name)
        finally:
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]

    def _wait(self) -> None:
        try:
            self._process.wait(_QUIET)
        except subprocess.TimeoutExpired:
            terminal.say(f"a call is under way: waiting up to {_GRACE:.0f} s (Ctrl-C: leave now)")
            self._process.wait(_GRACE)

    def _names(self, journal: Journal) -> list[str]:
        """As ``workers.process.incarnation`` makes them."""
        mine = f"{socket.gethostname()}-{self._process.pid}-"
        return [name for name in journal.alive() if name.startswith(mine)]


@contextmanager
def hands(settings: Settings, core: Core, lane: str) -> Iterator[Hands]:
    """``settings``: as the user made them. Raises NoWorker before anything is accepted."""
    if settings.redis_url:
        require_worker(core)
        yield Hands()
        return
    waiting = unfinished(core)
    worker = OwnWorker(settings, {DEFAULT_LANE, lane, *waiting.lanes})
    try:
        worker.arrive(core.journal, core.clock)
        if waiting.count:
            terminal.say(f"carrying on {waiting.told} from before")
        yield worker
    finally:
        worker.stop(core.journal)


def require_worker(core: Core) -> None:
    if not core.journal.alive():
        raise NoWorker("no worker is alive on this Redis: start one with `durazzo worker`")


@contextmanager
def _log(path: Path) -> Iterator[int]:
    with writable(path.parent):
        if path.exists() and path.stat().st_size > _LOG_SIZE:
            path.replace(path.with_suffix(".log.1"))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield file
    finally:
        os.close(file)

"""Several workers under one command: started, told to end, and replaced when one dies.

    SIGTERM, SIGINT          handed on: every worker ends as ``workers/drain.py`` says
    the same again, SIGQUIT  handed on as SIGQUIT: they end at once

They are in the command's process group, so whoever signals the group (a terminal, systemd)
reaches them as well. Therefore SIGTERM is handed on as SIGINT and the other way round: the same
kind a second time would mean "at once". Each is leashed: it ends when the command is gone,
however it went.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

import structlog

from orchestrator.errors import DurazzoError, NoWorker
from orchestrator.journal.port import Journal
from workers.signs import Signs

log = structlog.get_logger()

#: Deaths in a row before nobody is put in their place any more.
LIMIT: Final = 5
#: Who lived for so long did not die of its start. s.
_SETTLED: Final = 60.0
_LONGEST_PAUSE: Final = 30.0
#: It shows in any case that it goes on. s.
_ROUND: Final = 5.0
#: Between two looks for the first worker's heartbeat. s.
_LOOK: Final = 0.1
_HANDED_ON: Final = {
    signal.SIGTERM: signal.SIGINT,
    signal.SIGINT: signal.SIGTERM,
    signal.SIGQUIT: signal.SIGQUIT,
}


@dataclass(slots=True)
class Place:
    """One of the workers, and what became of those that had its place."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    #: In a row, each soon after its start.
    deaths: int = 0
    #: When the next one starts, None: not at all.
    due: float | None = None

    @property
    def has_hope(self) -> bool:
        """Somebody works here, or died too seldom to be given up."""
        return self.process is not None or 0 < self.deaths < LIMIT


class Supervisor:
    """Its loop is the main thread's; a signal handler only says what came."""

    def __init__(
        self,
        command: Sequence[str],
        number: int,
        *,
        grace: float,
        arrived: Callable[[], bool],
        first_pause: float = 1.0,
        last: float = 20.0,
        signs: Signs | None = None,
    ) -> None:
        """``command`` starts one worker that takes a leash. ``arrived``: whether one works by now.

        ``first_pause``: before a dead worker's place is taken, twice as long each time. s.
        ``last``: what a worker may take beyond its grace before it is killed, more than it takes
        to hand over (``workers/drain.py``) on a busy machine. s.
        ``signs``: where it shows itself and its workers.
        """
        self._command = list(command)
        self._places = [Place() for _ in range(number)]
        self._grace = grace
        self._arrived = arrived
        self._first_pause = first_pause
        self._last = last
        self._signs = signs or Signs()
        self._signs.looks_after(self._pids, self._vacant)
        #: One has worked: what the others may die of is not the settings.
        self._up = False
        #: What was asked for first: 0, nothing yet.
        self._asked = 0
        self._kill_at: float | None = None
        #: None: a child ended. A queue that a handler may put into whatever its thread was doing.
        self._heard: SimpleQueue[int | None] = SimpleQueue()

    def run(self) -> int:
        """Until all have ended: 0, or the exit code with which the first one refused to start.

        The first one starts alone, so that what is wrong is said once. Raises NoWorker when they
        die, again and again, and none is left.
        """
        with self._hearing():
            self._places[0].due = time.monotonic()
            self._signs.begin()
            while (code := self._look()) is None:
                self._signs.pulse_goes_on()
                self._listen()
        self._signs.end()
        return code

    def _pids(self) -> list[int]:
        processes = [place.process for place in self._places]
        return [process.pid for process in processes if process is not None]

    def _vacant(self) -> int:
        """Not those of workers that somebody told to end."""
        return sum(x.process is None and x.due is not None for x in self._places)

    def _listen(self) -> None:
        with suppress(Empty):
            number = self._heard.get(timeout=self._pause())
            if number is not None:
                self._tell(number)

    def _look(self) -> int | None:
        """What there is to do now; the exit code when it is over."""
        for place in self._places:
            if place.process is not None and (code := place.process.poll()) is not None:
                if code > 0 and not self._up and not self._asked:
                    # It has said why.
                    return code
                self._bury(place, code)
        if self._asked:
            self._kill_the_late()
        else:
            self._fill()
        if any(place.process or place.due is not None for place in self._places):
            return None
        return 0

    def _bury(self, place: Place, code: int) -> None:
        """Raises NoWorker when nobody is left."""
        assert place.process is not None  # noqa: S101
        assert place.process.stdin is not None  # noqa: S101
        place.process.stdin.close()
        pid, place.process = place.process.pid, None
        if self._asked:
            return
        if code == 0:
            # Somebody told this one to end: Celery's remote control, or a signal of its own.
            log.info("worker.ended", pid=pid)
            return
        self._put_off(place, pid=pid, code=code)

    def _put_off(self, place: Place, **said: int) -> None:
        """Nobody has this place for a while. Raises NoWorker when nobody is left."""
        now = time.monotonic()
        place.deaths = 1 if now - place.started > _SETTLED else place.deaths + 1
        if not any(other.has_hope for other in self._places):
            raise NoWorker(f"the workers died, {LIMIT} times in a row: their log may say of what")
        pause = min(self._first_pause * 2 ** min(place.deaths - 1, LIMIT), _LONGEST_PAUSE)
        place.due = now + pause
        log.warning("worker.died", **said, deaths=place.deaths, again_in_s=pause)

    def _fill(self) -> None:
        """Start those whose time has come; once one works, all the others."""
        now = time.monotonic()
        if not self._up and self._places[0].process and self._arrived():
            self._up = True
            self._signs.works()
            for place in self._places[1:]:
                place.due = now
        for place in self._places:
            if place.due is not None and place.due <= now:
                place.due, place.started = None, now
                self._start(place)

    def _start(self, place: Place) -> None:
        try:
            # Its end is the worker's sign that this process is gone, however it went.
            place.process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        except OSError as error:
            # Most likely a want of memory, which may pass.
            self._put_off(place, errno=error.errno or 0)

    def _tell(self, number: int) -> None:
        """As a worker takes it: a second kind adds nothing, the same once more is impatient."""
        if self._asked and number not in {self._asked, signal.SIGQUIT}:
            return
        self._signs.drains()
        kind = signal.SIGQUIT if self._asked else _HANDED_ON[signal.Signals(number)]
        self._asked = self._asked or number
        patience = 0.0 if kind == signal.SIGQUIT else self._grace
        self._kill_at = time.monotonic() + patience + self._last
        for place in self._places:
            place.due = None
            if place.process is not None:
                place.process.send_signal(kind)

    def _kill_the_late(self) -> None:
        if self._kill_at is None or time.monotonic() < self._kill_at:
            return
        self._kill_at = None
        for place in self._places:
            if place.process is not None:
                log.warning("worker.killed", pid=place.process.pid)
                place.process.kill()

    def _pause(self) -> float:
        """Until there is something to do, if nobody is heard before; it shows that it goes on."""
        times = [time.monotonic() + _ROUND]
        times += [place.due for place in self._places if place.due is not None]
        times += [self._kill_at] if self._kill_at is not None else []
        if not self._up and not self._asked and self._places[0].process:
            times.append(time.monotonic() + _LOOK)
        return max(0.0, min(times) - time.monotonic())

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        def hear(number: int, _frame: FrameType | None) -> None:
            self._heard.put(None if number == signal.SIGCHLD else number)

        numbers = (*_HANDED_ON, signal.SIGCHLD)
        before = {number: signal.signal(number, hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for place in self._places:
                if place.process is not None and place.process.stdin is not None:
                    place.process.stdin.close()


def arrival(journal: Journal) -> Callable[[], bool]:
    """Whether a worker of this process' group has a heartbeat since now."""
    before, host, group = journal.alive(), socket.gethostname(), os.getpgrp()

    def ours(worker: str) -> bool:
        # As ``workers.process.incarnation`` makes it.
        on, pid, _ = worker.rsplit("-", 2)
        try:
            return on == host and os.getpgid(int(pid)) == group
        except (ProcessLookupError, PermissionError):
            return False

    def arrived() -> bool:
        try:
            return any(ours(worker) for worker in journal.alive() - before)
        except DurazzoError:
            # Without Redis nobody has a heartbeat.
            return False

    return arrived

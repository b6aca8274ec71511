"""What this process shows of itself: a small file, renewed each second (``workers/health.py``).

Its threads say here that they go on; one more thread writes it down. A process that is frozen
writes nothing, and a thread that stands still says nothing: either shows.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog
from celery import Celery
from celery.bootsteps import StartStopStep
from celery.worker import state as celery_state
from celery.worker.control import inspect_command

from orchestrator.clock import Clock, SystemClock
from workers.health import Phase, Role, Vitals, born, file_of, gone, read

log = structlog.get_logger()

#: Celery's remote control knows by this name what every worker answers: its release and lanes.
ASKED: Final = "durazzo"
#: Seconds.
_EVERY: Final = 1.0
_ANEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Signs:
    """One a process; a process that shows nothing has one without a folder."""

    def __init__(
        self, role: Role = Role.WORKER, at: Path | None = None, clock: Clock | None = None
    ) -> None:
        """``at``: the folder."""
        self._role = role
        self._at = at
        self._clock = clock or SystemClock()
        self._born = born(os.getpid()) if at else ""
        self._phase = Phase.STARTING
        self._pulse: int | None = None
        self._consumer: int | None = None
        self._answering: int | None = None
        self._consuming = False
        self._leases: Callable[[], bool] = lambda: False
        self._children: Callable[[], Sequence[int]] = tuple
        self._vacant: Callable[[], int] = int
        self._refused = False
        #: True: write now; False: end. A queue that a signal's handler may put into.
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="durazzo-signs", daemon=True)

    def begin(self) -> None:
        """Show it from now on, and take away what processes that have ended left behind."""
        if self._at is None:
            return
        self._write()
        for one in read(self._at):
            if gone(one):
                with suppress(OSError):
                    file_of(self._at, one.pid).unlink()
        self._thread.start()

    def end(self) -> None:
        """In order: it leaves nothing behind."""
        if self._at is None or not self._thread.is_alive():
            return
        self._asked.put(False)
        self._thread.join()
        with suppress(OSError):
            file_of(self._at, os.getpid()).unlink()

    def looks_after(
        self, children: Callable[[], Sequence[int]], vacant: Callable[[], int] = int
    ) -> None:
        """``children``: the ids of its processes. ``vacant``: how many are missing."""
        self._children, self._vacant = children, vacant

    def works(self) -> None:
        self._to(Phase.WORKING)

    def drains(self) -> None:
        self._to(Phase.DRAINING)

    def _to(self, phase: Phase) -> None:
        # Nobody comes back from the end.
        if self._phase is not Phase.DRAINING and self._phase is not phase:
            self._phase = phase
            self._asked.put(True)

    def has_pulse(self, alive: Callable[[], bool]) -> None:
        """``alive``: whether its heartbeat is current."""
        self._leases = alive
        self.pulse_goes_on()

    def pulse_goes_on(self) -> None:
        self._pulse = self._clock.monotonic_ms()

    def redis(self, *, answers: bool) -> None:
        if not answers:
            self._answering = None
        elif self._answering is None:
            self._answering = self._clock.monotonic_ms()

    def consumer_goes_on(self, *, consuming: bool) -> None:
        """``consuming``: it is given messages, and not still on its way to them."""
        self._consuming = consuming
        self._consumer = self._clock.monotonic_ms()

    def vitals(self) -> Vitals:
        return Vitals(
            role=self._role,
            pid=os.getpid(),
            parent=os.getppid(),
            born=self._born,
            at=self._clock.monotonic_ms(),
            phase=self._phase,
            pulse=self._pulse,
            consumer=self._consumer,
            answering=self._answering,
            leases=self._leases(),
            consuming=self._consuming,
            children=tuple(self._children()),
            vacant=self._vacant(),
        )

    def _run(self) -> None:
        while self._goes_on():
            try:
                self._write()
            except Exception as error:  # noqa: BLE001  a thread that ends here reads as frozen
                log.error("health.broken", error=type(error).__name__)

    def _goes_on(self) -> bool:
        try:
            return self._asked.get(timeout=_EVERY)
        except Empty:
            return True

    def _write(self) -> None:
        assert self._at is not None  # noqa: S101
        try:
            _own(self._at)
            file = file_of(self._at, os.getpid())
            part = file.with_suffix(".part")
            # A folder that others may write to as well could hold a link of theirs.
            opened = os.open(part, _ANEW | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with os.fdopen(opened, "w") as stream:
                stream.write(self.vitals().dump())
            part.replace(file)
        except OSError as error:
            if not self._refused:
                # Once: it is no reason to work less.
                todo = "set DURAZZO_HEALTH_DIR to a folder of its user's"
                name = errno.errorcode.get(error.errno or 0, "")
                log.warning("health.unwritten", error=name, todo=todo)
            self._refused = True
        else:
            self._refused = False


def _own(at: Path) -> None:
    """Raises OSError for a folder of somebody else's, who could show anything there."""
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and at.lstat().st_uid not in {os.getuid(), 0}:
        raise PermissionError(errno.EPERM, "of another user")


def show(app: Celery, signs: Callable[[], Signs]) -> None:
    """Let every worker of this app show itself. ``signs``: those of its main process."""

    class Showing(StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Timer",)

        def start(self, worker: Any) -> None:
            signs().looks_after(lambda: _children(worker.pool))
            signs().begin()
            if worker.hub is not None:
                # Runs in the loop that takes messages, and outlasts its connections.
                went_round = _Round(worker, signs)
                worker.timer.call_repeatedly(_EVERY, went_round)

        def close(self, _worker: Any) -> None:
            signs().drains()

    app.steps["worker"].add(Showing)


class _Round:
    """The loop runs; only if it also asks Redis for messages, or was given some, does it go on.

    A loop that runs and asks for nothing is how a consumer looks that lost its connection and
    did not find the next one. One that has much to do has always just been given a message.
    """

    def __init__(self, worker: Any, signs: Callable[[], Signs]) -> None:
        self._worker = worker
        self._signs = signs
        self._taken = 0

    def __call__(self) -> None:
        taken = celery_state.all_total_count[0]
        if taken != self._taken or takes_messages(self._worker.consumer):
            self._signs().consumer_goes_on(consuming=True)
        self._taken = taken


def takes_messages(consumer: Any) -> bool:
    """Whether Redis is asked for messages, or all slots are taken."""
    channel = getattr(consumer.task_consumer, "channel", None)
    if consumer.connection is None or channel is None:
        return False
    return bool(channel._in_poll) or not channel.qos.can_consume()  # noqa: SLF001


def _children(pool: Any) -> list[int]:
    # A pool of threads has none.
    processes = getattr(getattr(pool, "_pool", None), "_pool", None) or ()
    return [one.pid for one in list(processes) if getattr(one, "pid", None)]


@inspect_command(name=ASKED)  # type: ignore[untyped-decorator]
def _answer(state: Any) -> dict[str, Any]:
    """In the main process, whatever its slots are doing."""
    taken = getattr(state.consumer.task_consumer, "queues", None) or ()
    return {"release": version("durazzo"), "lanes": sorted(queue.name for queue in taken)}

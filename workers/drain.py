"""How a worker ends: calls under way land within a grace; what does not land is handed over.

    SIGTERM, SIGINT          nothing more is taken up, and the calls under way may land
    the same again, SIGQUIT  or the grace is over: hand over

To hand over is to retire the leases and go. Another worker takes the runs up within seconds, and
finds calls in doubt: replayed under their key, or looked up, as after a kill, but without
waiting for a heartbeat to run out.

A supervisor that signals the whole group (systemd) does not reach the pool's children: they
ignore SIGTERM, and their worker decides. Celery's own ways out wait for a call without end, or
sleep for the whole grace whether anything is under way or not.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final

import structlog
from celery import Celery, platforms
from celery.bootsteps import StartStopStep
from celery.concurrency.prefork import TaskPool as Prefork
from celery.worker import state as celery_state

log = structlog.get_logger()

#: Children that were told to hand over are gone after this, and so is a server's answer. s.
_LAST: Final = 5.0
#: Not a signal's number: asked by another way, e.g. Celery's remote control.
_OTHER: Final = -1


class Drain:
    """The main process' part. Its thread does the work: a signal handler only says what came."""

    def __init__(self, *, retire: Callable[[], None], leave: Callable[[], None]) -> None:
        """``retire``: this process' own leases. ``leave``: what must not be left undone."""
        self._retire = retire
        self._leave = leave
        self._worker: Any = None
        self._begun = 0
        #: True: at once. A queue that a handler may put into whatever its thread was doing.
        self._asked: SimpleQueue[bool] = SimpleQueue()

    def watch(self, worker: Any) -> None:
        self._worker = worker
        names = ("SIGTERM", "SIGINT", "SIGQUIT")
        platforms.signals.update(dict.fromkeys(names, self._signalled))
        threading.Thread(target=self._run, name="durazzo-drain", daemon=True).start()

    def begin(self, number: int = _OTHER) -> None:
        """The first asks for the end; a second kind (a terminal's, then a supervisor's) adds
        nothing; the same once more is impatient.
        """
        if not self._begun:
            self._begun = number
            self._asked.put(number == signal.SIGQUIT)
        elif number in {self._begun, signal.SIGQUIT} and number != _OTHER:
            self._asked.put(True)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.begin(number)
        # Celery's warm shutdown: the main loop sees it, stops consuming and joins the pool.
        celery_state.should_stop = platforms.EX_OK

    def _run(self) -> None:
        if not self._asked.get():
            grace = float(self._worker.app.conf.worker_soft_shutdown_timeout)
            calls = len(celery_state.active_requests)
            doing = f"finishing {calls} call{'' if calls == 1 else 's'}, up to {grace:.0f} s"
            log.info("worker.draining", calls=calls, up_to_s=grace, doing=doing)
            with suppress(Empty):
                self._asked.get(timeout=grace)
        self._hand_over()

    def _hand_over(self) -> None:
        log.warning("worker.handing-over", calls=len(celery_state.active_requests))
        children = self._children()
        for pid in children:
            # Unwinds whatever it does, and retires (``worker_process_shutdown``).
            self._worker.pool.terminate_job(pid, signal.SIGQUIT)
        # Redis may be what it all hangs on: then the heartbeat's end does it.
        own = threading.Thread(target=self._retire, name="durazzo-retire", daemon=True)
        own.start()
        own.join(_LAST)
        if children:
            # Its main thread sees them go, and ends in order before this is over.
            threading.Event().wait(_LAST)
            for pid in self._children():
                self._worker.pool.terminate_job(pid, signal.SIGKILL)
        self._leave()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        # Threads that are still in a call would keep the interpreter for as long.
        os._exit(platforms.EX_OK)

    def _children(self) -> list[int]:
        pool = self._worker.pool
        if not isinstance(pool, Prefork):
            return []
        try:
            return list(pool.info["processes"])
        except AttributeError:
            # Its last child is gone.
            return []


def attach(app: Celery, drain: Drain) -> None:
    """Make ``drain`` the way in which every worker of this app ends."""

    class Ending(StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool",)

        def start(self, worker: Any) -> None:
            drain.watch(worker)

        def close(self, _worker: Any) -> None:
            drain.begin()

    app.steps["worker"].add(Ending)


def spare_child() -> None:
    """In a pool's child: SIGTERM is its worker's to act upon, or a group's signal cuts calls."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

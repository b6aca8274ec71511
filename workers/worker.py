"""A worker: the Celery app with its tasks, and the process behind them, made after the fork."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.concurrency.prefork import TaskPool as Prefork

from orchestrator.canvas.app import make_app
from orchestrator.clock import SystemClock
from orchestrator.errors import RedisUnfit, SettingsRefused
from orchestrator.journal.fitness import Judgement
from orchestrator.journal.port import Journal, Ref
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import wire
from workers import logs, tasks
from workers.drain import Drain, attach, spare_child
from workers.health import Role, folder
from workers.held import Checkpoint
from workers.process import Process, build
from workers.readiness import look_at_redis, say
from workers.signs import Signs, show
from workers.writable import patient


class Processes:
    """The process that executes tasks here: each pool child's own, made after the fork."""

    def __init__(
        self, settings: Settings, app: Celery, reached: Callable[[Checkpoint, Ref], None]
    ) -> None:
        self._settings = settings
        self._app = app
        self._reached = reached
        self._current: Process | None = None
        self._judgements: list[Judgement] = []
        self._journal: Journal | None = None
        self._signs = Signs()
        self._main = 0
        signals.celeryd_init.connect(logs.hush, weak=False)
        signals.worker_init.connect(self._check, weak=False)
        signals.setup_logging.connect(self._log, weak=False)
        signals.worker_process_init.connect(self._start_child, weak=False)
        signals.worker_process_shutdown.connect(self._stop, weak=False)
        signals.worker_ready.connect(self._ready, weak=False)
        signals.worker_shutdown.connect(self._stop, weak=False)

    def current(self) -> Process:
        if self._current is None:
            self._start()
        assert self._current is not None  # noqa: S101
        self._current.pulse.revive()
        return self._current

    def _check(self, **_: object) -> None:
        """A worker that cannot open a value would take every run up and drive none; one on a Redis
        that forgets would charge twice.
        """
        try:
            wire(self._settings, self._app)
            self._judgements = look_at_redis(self._settings)
        except SettingsRefused as error:
            # Celery swallows the exceptions of signal handlers, but for this one.
            raise SystemExit(f"error: {error.code}: {error.message}") from None
        except RedisUnfit as error:
            sys.stderr.write(f"error: {error.code}: {error.message}\n")
            raise SystemExit(error.exit_code) from None
        self._main = os.getpid()
        self._signs = self._signs_as(Role.WORKER)

    def signs(self) -> Signs:
        return self._signs

    def _signs_as(self, role: Role) -> Signs:
        return Signs(role, folder(self._settings.environ))

    def require_writable(self) -> None:
        """In the process that takes messages. Raises JournalUnavailable."""
        self._signs.consumer_goes_on(consuming=False)
        if self._journal is None:
            self._journal = wire(self._settings, self._app).core.journal
        self._journal.require_writable()

    def _log(self, loglevel: Any = None, **_: object) -> None:
        logs.configure_from(loglevel, self._settings, sys.stderr)
        say(self._judgements)

    def _ready(self, sender: Any, **_: object) -> None:
        # Without children, this process executes the tasks.
        if not isinstance(sender.pool, Prefork):
            self._start()
        self._signs.works()

    def _start_child(self, **_: object) -> None:
        if os.getpid() == self._main:
            # A solo pool's only process, which is ready later.
            return
        spare_child()
        self._signs = self._signs_as(Role.CHILD)
        self._signs.begin()
        self._start()
        self._signs.works()

    def _start(self) -> None:
        process = build(wire(self._settings, self._app), self._reached, self._signs)
        process.pulse.start()
        self._current = process

    def retire(self) -> None:
        """As ``Process.retire``: whoever is still in a task begins no call in it."""
        if self._current is not None:
            self._current.retire()

    def _stop(self, **_: object) -> None:
        self._signs.drains()
        if self._current is not None:
            self._current.stop()
            self._current = None
        self._signs.end()


def create(
    settings: Settings | None = None,
    reached: Callable[[Checkpoint, Ref], None] = lambda _point, _ref: None,
    leave: Callable[[], None] = lambda: None,
) -> Celery:
    """``reached`` is told each checkpoint of an attempt: tests kill the process there.

    ``leave``: what must be done before a worker goes with calls under way, see ``Drain``.
    """
    settings = settings or from_environ()
    app = make_app(settings)
    processes = Processes(settings, app, reached)
    tasks.register(app, processes.current)
    show(app, processes.signs)
    attach(app, Drain(retire=processes.retire, leave=leave))
    app.conf.worker_consumer = patient(processes.require_writable, SystemClock())
    return app

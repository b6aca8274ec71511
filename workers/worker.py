"""A worker: the Celery app with its tasks, and the process behind them, made after the fork."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.concurrency.prefork import TaskPool as Prefork

from orchestrator.canvas.app import make_app
from orchestrator.errors import SettingsRefused
from orchestrator.journal.port import Ref
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import wire
from workers import logs, tasks
from workers.held import Checkpoint
from workers.process import Process, build


class Processes:
    """The process that executes tasks here: each pool child's own, made after the fork."""

    def __init__(
        self, settings: Settings, app: Celery, reached: Callable[[Checkpoint, Ref], None]
    ) -> None:
        self._settings = settings
        self._app = app
        self._reached = reached
        self._current: Process | None = None
        signals.worker_init.connect(self._check, weak=False)
        signals.setup_logging.connect(self._log, weak=False)
        signals.worker_process_init.connect(self._start, weak=False)
        signals.worker_process_shutdown.connect(self._stop, weak=False)
        signals.worker_ready.connect(self._ready, weak=False)
        signals.worker_shutdown.connect(self._stop, weak=False)

    def current(self) -> Process:
        if self._current is None:
            self._start()
        assert self._current is not None  # noqa: S101
        return self._current

    def _check(self, **_: object) -> None:
        """A worker that cannot open a value would take every run up and drive none."""
        try:
            wire(self._settings, self._app)
        except SettingsRefused as error:
            # Celery swallows the exceptions of signal handlers, but for this one.
            raise SystemExit(f"error: {error.code}: {error.message}") from None

    def _log(self, loglevel: Any = None, **_: object) -> None:
        logs.configure_worker(loglevel)

    def _ready(self, sender: Any, **_: object) -> None:
        # Without children, this process executes the tasks.
        if not isinstance(sender.pool, Prefork):
            self._start()

    def _start(self, **_: object) -> None:
        process = build(wire(self._settings, self._app), self._reached)
        process.pulse.start()
        self._current = process

    def _stop(self, **_: object) -> None:
        if self._current is not None:
            self._current.stop()
            self._current = None


def create(
    settings: Settings | None = None,
    reached: Callable[[Checkpoint, Ref], None] = lambda _point, _ref: None,
) -> Celery:
    """``reached`` is told each checkpoint of an attempt: tests kill the process there."""
    settings = settings or from_environ()
    app = make_app(settings)
    processes = Processes(settings, app, reached)
    tasks.register(app, processes.current)
    return app

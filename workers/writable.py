"""Nothing is taken from a lane while Redis refuses to be written.

A full server still gives messages out and refuses that they are noted as taken: a worker that
went on would empty its lane, and could do nothing with what it took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from orchestrator.clock import Clock
from orchestrator.errors import JournalUnavailable
from workers.outage import Outage


def patient(require_writable: Callable[[], None], clock: Clock) -> type[Consumer]:
    """Celery's consumer, which begins, and begins again upon every error of the broker's, only
    when ``require_writable`` raises no JournalUnavailable.
    """

    class Patient(Consumer):  # type: ignore[misc]
        class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
            def info(self, parent: Any) -> Any:
                """What is told to whoever asks for statistics, in a message that Redis keeps:
                without where Redis is, for the URL of a Unix socket holds its password.
                """
                told = super().info(parent)
                broker = told.get("broker")
                name = broker.get("transport", "") if isinstance(broker, dict) else ""
                return {**told, "broker": {"transport": name}}

        def connect(self) -> Any:
            # Before: Celery's own connecting writes, and what refuses that is tried again at once.
            _wait(require_writable, clock)
            return super().connect()

    return Patient


def _wait(require_writable: Callable[[], None], clock: Clock) -> None:
    outage = Outage("broker", clock)
    while True:
        # The end of the worker is not put off.
        maybe_shutdown()
        try:
            require_writable()
        except JournalUnavailable as error:
            outage.goes_on(error)
            clock.sleep_ms(round(outage.pause * 1000))
        else:
            outage.is_over()
            return

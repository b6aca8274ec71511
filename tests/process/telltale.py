"""A worker that hides nothing: ``celery -A tests.process.telltale worker --pool threads``.

Its log is not masked, and it has a task with a payload and a result: what the scan looks for
reaches every place where the scan looks.
"""

from __future__ import annotations

import structlog
from celery import signals

from workers import logs
from workers.worker import create

app = create()


def unmask(**_: object) -> None:
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[p for p in processors if p is not logs.redaction])


@app.task(name="telltale.tell", ignore_result=False)  # type: ignore[untyped-decorator]
def tell(what: str) -> str:
    structlog.get_logger().info("told", what=what)
    return what


signals.worker_ready.connect(unmask, weak=False)

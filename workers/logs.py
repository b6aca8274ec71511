"""Logs: one JSON line an event, ids and codes, on stderr; everything goes through redaction."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

from workers.redaction import Redaction

#: One per process: it masks every secret that this process has sent.
redaction: Final = Redaction()


def configure(level: int = logging.INFO) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            redaction,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def configure_worker(level: int | str | None) -> None:
    """durazzo's events as JSON, and what Celery and kombu say beside them, through redaction."""
    number = logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)
    number = level if isinstance(level, int) else number
    configure(number)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redaction,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    # Two lines a task that say less than attempt.finished does.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)

"""Logs: one line an event, ids and codes, on stderr; everything goes through redaction.

JSON for machines; on a terminal, or with DURAZZO_LOG=console, a line that a person reads. Each
says which process it is from. The events are told in ops/docs/logs.md.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import click
import structlog
from celery.exceptions import SecurityWarning
from structlog.typing import Processor

from orchestrator.journal.batches import batch_of
from orchestrator.settings import Settings
from workers.redaction import Redaction

log = structlog.get_logger()

#: One per process: it masks every secret that this process has sent.
redaction: Final = Redaction()

#: What is logged about, in this order, before what happened to it.
_IDS: Final = ("run", "step", "visit", "attempt", "batch")
_COLOURS: Final = {
    "debug": "blue", "info": "green", "warning": "yellow", "error": "red", "critical": "red",
}  # fmt: skip
#: Of a value on a terminal, in characters. JSON has all of it.
_LONGEST: Final = 1_000
_PLAIN: Final = re.compile(r"[^\s\"'=\\]+")
#: What stands before the host of a URL: a user's name and a password.
_USERINFO: Final = re.compile(r"(?<=://)[^\s/]*@")
#: Of libraries: lines for each task, connection or call that say less than durazzo's events do.
_TAMED: Final = (
    "asyncio", "celery.app.trace", "celery.worker.strategy", "httpcore", "httpx", "kombu", "redis",
)  # fmt: skip

_Event = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How an event is written."""

    #: A line that a person reads, instead of JSON.
    console: bool = False
    colour: bool = False


JSON: Final = Form()


def form_for(settings: Settings, stream: TextIO) -> Form:
    """DURAZZO_LOG decides; where it is not set, whether a terminal reads. Colours want one."""
    terminal = stream.isatty()
    return Form(
        console=settings.log == "console" or (terminal and not settings.log),
        colour=terminal and not settings.environ.get("NO_COLOR"),
    )


def configure(level: int = logging.INFO, form: Form = JSON) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            *_last(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # In one write: processes that share a terminal do not cut each other's lines.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def configure_worker(level: int | str | None, form: Form = JSON) -> None:
    """durazzo's events, and what Celery, kombu and Python's warnings say, in the same form."""
    number = logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)
    number = level if isinstance(level, int) else number
    configure(number, form)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _foreign,
                *_last(form),
            ],
        )
    )
    for name in _TAMED:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_of_thread
    sys.unraisablehook = _unraisable


def configure_process(level: int | str | None, settings: Settings, stream: TextIO) -> None:
    """As ``configure_worker`` in the form asked for, with Redis' password and the keys masked."""
    for secret in (settings.redis_password, *settings.keys.split(",")):
        redaction.learn(secret.strip())
    configure_worker(level, form_for(settings, stream))


def configure_from(level: int | str | None, settings: Settings, stream: TextIO) -> None:
    """A worker's: as ``configure_process``, and it says that it is root."""
    configure_process(level, settings, stream)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        log.warning("worker.is-root", todo="start it as a user of its own, who may do nothing else")


def hush(instance: Any = None, **_: object) -> None:
    """Take from Celery, before it begins, what it would print around the log.

    Its banner shows the broker's URL; its warning about root is told by ``worker.is-root``.
    """
    instance.quiet = True
    warnings.simplefilter("ignore", SecurityWarning)


def _last(form: Form) -> list[Processor]:
    renderer = Console(colour=form.colour) if form.console else structlog.processors.JSONRenderer()
    return [_from_here, _raised, redaction, renderer]


@contextmanager
def about(run: str, **ids: object) -> Iterator[None]:
    """What is logged meanwhile in this thread, by libraries as well, is about this run.

    ``ids``: step and visit; of a batch's run its batch is told as well. What is bound in it, an
    attempt's number, goes with it.
    """
    batch = batch_of(run)
    bound = {"run": run, **ids, **({"batch": batch} if batch else {})}
    before = structlog.contextvars.get_contextvars()
    structlog.contextvars.bind_contextvars(**bound)
    try:
        yield
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**before)


def _uncaught(
    kind: type[BaseException], _error: BaseException | None, trace: TracebackType | None
) -> None:
    """Instead of a traceback with its message, which could hold anything: type and place."""
    log.error("python.uncaught", error=kind.__name__, where=place(trace))


def _uncaught_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def place(trace: TracebackType | None) -> str:
    """Where it was raised: what a bug report needs, and no data."""
    frames = traceback.extract_tb(trace)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


def _from_here(_logger: object, _method: str, event: _Event) -> _Event:
    """Asked each time: a pool's child has its parent's configuration, and a pid of its own."""
    event["process"] = os.getpid()
    return event


def _foreign(_logger: object, _method: str, event: _Event) -> _Event:
    """A line of a library's: no URL's credentials."""
    event["event"] = _USERINFO.sub("", str(event["event"]))
    return event


def _raised(_logger: object, _method: str, event: _Event) -> _Event:
    """Of an exception there is no more than its type: its message, and the frames of a traceback,
    could hold anything.
    """
    event.pop("stack_info", None)
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exception()
    elif isinstance(raised, tuple):
        raised = raised[1] if raised[1] is not None else raised[0]
    match raised:
        case BaseException():
            event.setdefault("error", type(raised).__name__)
        case type():
            event.setdefault("error", raised.__name__)
        case _:
            pass
    return event


class Console:
    """Renders an event as one line: time (UTC), level, process, name, ids, what happened.

    Whatever it holds, no control character reaches the terminal.
    """

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, _logger: object, _method: str, event: _Event) -> str:
        rest = dict(event)
        at, level = str(rest.pop("at", "")), str(rest.pop("level", ""))
        process, name = rest.pop("process", ""), _one_line(str(rest.pop("event", "")))
        head = [
            self._styled(f"{at[11:23]}Z", dim=True),
            self._styled(f"{level:<7}", fg=_COLOURS.get(level)),
            self._styled(f"{process:>7}", dim=True),
            self._styled(name, bold=True),
        ]
        return " ".join([*head, *(self._field(key, rest[key]) for key in _ordered(rest))])

    def _field(self, name: str, value: object) -> str:
        return self._styled(f"{_one_line(name)}=", dim=True) + _shown(value)

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._colour else text


def _ordered(fields: _Event) -> list[str]:
    """Ids first; what has no value is left out."""
    there = [name for name, value in fields.items() if value is not None and value != ""]
    return [name for name in _IDS if name in there] + [name for name in there if name not in _IDS]


def _shown(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return _one_line(value)
    return _one_line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _one_line(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut
    )

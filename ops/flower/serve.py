"""Flower in this process, until it is told to end."""

from __future__ import annotations

import dbm
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from flower.options import options
from flower.urls import settings as pages
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.netutil import bind_sockets

from ops.flower.gate import GuardedFlower
from ops.flower.login import Login
from ops.flower.views import Views
from orchestrator.errors import SettingsRefused

log = structlog.get_logger()

_CONFIG: Final = Path(__file__).with_name("flowerconfig.py")
#: Bytes and seconds: whoever sends more, or slower, has not come to look at tasks.
_LIMITS: Final = {
    "max_header_size": 16_384,
    "max_body_size": 65_536,
    "body_timeout": 30,
    "idle_connection_timeout": 120,
}
_TIDY_MS: Final = 60_000
_WRITABLE_BY_OTHERS: Final = 0o022


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    host: str
    #: 0: a free one.
    port: int
    login: Login
    control: bool
    #: Where the tasks are kept between two Flowers.
    db: Path


def serve(app: Any, views: Views, place: Place, announce: Callable[[str], None]) -> None:
    """``app``: Celery's. ``views``: of runs. ``announce`` gets the URL once it listens.

    Raises SettingsRefused for an address or a file that cannot be used.
    """
    os.umask(0o077)
    _logged()
    _take(place)
    flower = GuardedFlower(login=place.login, views=views, capp=app, options=options, **pages)
    port = _listen(flower, place)
    loop = IOLoop.current()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.asyncio_loop.add_signal_handler(number, loop.stop)  # type: ignore[attr-defined]
    PeriodicCallback(lambda: tidy(flower), _TIDY_MS).start()
    announce(f"http://{f'[{place.host}]' if ':' in place.host else place.host}:{port}/tasks")
    try:
        flower.start()
    finally:
        _stop(flower)


def tidy(flower: Any) -> None:
    """Forgets what Flower counts for ever of workers that it no longer lists."""
    flower.purge_offline_worker_metrics()
    for counted in (flower.events.state.counter, flower.inspector.workers):
        for name in set(counted) - set(flower.events.state.workers):
            del counted[name]


def require_own(db: Path) -> None:
    """Flower unpickles what it kept: who writes there makes it run what he likes.

    Makes the folder. Raises SettingsRefused.
    """
    try:
        db.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = [db.parent, *db.parent.glob(f"{db.name}*")]
        own = all(_is_own(path.stat()) for path in found)
        usable = os.access(db.parent, os.W_OK | os.X_OK) and not db.is_dir()
    except OSError as error:
        raise _unusable(db, (error.strerror or type(error).__name__).lower()) from None
    except ValueError:
        raise _unusable(db, "no name of a file") from None
    if not own:
        raise _unusable(db, "others can write there")
    if not usable:
        raise _unusable(db, "it cannot be written")


def _is_own(stat: os.stat_result) -> bool:
    return stat.st_uid in {os.getuid(), 0} and not stat.st_mode & _WRITABLE_BY_OTHERS


def _unusable(db: Path, reason: str) -> SettingsRefused:
    return SettingsRefused(
        f"Flower's tasks cannot be kept in {db} ({reason}): give --db a file in a folder that only"
        " you can write to"
    )


def _take(place: Place) -> None:
    """The options are Flower's own, of the process. Its API without a login stays closed."""
    require_own(place.db)
    os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)
    options.parse_config_file(str(_CONFIG), final=False)
    options.address, options.port = place.host, place.port
    options.basic_auth = list(place.login.pairs)
    options.read_only = not place.control
    options.persistent, options.db = True, str(place.db)


def _listen(flower: GuardedFlower, place: Place) -> int:
    try:
        sockets = bind_sockets(place.port, address=place.host)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsRefused(
            f"Flower cannot listen on {place.host}:{place.port}: {reason}; give another --host or"
            " --port"
        ) from None
    HTTPServer(flower, **_LIMITS).add_sockets(sockets)
    return int(sockets[0].getsockname()[1])


def _stop(flower: GuardedFlower) -> None:
    # What still runs in it meets a server that may be gone.
    logging.getLogger().handlers = [logging.NullHandler()]
    try:
        flower.stop()
    except dbm.error as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        log.warning("flower.not-kept", reason=reason.lower())


class _Lines(logging.Handler):
    """What libraries say, as events; of an exception its type, for its text may hold a request."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            log.log(record.levelno, "flower.crashed", error=record.exc_info[0].__name__)
        else:
            said = record.getMessage().partition("\n")[0]
            log.log(record.levelno, "flower.said", logger=record.name, said=said)


def _logged() -> None:
    root = logging.getLogger()
    root.handlers = [_Lines()]
    root.setLevel(logging.WARNING)
    # Who stops a worker by Flower is worth a line.
    logging.getLogger("flower").setLevel(logging.INFO)
    # That no worker answers is on the page.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    # They repeat what was asked for, and from which address.
    for name in ("tornado.access", "tornado.general"):
        logging.getLogger(name).disabled = True

"""``durazzo metrics``: what the journal counts, for Prometheus."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.embedded import serving
from ops.loopback import is_loopback
from ops.metrics.collector import JournalCollector
from ops.metrics.login import NAME, Login, login
from ops.metrics.reading import Gauge
from ops.metrics.server import Server, application
from orchestrator.errors import SettingsRefused
from orchestrator.settings import Settings, from_environ, secret_of
from orchestrator.wiring import reach, wire


@click.command(
    cls=Command,
    example="""\
export DURAZZO_METRICS_TOKEN=$(openssl rand -hex 32)
durazzo metrics --port 9790 &
curl -H "Authorization: Bearer $DURAZZO_METRICS_TOKEN" http://127.0.0.1:9790/metrics
env -u DURAZZO_METRICS_TOKEN durazzo metrics --no-login --port 0""",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9_790,
    show_default=True,
    help="0 is a free port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0 is all of this machine's.",
)
@click.option("--no-login", is_flag=True, help="Whoever is on this machine may read them.")
def metrics(*, port: int, host: str, no_login: bool) -> None:
    """Serve /metrics for Prometheus, and /healthz.

    Until Ctrl-C or SIGTERM. DURAZZO_METRICS_TOKEN, or what the file DURAZZO_METRICS_TOKEN_FILE
    holds, is the scraper's bearer token; /healthz needs none. It holds counts, and the names of
    workflows, steps, lanes and providers. It starts without Redis, needs no DURAZZO_KEYS, and
    changes nothing.
    """
    settings = from_environ()
    token = secret_of(NAME, settings.environ)
    who = login(token, wanted=not no_login, host=host)
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if no_login:
        terminal.say("warning: NO LOGIN: whoever is on this machine reads the metrics")
    if not is_loopback(host):
        terminal.say("warning: the token travels in clear: put TLS in front of it")
    with _at(settings) as reached:
        _serve(reached, who, host=host, port=port, stop=stop)


@contextmanager
def _at(settings: Settings) -> Iterator[Settings]:
    """Of a Redis that is named it is told whether it is there: it need not be."""
    if settings.redis_url:
        yield settings
        return
    with serving(settings) as embedded:
        yield embedded


def _failed(error: Exception) -> None:
    """Its message may hold what Redis said: only its type and its place are shown."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    terminal.error("bug", f"unexpected {type(error).__name__} at {where}")


def _serve(settings: Settings, who: Login, *, host: str, port: int, stop: threading.Event) -> None:
    # Nothing that is sealed is opened.
    wiring = wire(replace(settings, seal=False))
    asked = partial(reach, settings.redis_url)
    app = application(JournalCollector(Gauge(wiring)), who, asked, _failed)
    try:
        server = Server(host, port, app)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsRefused(f"metrics cannot be served on {host}:{port}: {reason}") from error
    with server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        terminal.out(f"metrics on {server.url}/metrics")
        stop.wait()
        server.shutdown()
    wiring.app.close()

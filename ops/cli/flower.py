"""``durazzo flower``: Celery's own view of the tasks, with a login and without controls."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.opened import opened
from ops.flower.login import is_loopback, login
from orchestrator.errors import SettingsRefused
from orchestrator.settings import from_environ, secret_of
from workers import logs

_PASSWORDS: Final = "FLOWER_BASIC_AUTH"
_READ: Final = frozenset({_PASSWORDS, f"{_PASSWORDS}_FILE"})


@click.command(
    cls=Command,
    example="""\
FLOWER_BASIC_AUTH=ops:a-password durazzo flower
durazzo flower --no-login --port 0""",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=5555,
    show_default=True,
    help="0 is a free port.",
)
@click.option("--no-login", is_flag=True, help="Whoever is on this machine may look.")
@click.option("--allow-control", is_flag=True, help="Who logs in may stop workers and send tasks.")
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where its tasks are kept when it ends. By default in DURAZZO_HOME.",
)
def flower(*, host: str, port: int, no_login: bool, allow_control: bool, db: Path | None) -> None:
    """Show the workers' tasks in a browser, until Ctrl-C or SIGTERM.

    FLOWER_BASIC_AUTH=user:password is the login, or what the file FLOWER_BASIC_AUTH_FILE holds. It
    shows ids, names and codes, and of each run what happened and what stands; amounts and outputs
    `durazzo show` knows. DURAZZO_KEYS is not needed.
    """
    # They take long, and --help is quick.
    from ops.cli.run_views import JournalViews  # noqa: PLC0415
    from ops.flower.serve import Place, serve  # noqa: PLC0415

    if not host:
        raise SettingsRefused("--host needs an address; 0.0.0.0 is all of this machine's")
    if no_login and allow_control:
        raise SettingsRefused("--allow-control needs a login: leave --no-login out")
    who = login(secret_of(_PASSWORDS, os.environ), wanted=not no_login, host=host)
    # Nothing that is sealed is opened.
    settings = replace(from_environ(), seal=False)
    place = Place(
        host=host,
        port=port,
        login=who,
        control=allow_control,
        db=db or settings.home / "flower" / "tasks",
    )
    _warn(place.host, open_to_all=no_login, control=allow_control)
    logs.configure()
    # A library's complaint may hold the URL.
    for secret in (settings.redis_password, *(p.partition(":")[2] for p in who.pairs)):
        logs.redaction.learn(secret)
    with opened(settings) as wiring:
        wiring.core.journal.now()
        serve(wiring.app, JournalViews(wiring.core), place, terminal.out)
    # Its threads ask the workers, and where Redis is gone they try for ever.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _warn(host: str, *, open_to_all: bool, control: bool) -> None:
    unread = sorted(n for n in os.environ if n.startswith("FLOWER_") and n not in _READ)
    for name in unread:
        terminal.say(terminal.plain(f"warning: {name} is not read: durazzo flower has options"))
    if open_to_all:
        terminal.say("warning: NO LOGIN: whoever is on this machine sees all tasks")
    if control:
        terminal.say("warning: who logs in may stop workers and send tasks")
    if not is_loopback(host):
        terminal.say("warning: passwords travel in clear: put TLS in front of it")

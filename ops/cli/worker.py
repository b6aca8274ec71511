"""``durazzo worker`` and ``durazzo timekeeper``: the processes that act."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import ExitStack
from types import FrameType

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.document import lane_name
from ops.cli.opened import opened
from ops.embedded import serving
from orchestrator.canvas.app import GRACE
from orchestrator.settings import DEFAULT_LANE, from_environ
from orchestrator.wiring import wire
from workers import logs
from workers.process import keep_time
from workers.readiness import require_redis, say
from workers.worker import create

_LEVELS = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False)


@click.command(
    cls=Command,
    example="durazzo worker --pool threads --concurrency 32 --lane default --lane dunning",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000),
    metavar="N",
    help="Steps at one time; by default as many as there are processors.",
)
@click.option(
    "--pool", type=click.Choice(["prefork", "threads"]), default="prefork", show_default=True
)
@click.option(
    "--lane",
    "lanes",
    multiple=True,
    default=(DEFAULT_LANE,),
    show_default=True,
    callback=lane_name,
    help="A queue to work on; may be given several times.",
)
@click.option(
    "--grace",
    type=click.IntRange(0, 3_600),
    metavar="SECONDS",
    help="Calls under way at the end may take so long; then another worker looks after them."
    f" {GRACE} if not given: a supervisor must wait for longer before it kills.",
)
@click.option("--loglevel", type=_LEVELS, default="INFO", show_default=True)
@click.option("--leashed", is_flag=True, hidden=True, help="End when stdin is closed.")
def worker(
    lanes: tuple[str, ...],
    *,
    concurrency: int | None,
    pool: str,
    grace: int | None,
    loglevel: str,
    leashed: bool,
) -> None:
    """Execute steps, until Ctrl-C or SIGTERM: calls under way land first.

    The same again hands them over at once: another worker finds out what became of them.

    The same as `celery -A workers.app worker`, and on the embedded server if no Redis is named.
    """
    words = [
        "worker", "-E", "--without-gossip", "--without-mingle", "--pool", pool,
        "--loglevel", loglevel, "--queues", ",".join(lanes), "-n", f"durazzo-{os.getpid()}@%h",
    ]  # fmt: skip
    words += ["--concurrency", str(concurrency)] if concurrency else []
    with ExitStack() as server:
        at = server.enter_context(serving(from_environ()))
        # Celery would try for ever, and children without a key would die one after the other.
        wire(at).core.journal.now()
        # Said in the log, once there is one.
        require_redis(at)
        if leashed:
            threading.Thread(target=_leash, name="leash", daemon=True).start()
        app = create(at, leave=server.close)
        if grace is not None:
            app.conf.worker_soft_shutdown_timeout = grace
        app.worker_main(words)


@click.command(cls=Command, example="durazzo timekeeper")
@click.option("--loglevel", type=_LEVELS, default="INFO", show_default=True)
def timekeeper(loglevel: str) -> None:
    """Keep time for the workers, executing no step.

    What has become due, and what nobody drives, is sent again. Every worker does that beside
    its work, one of all at a time; this is for who wants it apart. It counts as no worker.
    """
    logs.configure(logging.getLevelNamesMapping()[loglevel.upper()])
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with opened() as wiring:
        wiring.core.journal.now()
        say(require_redis(wiring.settings))
        terminal.say("keeping time")
        keep_time(wiring, stop)


def _leash() -> None:
    """Whoever started this worker holds the other end: without it, nobody would stop it."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

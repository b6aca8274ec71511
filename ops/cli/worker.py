"""``durazzo worker`` and ``durazzo timekeeper``: the processes that act."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Final

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.document import lane_name
from ops.cli.opened import opened
from ops.cli.supervisor import Supervisor, arrival
from ops.embedded import serving
from orchestrator.canvas.app import GRACE
from orchestrator.settings import DEFAULT_LANE, from_environ
from orchestrator.wiring import wire
from workers import logs
from workers.health import Role, folder
from workers.process import keep_time
from workers.readiness import require_redis, say
from workers.signs import Signs
from workers.worker import create

_LEVELS = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False)
#: Measured in ops/bench/RESULTS.md: a slot in a thread costs a tenth of one in a process.
_THREADS: Final = 25
#: Processes that nobody asked for: a container's limit is not seen, and each takes 70 MB.
_MOST: Final = 4


@click.command(
    cls=Command,
    example="""\
durazzo worker
durazzo worker --processes 2 --concurrency 50 --lane default --lane dunning""",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    metavar="P",
    help="So many workers under this command, which replaces one that dies. By default as many as"
    f" there are processors, {_MOST} at most; 1 where --pool or --concurrency is given.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000),
    metavar="N",
    help=f"Steps at one time, of each process. By default {_THREADS}; with --pool prefork as many"
    " as there are processors.",
)
@click.option(
    "--pool",
    type=click.Choice(["prefork", "threads"]),
    help="What executes a step: a thread (by default), or a process of its own.",
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
    processes: int | None,
    concurrency: int | None,
    pool: str | None,
    grace: int | None,
    loglevel: str,
    leashed: bool,
) -> int:
    """Execute steps, until Ctrl-C or SIGTERM: calls under way land first.

    The same again hands them over at once: another worker finds out what became of them.

    As `celery -A workers.app worker`, in as many processes as you like, and on the embedded server
    if no Redis is named.
    """
    processes = processes or (1 if pool or concurrency else min(_processors(), _MOST))
    pool = pool or "threads"
    slots = concurrency or (_THREADS if pool == "threads" else _processors())
    grace = GRACE if grace is None else grace
    with ExitStack() as server:
        at = server.enter_context(serving(from_environ()))
        # Celery would try for ever, and children without a key would die one after the other.
        journal = wire(at).core.journal
        journal.now()
        # Said in the log, once there is one.
        require_redis(at)
        if leashed:
            threading.Thread(target=_leash, name="leash", daemon=True).start()
        if processes > 1:
            logs.configure_process(_level(loglevel), at, sys.stderr)
            words = _words(lanes, pool=pool, slots=slots, grace=grace, loglevel=loglevel)
            signs = Signs(Role.SUPERVISOR, folder(at.environ))
            supervisor = Supervisor(
                words, processes, grace=grace, arrived=arrival(journal), signs=signs
            )
            return supervisor.run()
        app = create(at, leave=server.close)
        app.conf.worker_soft_shutdown_timeout = grace
        app.worker_main([
            "worker", "-E", "--without-gossip", "--without-mingle", "--pool", pool,
            "--concurrency", str(slots), "--loglevel", loglevel, "--queues", ",".join(lanes),
            "-n", f"durazzo-{os.getpid()}@%h",
        ])  # fmt: skip
    return 0


@click.command(cls=Command, example="durazzo timekeeper")
@click.option("--loglevel", type=_LEVELS, default="INFO", show_default=True)
def timekeeper(loglevel: str) -> None:
    """Keep time for the workers, executing no step.

    What has become due, and what nobody drives, is sent again. Every worker does that beside
    its work, one of all at a time; this is for who wants it apart. It counts as no worker.
    """
    logs.configure_process(_level(loglevel), from_environ(), sys.stderr)
    stop, signs = threading.Event(), Signs(Role.TIMEKEEPER, folder(os.environ))

    def end(_number: int, _frame: FrameType | None) -> None:
        signs.drains()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with opened() as wiring:
        wiring.core.journal.now()
        say(require_redis(wiring.settings))
        terminal.say("keeping time")
        signs.begin()
        signs.works()
        keep_time(wiring, stop, signs)
        signs.end()


def _words(lanes: Sequence[str], *, pool: str, slots: int, grace: int, loglevel: str) -> list[str]:
    """What starts one of several."""
    # -P: a folder of the user's that is called `workers` is not imported.
    return [
        sys.executable, "-P", "-m", "ops.cli.main", "worker", "--leashed", "--processes", "1",
        "--pool", pool, "--concurrency", str(slots), "--grace", str(grace), "--loglevel", loglevel,
        *(word for lane in lanes for word in ("--lane", lane)),
    ]  # fmt: skip


def _processors() -> int:
    """Those that this process may use, where the system says which."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _level(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]


def _leash() -> None:
    """Whoever started this worker holds the other end: without it, nobody would stop it."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

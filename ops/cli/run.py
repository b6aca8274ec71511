"""``durazzo run``: accept a run, tell what happens, give its result."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Final

import click

from ops.cli import dry_run as dry
from ops.cli import secrets, terminal
from ops.cli.commands import Command
from ops.cli.document import Asked, Order, Reading, document_options, order_options
from ops.cli.following import Following
from ops.cli.hands import Hands, hands
from ops.cli.opened import opened
from ops.cli.results import refused_as_json, show_result
from orchestrator.engine.state import Status
from orchestrator.errors import NoWorker
from orchestrator.service import Core, Report, Run
from orchestrator.service.inspect import SETTLED
from orchestrator.settings import from_environ
from orchestrator.wiring import load_profiles

EXIT_CODES: Final = {Status.SUCCEEDED: 0, Status.FAILED: 1, Status.CANCELLED: 1, Status.UNKNOWN: 6}
TIMED_OUT: Final = 5
DETACHED: Final = 130


def _seconds(_ctx: click.Context, _param: click.Parameter, given: float | None) -> float | None:
    """No number is larger than nan, and none smaller: the wait would have no end."""
    if given is not None and math.isnan(given):
        raise click.BadParameter("nan is no number of seconds")
    return given


@click.command(
    cls=Command,
    example="durazzo run order.arazzo.yaml -i amount=2000 -i currency=usd --key order-1042",
)
@document_options
@order_options
@click.option("--dry-run", is_flag=True, help="Print what would be sent. Store and send nothing.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="S",
    callback=_seconds,
    help="Wait so many seconds at most; the run goes on.",
)
@click.option("--reveal", is_flag=True, help="Print outputs that are secrets as they are.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    reading: Reading,
    asked: Asked,
    *,
    dry_run: bool,
    timeout: float | None,
    reveal: bool,
    as_json: bool,
) -> None:
    """Run a workflow and wait for its end.

    Exits with 0 if the run succeeded, 1 if it failed or was cancelled, 2 for wrong usage, 3 if
    the document or its inputs are invalid, 4 if Redis or a worker cannot be reached, 5 after
    --timeout while the run goes on, 6 if nobody knows whether a provider did what it was asked
    to, 74 if the result cannot be written, and 130 after Ctrl-C: what was accepted then goes on.
    """
    with refused_as_json(as_json):
        loaded = reading.load()
        terminal.show_diagnostics(loaded.diagnostics)
        order = asked.order(loaded)
        if dry_run:
            dry.show(order, from_environ(), as_json=as_json)
            return
        with signals():
            show = partial(show_result, as_json=as_json, reveal=reveal)
            code = _carry_out(order, asked, timeout, show)
    ctx.exit(code)


def _carry_out(
    order: Order, asked: Asked, timeout: float | None, show: Callable[[Report], None]
) -> int:
    settings = from_environ()
    if not settings.redis_url:
        secrets.check(order.plan, load_profiles(), settings, order.accounts)
    with ExitStack() as stack:
        core = stack.enter_context(opened(settings)).core
        workers = stack.enter_context(hands(settings, core, core.lane(order.plan.name, asked.lane)))
        run = asked.submit(core, order)
        if run.known:
            terminal.say(f"this run key has run {run.id} already: nothing new was started")
        try:
            status = _follow(core, run, workers, timeout)
        except KeyboardInterrupt:
            _say_where(run, workers, "left")
            return DETACHED
        # Before the worker ends, which takes a moment that nobody should wait for.
        show(replace(run.report(), diagnostics=order.loaded.diagnostics))
        if status not in SETTLED:
            _say_where(run, workers, "timed out")
    return EXIT_CODES.get(status, TIMED_OUT)


def _follow(core: Core, run: Run, workers: Hands, timeout: float | None) -> Status:
    try:
        return Following(run, core.clock).to_the_end(timeout, workers.check)
    except NoWorker as error:
        raise NoWorker(f"{error.message}; run {run.id} stays, {workers.carried_on}") from None


def _say_where(run: Run, workers: Hands, why: str) -> None:
    terminal.say(
        f"{why}: run {run.id} is not over and nothing of it is lost: {workers.carried_on}"
        f" (durazzo show {run.id})"
    )


@contextmanager
def signals() -> Iterator[None]:
    """A closed terminal and a ``kill`` end the command as Ctrl-C does, with its worker."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    ends = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

"""``durazzo batch show`` and ``list``."""

from __future__ import annotations

from itertools import islice

import click

from ops.cli import telling, terminal, words
from ops.cli.batch import wording
from ops.cli.batch.following import exit_code, follow, settled
from ops.cli.batch.page import page, stop_of
from ops.cli.batch.start import say_left
from ops.cli.batch.turn import driven
from ops.cli.commands import Command
from ops.cli.opened import opened
from ops.cli.run import DETACHED, signals
from orchestrator.journal.batches import Batch
from orchestrator.service import Core
from orchestrator.service import batch as service
from orchestrator.settings import Settings, from_environ


@click.command(cls=Command, example="durazzo batch show last --follow")
@click.argument("batch", shell_complete=words.batches)
@click.option("--follow", "following", is_flag=True, help="Watch it until nothing more happens.")
@click.option("--json", "as_json", is_flag=True, help="Print {batch, state, rows, codes, sums, …}.")
@click.pass_context
def show(ctx: click.Context, /, batch: str, *, following: bool, as_json: bool) -> None:
    """Show one batch: its counts, what was charged and sent, why rows failed, what to do.

    With --follow it exits as `batch start` does, and with the embedded server it brings a worker:
    that carries the batch on.
    """
    settings = from_environ()
    code = 0
    with signals(), opened(settings) as wiring:
        found = service.named(wiring.core, batch)
        if following:
            code, found = _followed(wiring.core, settings, found)
        if code != DETACHED:
            _put(wiring.core, found, as_json=as_json)
    ctx.exit(code)


def _followed(core: Core, settings: Settings, batch: Batch) -> tuple[int, Batch]:
    if settled(core, batch):
        return exit_code(batch), batch
    with driven(settings, core, batch) as workers:
        try:
            found = follow(core, batch, workers.check)
        except KeyboardInterrupt:
            say_left(batch, settings)
            return DETACHED, batch
    return exit_code(found), found


def _put(core: Core, batch: Batch, *, as_json: bool) -> None:
    if not as_json:
        for line in page(core, batch):
            terminal.out(line)
        return
    document = wording.as_json(batch)
    if document["stopped"] and (stop := stop_of(core, batch)):
        document["stopped"] |= {"since": stop.at, "reason": stop.reason}
    terminal.put_json(document)


@click.command(name="list", cls=Command, example="durazzo batch list --limit 5")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print {batches: [{batch, state, …}]}.")
def list_(limit: int, *, as_json: bool) -> None:
    """List batches, newest first."""
    with opened() as wiring:
        now = wiring.core.journal.now()
        found = list(islice(service.batches(wiring.core), limit))
    if as_json:
        terminal.put_json({"batches": [wording.as_json(batch) for batch in found]})
        return
    if not found:
        terminal.say("no batches yet")
        return
    head = ["BATCH", "WORKFLOW", "STATE", "ROWS", "SUCCEEDED", "FAILED", "UNKNOWN", "AGE"]
    terminal.table(head, (_cells(batch, now) for batch in found))


def _cells(batch: Batch, now: int) -> list[str]:
    counts = wording.Counts.of(batch)
    figures = (counts.total, counts.succeeded, counts.failed, counts.unknown)
    age = telling.age(now - batch.at)
    return [batch.id, batch.name, batch.state, *map(wording.number, figures), age]

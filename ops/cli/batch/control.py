"""``durazzo batch pause``, ``resume`` and ``cancel``: journaled with who and why."""

from __future__ import annotations

from typing import Final

import click

from ops.cli import telling, terminal, words
from ops.cli.batch import wording
from ops.cli.batch.asking import agreed
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.filters import short
from ops.cli.many import Tally
from ops.cli.opened import opened
from orchestrator.journal.batches import Batch
from orchestrator.service import batch as service

_BATCH: Final = click.argument("batch", shell_complete=words.batches)
_REASON: Final = click.option(
    "--reason", required=True, metavar="R", callback=short, help="Kept sealed in the journal."
)
_NO_REASON: Final = click.option(
    "--reason", default="", metavar="R", callback=short, help="Kept sealed, as well."
)
_YES: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command(cls=Command, example='durazzo batch pause last --reason "wrong texts"')
@_BATCH
@_REASON
@click.option("--json", "as_json", is_flag=True, help="Print the batch as one JSON object.")
def pause(batch: str, reason: str, *, as_json: bool) -> None:
    """Let a batch begin nothing more until it is resumed; calls under way land."""
    with opened() as wiring:
        found = service.named(wiring.core, batch)
        if _is_over(found):
            terminal.say(f"the batch is over: it stays {found.state}")
        elif found.stopped:
            terminal.say(terminal.plain(f"it was paused before, by {found.stopped}"))
        else:
            service.pause(wiring.core, found.id, by=who(), reason=reason)
            terminal.say(f"to let it go on: durazzo batch resume {found.id}")
        _put(service.find(wiring.core, found.id), as_json=as_json)


@click.command(cls=Command, example="durazzo batch resume last")
@_BATCH
@_NO_REASON
@click.option("--json", "as_json", is_flag=True, help="Print the batch as one JSON object.")
def resume(batch: str, reason: str, *, as_json: bool) -> None:
    """Let a paused batch go on.

    Failures until now count no more when it is judged whether too many fail.
    """
    with opened() as wiring:
        found = service.named(wiring.core, batch)
        wake = service.resume(wiring.core, found.id, by=who(), reason=reason)
        if not wake.taken_back:
            terminal.say("it was not paused")
        nobody = not wiring.core.journal.alive()
        after = service.find(wiring.core, found.id)
        _put(after, as_json=as_json)
    if nobody and not _is_over(after):
        terminal.say(f"no worker is alive: durazzo batch show {after.id} --follow")


@click.command(cls=Command, example='durazzo batch cancel last --reason "sent to the wrong list"')
@_BATCH
@_REASON
@_YES
@click.option("--json", "as_json", is_flag=True, help="Print {done, refused, given_up}.")
@click.pass_context
def cancel(ctx: click.Context, /, batch: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """End a batch: rows that have not begun never will. Its runs begin nothing more.

    A call under way lands first.
    """
    with opened() as wiring:
        found = service.named(wiring.core, batch)
        if _is_over(found):
            terminal.say(f"the batch is over: it stays {found.state}")
            _put(found, as_json=as_json)
            return
        counts = wording.Counts.of(found)
        going = counts.unknown + counts.in_flight + counts.waiting
        told = f"{wording.rows(counts.not_begun)} not begun and {wording.runs(going)} of {found.id}"
        if not agreed(told, "cancel", yes=yes):
            ctx.exit(1)
        given_up, runs = service.cancel(wiring.core, found.id, by=who(), reason=reason)
        terminal.say(f"{wording.rows(max(given_up, 0))} given up")
        tally = Tally("cancelled", going, wiring.core.clock, as_json=as_json)
        tally.take(runs)
    ctx.exit(1 if tally.refused else 0)


def _is_over(batch: Batch) -> bool:
    return batch.ended >= batch.total


def _put(batch: Batch, *, as_json: bool) -> None:
    if as_json:
        terminal.put_json(wording.as_json(batch))
    else:
        terminal.out(telling.safe(f"{batch.id}: {batch.state}, {wording.Counts.of(batch).told}"))


__all__ = ["cancel", "pause", "resume"]

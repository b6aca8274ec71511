"""``durazzo batch retry`` and ``resolve``: for rows that failed, and for rows in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

import click

from ops.cli import terminal, words
from ops.cli.batch import wording
from ops.cli.batch.asking import agreed
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.filters import named, short
from ops.cli.many import Tally
from ops.cli.opened import opened
from orchestrator import service as runs
from orchestrator.service import Core
from orchestrator.service import batch as service
from orchestrator.service.many import Done, done_to
from orchestrator.service.resolve import Verdict

_BATCH: Final = click.argument("batch", shell_complete=words.batches)
_YES: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print {done, refused}.")


@click.command(cls=Command, example="durazzo batch retry last --failed --code card_declined")
@_BATCH
@click.option("--failed", is_flag=True, help="Those that failed: it is said on purpose.")
@click.option("--code", metavar="CODE", callback=named, help="Only those with this code.")
@click.option("--step", "at", metavar="STEP", callback=named, help="Only those that failed there.")
@click.option(
    "--from", "step", metavar="STEP", callback=named, help="Go on from it, not the failed one."
)
@click.option("--reason", default="", metavar="R", callback=short, help="Kept sealed.")
@_YES
@_JSON
def retry(
    batch: str,
    *,
    failed: bool,
    code: str | None,
    at: str | None,
    step: str | None,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Let a batch's failed runs go on from the step that failed.

    A run that would charge or text again is refused, and told: `durazzo retry RUN --force` is for
    one of which that is meant.
    """
    if not failed:
        raise click.UsageError("say which rows: --failed, and --code or --step for some of them")
    wanted = {"code": code or "", "at": at or ""}
    _do(
        batch,
        "retry",
        "retried",
        lambda core, found: service.failed(core, found, **wanted),
        lambda core, found: service.retry_failed(
            core, found, **wanted, step=step, by=who(), reason=reason
        ),
        yes=yes,
        as_json=as_json,
    )


@click.command(
    cls=Command,
    example='durazzo batch resolve last send-text --as resend --reason "not in the console"',
)
@_BATCH
@click.argument("step")
@click.option(
    "--as",
    "verdict",
    type=click.Choice(["succeeded", "failed", "resend"]),
    required=True,
    help="What it came to; resend: it did nothing, and is sent again.",
)
@click.option(
    "--reason", required=True, metavar="R", callback=short, help="Kept sealed in the journal."
)
@_YES
@_JSON
def resolve(
    batch: str, step: str, verdict: Verdict, *, reason: str, yes: bool, as_json: bool
) -> None:  # fmt: skip
    """Say what became of STEP in all of a batch's runs in which it is unknown.

    Look at the provider first: a call that is sent again although it had been carried out is
    carried out twice, unless the provider knows its key. For a single one: durazzo resolve RUN.
    """
    act = partial(runs.resolve, step=step, verdict=verdict, by=who(), reason=reason)
    _do(
        batch,
        "resolve",
        "resolved",
        lambda core, found: service.in_doubt(core, found, step),
        lambda core, found: done_to(service.in_doubt(core, found, step), partial(act, core)),
        yes=yes,
        as_json=as_json,
    )


def _do(
    name: str,
    verb: str,
    done: str,
    which: Callable[[Core, str], Iterable[str]],
    act: Callable[[Core, str], Iterator[Done]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Count, ask, do. Exits with 1 when some were refused, or nobody agreed."""
    with opened() as wiring:
        batch = service.named(wiring.core, name)
        count = sum(1 for _ in which(wiring.core, batch.id))
        told = f"{wording.runs(count)} of {batch.id}"
        agrees = not count or agreed(told, verb, yes=yes)
        tally = Tally(done, count, as_json=as_json)
        if agrees:
            tally.take(act(wiring.core, batch.id))
        nobody = not wiring.core.journal.alive()
    if tally.done and nobody:
        terminal.say(f"no worker is alive: durazzo batch show {batch.id} --follow")
    click.get_current_context().exit(1 if tally.refused or not agrees else 0)


__all__ = ["resolve", "retry"]

"""``durazzo batch retry`` and ``resolve``: for rows that failed, and for rows in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Final

import click

from ops.cli import terminal, words
from ops.cli.batch import wording
from ops.cli.batch.asking import agreed
from ops.cli.batch.turn import Turn, driven
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.filters import named, short
from ops.cli.hands import Hands
from ops.cli.many import Tally
from ops.cli.opened import opened
from ops.cli.run import signals
from orchestrator.service import Core
from orchestrator.service import batch as service
from orchestrator.service.many import Done
from orchestrator.service.resolve import Verdict
from orchestrator.settings import from_environ

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

    They go on as the window has room for them: more than that is waited for. Ctrl-C leaves the
    rest as it is, and the same command again finds it.

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
        lambda core, found, wait: service.retry_failed(
            core, found, **wanted, step=step, by=who(), reason=reason, wait=wait
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
    They go on as `batch retry` lets them.
    """
    _do(
        batch,
        "resolve",
        "resolved",
        lambda core, found: service.in_doubt(core, found, step),
        lambda core, found, wait: service.resolve_all(
            core, found, step, verdict, by=who(), reason=reason, wait=wait
        ),
        yes=yes,
        as_json=as_json,
    )


def _do(
    name: str,
    verb: str,
    done: str,
    which: Callable[[Core, str], Iterable[str]],
    act: Callable[[Core, str, Callable[[], object]], Iterator[Done]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Count, ask, do. Exits with 1 when some were refused, or nobody agreed."""
    settings = from_environ()
    with signals(), opened(settings) as wiring:
        core = wiring.core
        batch = service.named(core, name)
        count = sum(1 for _ in which(core, batch.id))
        agrees = not count or agreed(f"{wording.runs(count)} of {batch.id}", verb, yes=yes)
        tally = Tally(done, count, core.clock, as_json=as_json)
        if agrees:
            # Without anybody who drives them, no more than the window would go on.
            waits = count > service.room(core, batch.id)
            with driven(settings, core, batch) if waits else nullcontext(Hands()) as workers:
                turn = Turn(core=core, batch=batch, workers=workers, tally=tally)
                tally.take(act(core, batch.id, turn))
        nobody = not core.journal.alive()
    if tally.done and nobody:
        terminal.say(f"no worker is alive: durazzo batch show {batch.id} --follow")
    click.get_current_context().exit(1 if tally.refused or not agrees else 0)


__all__ = ["resolve", "retry"]

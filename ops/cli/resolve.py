"""``durazzo resolve``: what became of a call that durazzo cannot find out about."""

from __future__ import annotations

import json

import click

from ops.cli import terminal, words
from ops.cli.commands import Command
from ops.cli.control import said, who
from ops.cli.opened import opened
from orchestrator import service
from orchestrator.expressions.nodes import Json
from orchestrator.service.resolve import Verdict


@click.command(
    cls=Command,
    example='durazzo resolve 01k9 send-confirmation --as resend --reason "not in the console"',
)
@click.argument("run", shell_complete=words.runs)
@click.argument("step")
@click.option(
    "--as",
    "verdict",
    type=click.Choice(["succeeded", "failed", "resend"]),
    required=True,
    help="What it came to; resend: it did nothing, and is sent again.",
)
@click.option(
    "--output",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An output of a step that succeeded: JSON, or a text.",
)
@click.option(
    "--reason", required=True, metavar="R", help="Kept in the journal; names no customer."
)
@click.option("--json", "as_json", is_flag=True, help="Print {run, state}.")
def resolve(
    run: str, step: str, verdict: Verdict, pairs: tuple[str, ...], *, reason: str, as_json: bool
) -> None:
    """Say what became of a step that is unknown, and carry its run on.

    Look at the provider first: a call that is sent again although it had been carried out is
    carried out twice, unless the provider knows its key. A failure takes the ways that the
    document has for failures.
    """
    outputs = dict(map(_output, pairs))
    with opened() as wiring:
        found = service.find(wiring.core, run)
        state = service.resolve(
            wiring.core, found.id, step, verdict, by=who(), reason=reason, outputs=outputs
        )
    if as_json:
        terminal.put_json({"run": found.id, "state": state.status.value})
    else:
        terminal.out(f"{found.id}: {said(state)}")


def _output(pair: str) -> tuple[str, Json]:
    name, separator, text = pair.partition("=")
    if not name or not separator:
        raise click.BadParameter("expected name=value", param_hint="--output")
    try:
        value: Json = json.loads(text)
    except ValueError:
        value = text
    return name, value

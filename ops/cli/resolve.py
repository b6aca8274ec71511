"""``durazzo resolve``: what became of a call that durazzo cannot find out about."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import click

from ops.cli import terminal, words
from ops.cli.commands import Command
from ops.cli.control import said, who
from ops.cli.filters import short
from ops.cli.many import Deed, Many, do, for_many
from ops.cli.opened import opened
from orchestrator import service
from orchestrator.engine.state import State
from orchestrator.expressions.nodes import Json
from orchestrator.service import Core
from orchestrator.service.many import in_doubt_at
from orchestrator.service.resolve import Verdict


@click.command(
    cls=Command,
    example='durazzo resolve 01k9 send-confirmation --as resend --reason "not in the console"',
)
@click.argument("run", required=False, shell_complete=words.runs)
@click.argument("step", required=False)
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
    "--reason", required=True, metavar="R", callback=short, help="Kept sealed in the journal."
)
@for_many
@click.option(
    "--json", "as_json", is_flag=True, help="Print {run, state}; of many {done, refused}."
)
def resolve(
    run: str | None,
    step: str | None,
    verdict: Verdict,
    pairs: tuple[str, ...],
    *,
    reason: str,
    many: Many,
    as_json: bool,
) -> None:
    """Say what became of a step that is unknown, and carry its run on.

    Look at the provider first: a call that is sent again although it had been carried out is
    carried out twice, unless the provider knows its key. A failure takes the ways that the
    document has for failures. Without RUN and STEP: that of every run in which the step that
    --step names is unknown, and that the other filters fit.
    """
    outputs = dict(map(_output, pairs))
    act = partial(service.resolve, verdict=verdict, by=who(), reason=reason, outputs=outputs)
    if many.is_about(run):
        at = many.wanted.step
        if not at:
            raise click.UsageError("say at which step, with --step")
        deed = Deed(verb="resolve", done="resolved", meant=in_doubt_at(at))
        do(deed, many, partial(_resolve, act, at), as_json=as_json)
        return
    if step is None:
        raise click.MissingParameter(param_hint="'STEP'", param_type="argument")
    with opened() as wiring:
        found = service.find(wiring.core, str(run))
        state = act(wiring.core, found.id, step)
    if as_json:
        terminal.put_json({"run": found.id, "state": state.status.value})
    else:
        terminal.out(f"{found.id}: {said(state)}")


def _resolve(act: Callable[..., State], step: str, core: Core, run: str) -> State:
    return act(core, run, step)


def _output(pair: str) -> tuple[str, Json]:
    name, separator, text = pair.partition("=")
    if not name or not separator:
        raise click.BadParameter("expected name=value", param_hint="--output")
    try:
        value: Json = json.loads(text)
    except ValueError:
        value = text
    return name, value

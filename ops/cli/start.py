"""``durazzo start``: accept a run, print its id, do not wait."""

from __future__ import annotations

import click

from ops.cli import secrets, terminal
from ops.cli.commands import Command
from ops.cli.document import Asked, Reading, document_options, order_options
from ops.cli.opened import opened
from ops.cli.results import refused_as_json
from orchestrator.service import Core
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import load_profiles


@click.command(
    cls=Command,
    example="durazzo start order.arazzo.yaml --inputs @order-1042.json --key order-1042",
)
@document_options
@order_options
@click.option("--json", "as_json", is_flag=True, help="Print {run, workflow, state, known}.")
def start(reading: Reading, asked: Asked, *, as_json: bool) -> None:
    """Accept a run, print its id, and do not wait for it."""
    with refused_as_json(as_json):
        loaded = reading.load()
        terminal.show_diagnostics(loaded.diagnostics)
        order = asked.order(loaded)
        settings = from_environ()
        if order.accounts and not settings.redis_url:
            # A label may be mistyped, and its worker is to come from this machine.
            secrets.check(order.plan, load_profiles(), settings, order.accounts)
        with opened(settings) as wiring:
            run = asked.submit(wiring.core, order)
            status = run.status()
            _say_who(wiring.core, settings)
    if as_json:
        terminal.put_json({
            "run": run.id,
            "workflow": order.plan.name,
            "state": status.value,
            "known": run.known,
        })
    else:
        terminal.out(run.id)


def _say_who(core: Core, settings: Settings) -> None:
    """Nobody drives a run without a worker: that is said, not found out."""
    if core.journal.alive():
        return
    who = "`durazzo worker`" if settings.redis_url else "`durazzo worker` or the next `durazzo run`"
    terminal.say(f"accepted; no worker is alive: nothing is sent until {who}")

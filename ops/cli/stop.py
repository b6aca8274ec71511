"""``durazzo stop-all`` and ``go-on``: nobody calls a provider until a person takes it back."""

from __future__ import annotations

import click

from ops.cli import telling, terminal, words
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.filters import short
from ops.cli.opened import opened
from orchestrator import service
from orchestrator.journal.port import Stop
from orchestrator.service import Core

_PROVIDER = click.argument("provider", shell_complete=words.providers)


@click.command(
    name="stop-all", cls=Command, example='durazzo stop-all stripe --reason "wrong account"'
)
@_PROVIDER
@click.option(
    "--reason", required=True, metavar="R", callback=short, help="Kept sealed in the journal."
)
@click.option("--json", "as_json", is_flag=True, help="Print {provider, stopped, by, since}.")
def stop_all(provider: str, reason: str, *, as_json: bool) -> None:
    """Let no worker call a provider any more, until it goes on.

    At once, and for every run: a call under way lands, no other begins. What was to call it
    waits, and holds no worker. Look-ups of what is in doubt go on: they change nothing.
    PROVIDER is the name of a profile, e.g. stripe; generic is every API that has none.
    """
    with opened() as wiring:
        core = wiring.core
        before = {stop.provider for stop in service.stops(core)}
        stop = service.stop_all(core, provider, by=who(), reason=reason)
    if as_json:
        terminal.put_json({"provider": provider, "stopped": True, "by": stop.by, "since": stop.at})
        return
    if provider in before:
        terminal.say("it was stopped before, and stays as it was stopped")
    terminal.out(terminal.plain(f"{_stopped(stop)}: no call to it begins until it goes on"))
    terminal.say(f"to take it back: durazzo go-on {provider}")


@click.command(name="go-on", cls=Command, example="durazzo go-on stripe")
@_PROVIDER
@click.option("--reason", default="", metavar="R", callback=short, help="Kept sealed, as well.")
@click.option("--json", "as_json", is_flag=True, help="Print {provider, stopped, woken}.")
def go_on(provider: str, reason: str, *, as_json: bool) -> None:
    """Let a provider that was stopped be called again.

    What waited for it goes on from now, no faster than the provider's limits. Said again, it
    wakes what an earlier one that broke off has left.
    """
    with opened() as wiring:
        wake = service.go_on(wiring.core, provider, by=who(), reason=reason)
    if as_json:
        terminal.put_json({"provider": provider, "stopped": False, "woken": wake.woken})
        return
    if not wake.taken_back:
        terminal.say("it was not stopped")
    steps = "1 step goes on" if wake.woken == 1 else f"{wake.woken} steps go on"
    terminal.out(terminal.plain(f"{provider} may be called; {steps} that waited for it"))


def tell_stops(core: Core, now: int) -> None:
    """One line for each provider that is stopped, beside a result."""
    for stop in service.stops(core):
        since = f"{_stopped(stop)}, {telling.age(now - stop.at)} ago"
        terminal.say(terminal.plain(f"{since}: durazzo go-on {stop.provider}"))


def _stopped(stop: Stop) -> str:
    return f"{stop.provider} is stopped by {stop.by} since {telling.utc(stop.at)}"

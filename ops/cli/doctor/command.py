"""``durazzo doctor``: one look at everything a run needs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import groupby
from operator import attrgetter
from typing import Final

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.doctor import document, hosts, journal, machine, server
from ops.cli.doctor.finding import Finding, State, counted, refused
from ops.cli.doctor.secrets import GROUP, Purse
from ops.cli.document import Reading, account_option, document_options
from orchestrator.errors import UnknownProvider
from orchestrator.service import Loaded, check_accounts
from orchestrator.settings import Settings
from orchestrator.wiring import load_profiles

_COLOURS: Final = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.ERROR: "red",
    State.UNKNOWN: "magenta",
}


@click.command(cls=Command, example="durazzo doctor order.arazzo.yaml")
@document_options
@account_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print {checks: [{group, name, state, message, hint}], ok}.",
)
@click.pass_context
def doctor(
    ctx: click.Context, reading: Reading, *, accounts: Mapping[str, str], as_json: bool
) -> None:  # fmt: skip
    """Say what is missing, and what to do. Nothing is run, and nothing is sent to a provider.

    Looks at this machine's settings, at Redis and what it could lose, at sealing keys, workers
    and credentials (by name, never a value). With FILE also at the document, at the credentials
    that its steps need, and at whether the hosts of its calls take a connection. On a Redis of
    your own the workers make the calls, so what only this machine lacks is a warning.

    Exits with 0 if nothing is broken, warnings or not; else with the largest of: 4 if Redis
    cannot be reached or refuses writes, 3 if the document is invalid, 2 if a setting cannot be
    used, 1 for anything else.
    """
    asked = None if ctx.params["file"] is None else reading
    if accounts and asked is None:
        raise click.UsageError("which accounts a document takes: --account needs its FILE")
    with ExitStack() as stack:
        findings = examine(asked, stack, accounts)
        found = list(findings) if as_json else _show(findings)
    broken = [finding for finding in found if finding.state is State.ERROR]
    if as_json:
        terminal.put_json({"checks": [one.as_json() for one in found], "ok": not broken})
    else:
        _sum_up(found)
    ctx.exit(max((finding.code for finding in broken), default=0))


# The other commands need their FILE.
next(param for param in doctor.params if param.name == "file").required = False


def examine(
    reading: Reading | None, stack: ExitStack, accounts: Mapping[str, str]
) -> Iterator[Finding]:
    """All findings, group by group; ``stack`` keeps the embedded server meanwhile."""
    yield from machine.versions()
    settings, findings = machine.settings()
    yield from findings
    loaded = None
    if reading is not None:
        found, loaded = document.look(reading)
        yield found
        yield from () if loaded is None else document.overlays(loaded)
    if settings is not None:
        yield from _redis(settings, stack)
        yield from _calls(loaded, settings, accounts)


def _redis(settings: Settings, stack: ExitStack) -> Iterator[Finding]:
    own = not settings.redis_url
    found, at = server.look(settings, stack)
    yield from found
    if at is not None:
        yield from journal.look(at, brings_worker=own)
    elif not own:
        yield journal.sealing(settings, own_file=False)


def _calls(
    loaded: Loaded | None, settings: Settings, accounts: Mapping[str, str]
) -> Iterator[Finding]:
    here = not settings.redis_url
    purse = Purse(settings, load_profiles(), here=here)
    if loaded is None:
        yield from purse.shipped()
        return
    try:
        named = check_accounts(loaded.plan, accounts, load_profiles())
    except UnknownProvider as error:
        yield refused(GROUP, "--account", error)
    else:
        yield from purse.needed(loaded.plan, named)
    yield from hosts.look(loaded.plan, settings, here=here)


def _show(findings: Iterable[Finding]) -> list[Finding]:
    """Group by group, as they are found."""
    shown: list[Finding] = []
    for group, found in groupby(findings, attrgetter("group")):
        members = list(found)
        width = max(len(finding.name) for finding in members)
        terminal.out(click.style(group, bold=True))
        for finding in members:
            terminal.out(_line(finding, width))
        shown += members
    return shown


def _line(finding: Finding, width: int) -> str:
    symbols = terminal.symbols(sys.stdout)
    symbol = {
        State.OK: symbols.done,
        State.WARNING: "!",
        State.ERROR: symbols.failed,
        State.UNKNOWN: symbols.unknown,
    }[finding.state]
    told = f"{finding.message}; {finding.hint}" if finding.hint else finding.message
    text = terminal.plain(f"{finding.name:<{width}}  {told}".replace("\n", " "))
    return f"  {click.style(symbol, fg=_COLOURS[finding.state])} {text}"


def _sum_up(found: Iterable[Finding]) -> None:
    states = Counter(finding.state for finding in found)
    errors, warnings = states[State.ERROR], states[State.WARNING]
    broken = f"{counted(errors, 'thing')} to be put right" if errors else "nothing is broken"
    terminal.say(f"{broken}, {counted(warnings, 'warning')}")

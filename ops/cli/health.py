"""``durazzo health``: whether a worker or a timekeeper on this machine lives, or is ready.

Containers and supervisors ask it every few seconds: it imports little, and asks files.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from ops.cli import terminal
from ops.cli.commands import Command
from orchestrator.clock import SystemClock
from workers.health import Role, Verdict, folder, judge, read


@click.command(
    cls=Command,
    example="""\
durazzo health worker
durazzo health timekeeper --ready""",
)
@click.argument("what", type=click.Choice(["worker", "timekeeper"]))
@click.option(
    "--live/--ready",
    default=True,
    help="Whether its threads go on, so that a restart would help nothing (by default); or whether"
    " it works now: Redis answers, and it takes messages.",
)
@click.option(
    "--pid",
    type=click.IntRange(1),
    metavar="PID",
    help="Only that one, of several on this machine: the process of the command itself.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print {what, live, ready, commands: [{pid, …}]}."
)
@click.pass_context
def health(ctx: click.Context, *, what: str, live: bool, pid: int | None, as_json: bool) -> None:
    """Say whether workers, or timekeepers, of this machine are well.

    Exits with 0 if they are, else with 1. Every process shows itself in a file in
    DURAZZO_HEALTH_DIR, or in a folder of its user's among the temporary files; this reads them, as
    the same user. A Redis that is away is no reason for a restart: live, and not ready.
    """
    at = folder(os.environ)
    verdicts = judge(list(read(at)), Role(what), now=SystemClock().monotonic_ms(), pid=pid)
    lives = bool(verdicts) and not any(x.not_live for x in verdicts)
    ready = lives and not any(x.not_ready for x in verdicts)
    well = lives if live else ready
    if as_json:
        commands = [asdict(x) for x in verdicts]
        terminal.put_json({"what": what, "live": lives, "ready": ready, "commands": commands})
    else:
        word = ("" if well else "not ") + ("live" if live else "ready")
        for line in _lines(what, verdicts, at, live=live, pid=pid):
            terminal.out(terminal.plain(f"{word}: {line}"))
    ctx.exit(0 if well else 1)


def _lines(
    what: str, verdicts: list[Verdict], at: Path, *, live: bool, pid: int | None
) -> list[str]:
    if not verdicts:
        one = f"no {what}" if pid is None else f"no {what} {pid}"
        asked = "is it running, as this user, and with this DURAZZO_HEALTH_DIR?"
        return [f"{one} shows itself in {at}: {asked}"]
    wrong = [why for x in verdicts for why in (*x.not_live, *(() if live else x.not_ready))]
    if wrong:
        return list(dict.fromkeys(wrong))
    processes = sum(x.processes for x in verdicts)
    several = f", {processes} processes" if processes > 1 else ""
    return [f"{what} {', '.join(str(x.pid) for x in verdicts)}{several}"]

"""``durazzo runs`` and ``durazzo show``: which run, which step, why. Codes, no values."""

from __future__ import annotations

import json
from typing import Any

import click

from ops.cli import terminal, words
from ops.cli.commands import Command
from ops.cli.opened import opened
from ops.cli.results import show_result
from orchestrator.engine.events import Event
from orchestrator.engine.state import Phase, State
from orchestrator.service import Report, StepReport, find, recent


@click.command(cls=Command, example="durazzo runs --limit 50")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print {runs: [{run, workflow, state, …}]}.")
def runs(limit: int, *, as_json: bool) -> None:
    """List the latest runs, newest first."""
    with opened() as wiring:
        now = wiring.core.journal.now()
        rows = [_row(run, state, now) for run, state in recent(wiring.core, limit)]
    if as_json:
        terminal.put_json({"runs": rows})
        return
    if not rows:
        terminal.say("no runs yet")
        return
    head = ("run", "workflow", "state", "code", "step", "age")
    shown = ({**row, "age": terminal.span(row["age"] * 1000)} for row in rows)
    terminal.table([h.upper() for h in head], ([str(row[h]) for h in head] for row in shown))


@click.command(cls=Command, example="durazzo show 01k9 --events")
@click.argument("run", shell_complete=words.runs)
@click.option("--outputs", is_flag=True, help="With the values of the workflow's outputs.")
@click.option("--reveal", is_flag=True, help="With outputs that are secrets, too.")
@click.option("--events", is_flag=True, help="With all that the journal holds of it.")
@click.option("--json", "as_json", is_flag=True, help="As `durazzo run --json` prints it.")
def show(run: str, *, outputs: bool, reveal: bool, events: bool, as_json: bool) -> None:
    """Show one run: its steps, and what failed. RUN is an id, the beginning of one, or `last`."""
    with opened() as wiring:
        found = find(wiring.core, run)
        report = found.report()
        history = found.history() if events else []
        key = found.key()
    if as_json:
        shown: dict[str, Any] = report.as_json(reveal=reveal)
        shown |= {} if outputs or reveal else {"outputs": {}}
        shown |= {"key": key} if key is not None else {}
        shown |= {"events": [_event(event) for event in history]} if events else {}
        terminal.put_json(shown)
        return
    show_result(report, outputs=outputs or reveal, reveal=reveal)
    if key is not None:
        terminal.out(f"  run key {terminal.plain(key)}")
    _steps(report)
    for event in history:
        after = terminal.span(event.at - report.accepted)
        fields = terminal.plain(json.dumps(dict(event.fields), ensure_ascii=False))
        terminal.out(f"  +{after:>7}  {event.kind:<9} {fields}")


def _row(run: str, state: State, now: int) -> dict[str, Any]:
    """``age`` in seconds."""
    return {
        "run": run,
        "workflow": state.name,
        "state": state.status.value,
        "code": state.code,
        "step": state.failed_step or _current(state),
        "age": (now - state.accepted) // 1000,
    }


def _current(state: State) -> str:
    """Where an unfinished run stands."""
    over = {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}
    return ", ".join(sorted(s for s, visit in state.visits.items() if visit.phase not in over))


def _steps(report: Report) -> None:
    if report.steps:
        head = ("  STEP", "STATE", "VISITS", "CALLS", "HTTP", "CODE")
        terminal.table(head, [_cells(step) for step in report.steps])


def _cells(step: StepReport) -> tuple[str, ...]:
    code = f"{step.code} ({step.detail})" if step.detail else step.code
    status = str(step.status or "-")
    return f"  {step.step}", step.state, str(step.visits), str(step.attempts), status, code


def _event(event: Event) -> dict[str, Any]:
    return {"event": event.kind, "at": event.at, **event.fields}

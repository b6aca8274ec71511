"""``durazzo runs`` and ``durazzo show``: which run, which step, why. Codes, no inputs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import click

from ops.cli import telling, terminal, timeline, words
from ops.cli.commands import Command
from ops.cli.filters import filters
from ops.cli.opened import opened
from ops.cli.standing import NOT_GOOD, Standing
from ops.cli.stop import tell_stops
from orchestrator.engine.effects import Totals
from orchestrator.engine.events import Event
from orchestrator.engine.state import State, Status
from orchestrator.errors import NewerRelease
from orchestrator.service import (
    Core,
    Filter,
    Report,
    Run,
    StepReport,
    find,
    in_doubt,
    recent,
    stops,
)
from orchestrator.service.many import where
from orchestrator.service.timeline import timeline as timeline_of

#: Runs that a filter looks at, the latest ones, unless --limit is more.
LOOKED_AT: Final = 1_000
_COLOURS: Final = {
    Status.SUCCEEDED: "green", Status.FAILED: "red", Status.CANCELLED: "red",
    Status.UNKNOWN: "magenta",
}  # fmt: skip


@click.command(cls=Command, example="durazzo runs --failed --workflow charge-and-sms-confirm")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@filters
@click.option("--json", "as_json", is_flag=True, help="Print {runs: [{run, workflow, state, …}]}.")
def runs(limit: int, wanted: Filter, *, as_json: bool) -> None:
    """List the latest runs, newest first.

    A filter looks at the latest 1000 runs, or at --limit of them if that is more; --unknown at all
    that are unknown.
    """
    filtered, unknown = not wanted.empty, wanted.statuses == {Status.UNKNOWN}
    newer: list[str] = []
    with opened() as wiring:
        now = wiring.core.journal.now()
        most = max(limit, LOOKED_AT) if filtered else limit
        core = wiring.core
        looked_at = in_doubt(core, most) if unknown else recent(core, most, newer)
        tell_stops(wiring.core, now)
    fitting = ((run, state) for run, state in looked_at if wanted.fits(state))
    found = list(islice(fitting, limit))
    if newer:
        terminal.say(
            f"{len(newer)} more, {newer[0]} the latest, written by a newer release of durazzo:"
            f" update this one to see them (durazzo explain {NewerRelease.code})"
        )
    if as_json:
        more = {"looked_at": len(looked_at)} if filtered and not unknown else {}
        rows = [_row(run, state, now) for run, state in found]
        terminal.put_json({"runs": rows} | more | ({"newer": newer} if newer else {}))
        return
    _list(found, now, "no such runs" if looked_at or unknown else "no runs yet")
    if filtered and not unknown and looked_at:
        oldest = telling.age(now - looked_at[-1][1].accepted)
        terminal.say(f"(of the latest {len(looked_at)} runs, the oldest accepted {oldest} ago)")


def _list(found: Sequence[tuple[str, State]], now: int, none: str) -> None:
    """With what stands of runs that came to no good end, where there is any."""
    if not found:
        terminal.say(none)
        return
    head = ["RUN", "WORKFLOW", "STATE", "CODE", "STEP", "AGE", "STANDS"]
    rows = [
        [
            run, state.name, state.status.value, state.code, ", ".join(where(state)),
            telling.age(now - state.accepted), _stands(state),
        ]
        for run, state in found
    ]  # fmt: skip
    width = len(head) if any(row[-1] for row in rows) else len(head) - 1
    terminal.table(head[:width], (row[:width] for row in rows))


def _stands(state: State) -> str:
    return Totals.of(state.effects).told if state.status in NOT_GOOD else ""


@click.command(cls=Command, example="durazzo show 01k9")
@click.argument("run", shell_complete=words.runs)
@click.option("--outputs", is_flag=True, help="With the values of the workflow's outputs.")
@click.option("--reveal", is_flag=True, help="With outputs that are secrets, too.")
@click.option("--events", is_flag=True, help="With all that the journal holds of it.")
@click.option(
    "--json", "as_json", is_flag=True, help="As `durazzo run --json` prints it, with `timeline`."
)
def show(run: str, *, outputs: bool, reveal: bool, events: bool, as_json: bool) -> None:
    """Show one run: its steps, and what failed. RUN is an id, the beginning of one, or `last`.

    Where it stands, what to do about it, and what happened in order of time: calls and what came
    back, waits and why, who decided what. Ids, codes and amounts only. Times count from when
    the run was accepted; UTC.
    """
    with opened() as wiring:
        found = find(wiring.core, run)
        history = found.history(reasons=True)
        standing = _standing(wiring.core, found, history)
    if as_json:
        report = standing.report
        shown: dict[str, Any] = report.as_json(reveal=reveal)
        shown |= {} if outputs or reveal else {"outputs": {}}
        shown |= {"key": standing.key} if standing.key is not None else {}
        shown |= {"timeline": [entry.as_json() for entry in standing.entries]}
        shown |= {"events": [_event(event) for event in history]} if events else {}
        terminal.put_json(shown)
        return
    _show_head(standing)
    if outputs or reveal:
        _outputs(standing.report, reveal=reveal)
    _show_timeline(standing)
    if events:
        _steps(standing.report)
        _events(history, standing.report.accepted)


def _standing(core: Core, run: Run, history: Sequence[Event]) -> Standing:
    state = run.state()
    plan = core.plans.graph(state.plan).plan
    return Standing(
        report=run.report(),
        state=state,
        plan=plan,
        entries=timeline_of(history, plan),
        now=core.journal.now(),
        key=run.key(),
        stops=stops(core, reasons=True),
    )


def _show_head(standing: Standing) -> None:
    state, *rest = standing.head()
    word, separator, text = state.partition(" ")
    terminal.out(f"{click.style(word, fg=_COLOURS.get(standing.state.status))}{separator}{text}")
    for line in (*rest, *(f"  {line}" for line in standing.advice())):
        for part in textwrap.wrap(line, _width(), subsequent_indent="  ", break_on_hyphens=False):
            terminal.out(part)


def _show_timeline(standing: Standing) -> None:
    marks = telling.marks(terminal.symbols(sys.stdout))
    rows = [*timeline.rows(standing.entries, marks), *standing.rows(marks)]
    accepted = standing.report.accepted
    terminal.out()
    for line in timeline.lines(rows, accepted=accepted, marks=marks, width=_width()):
        terminal.out(line)


def _width() -> int:
    return min(shutil.get_terminal_size((timeline.WIDTH, 24)).columns, timeline.WIDTH)


def _outputs(report: Report, *, reveal: bool) -> None:
    width = max((len(name) for name in report.outputs), default=0)
    for name, value in report.shown_outputs(reveal=reveal).items():
        terminal.out(f"  {terminal.plain(name).ljust(width)}  {terminal.value(value)}")


def _events(history: Sequence[Event], accepted: int) -> None:
    for event in history:
        after = telling.elapsed(event.at - accepted)
        fields = telling.safe(json.dumps(dict(event.fields), ensure_ascii=False))
        terminal.out(f"  +{after:>7}  {event.kind:<9} {fields}")


def _row(run: str, state: State, now: int) -> dict[str, Any]:
    """``age`` in seconds."""
    return {
        "run": run,
        "workflow": state.name,
        "state": state.status.value,
        "code": state.code,
        "step": ", ".join(where(state)),
        "age": (now - state.accepted) // 1000,
        "effects": [effect.as_json() for effect in state.effects],
    }


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

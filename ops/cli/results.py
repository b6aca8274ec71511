"""A run's result: for a person, or as the one object of ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ops.cli import terminal
from orchestrator.engine.state import Status
from orchestrator.errors import Diagnostic, DocumentRefused, DurazzoError
from orchestrator.service import Report


def show_result(
    report: Report, *, as_json: bool = False, outputs: bool = True, reveal: bool = False
) -> None:
    """``outputs``: the values that the workflow declares as its outputs; no other is shown."""
    if as_json:
        shown = report.as_json(reveal=reveal)
        terminal.put_json(shown if outputs else {**shown, "outputs": {}})
        return
    took = report.ended - report.accepted
    span = f" after {terminal.span(took)}" if report.ended else ""
    terminal.out(terminal.plain(f"{report.state}{span}: {report.workflow}, run {report.run}"))
    if stands := report.stands():
        terminal.out(f"  {terminal.plain(stands)}")
    if report.error_code:
        terminal.out(f"  {terminal.plain(report.explain())}")
    width = max((len(name) for name in report.outputs), default=0)
    for name, value in report.shown_outputs(reveal=reveal).items() if outputs else ():
        terminal.out(f"  {terminal.plain(name).ljust(width)}  {terminal.value(value)}")
    if report.state == Status.FAILED:
        _remind(report.diagnostics)


def _remind(diagnostics: Iterable[Diagnostic]) -> None:
    """That the document was known not to work as published."""
    for diagnostic in diagnostics:
        if diagnostic.code == "overlay-available":
            terminal.say(f"note: {terminal.plain(diagnostic.message)}")


@contextmanager
def refused_as_json(as_json: bool) -> Iterator[None]:
    """With ``--json`` there is one object on stdout also when nothing came to a run."""
    try:
        yield
    except DurazzoError as error:
        if as_json:
            terminal.put_json(_refusal(error))
        raise


def _refusal(error: DurazzoError) -> dict[str, Any]:
    found = error.diagnostics if isinstance(error, DocumentRefused) else ()
    return {
        "run": None,
        "workflow": None,
        "state": None,
        "outputs": {},
        "steps": [],
        "error": {"code": error.code, "message": error.message},
        "diagnostics": [diagnostic.as_json() for diagnostic in found],
    }

"""``durazzo validate``: what is wrong with a document, and where."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.document import Reading, document_options
from orchestrator.errors import Diagnostic, DocumentRefused


@click.command(cls=Command, example="durazzo validate order.arazzo.yaml --strict")
@document_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print {file, valid, workflows, diagnostics}."
)
def validate(reading: Reading, *, as_json: bool) -> None:
    """Say what is wrong with a document, where, and what to do. Nothing is run.

    Exits with 0 if the document can be run and with 3 if it cannot.
    """
    try:
        loaded = reading.load()
    except DocumentRefused as error:
        if as_json:
            _put(reading, error.diagnostics, workflows=())
        raise
    terminal.show_diagnostics(loaded.diagnostics)
    if as_json:
        _put(reading, loaded.diagnostics, workflows=loaded.workflows)
    else:
        workflows = ", ".join(map(terminal.plain, loaded.workflows))
        terminal.out(f"{reading.file}: valid ({workflows})")


def _put(reading: Reading, found: Sequence[Diagnostic], *, workflows: Sequence[str]) -> None:
    terminal.put_json({
        "file": str(reading.file),
        "valid": bool(workflows),
        "workflows": list(workflows),
        "diagnostics": [diagnostic.as_json() for diagnostic in found],
    })

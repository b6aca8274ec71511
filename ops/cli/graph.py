"""``durazzo graph``: a document's workflow, drawn."""

from __future__ import annotations

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.document import Reading, document_options
from orchestrator.service.draw import MAX_EDGES, MAX_TEXT, mermaid


@click.command(cls=Command, example="durazzo graph order.arazzo.yaml --workflow refund")
@document_options
@click.option("--json", "as_json", is_flag=True, help="Print {workflow, mermaid}.")
def graph(reading: Reading, *, as_json: bool) -> None:
    """Draw a workflow as a Mermaid flowchart. Nothing is run.

    GitHub and GitLab show it where it stands in a ```mermaid block.
    Solid ways follow a success, dashed ones a failure; the faint ones are the failures of
    which the document says nothing. Exits with 3 if the document is invalid.
    """
    loaded = reading.load()
    terminal.show_diagnostics(loaded.diagnostics)
    drawn = mermaid(loaded.plan)
    _warn(drawn)
    if as_json:
        terminal.put_json({"workflow": loaded.plan.name, "mermaid": drawn})
    else:
        terminal.out(drawn.removesuffix("\n"))


def _warn(drawn: str) -> None:
    # No label has a ">" of its own.
    edges = drawn.count("-->") + drawn.count("-.->")
    if len(drawn) > MAX_TEXT or edges > MAX_EDGES:
        terminal.say(
            f"warning: Mermaid draws at most {MAX_TEXT} characters and {MAX_EDGES} edges, "
            f"and these are {len(drawn)} and {edges}: raise its maxTextSize and maxEdges"
        )

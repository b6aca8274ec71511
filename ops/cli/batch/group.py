"""``durazzo batch``: its commands, none of them imported before it is called."""

from __future__ import annotations

from typing import Final

import click

from ops.cli.commands import LazyGroup

COMMANDS: Final = {
    "start": ("ops.cli.batch.start:start", "Run a workflow for every row of a file."),
    "show": (
        "ops.cli.batch.show:show",
        "Show one batch: its counts, what was charged and sent, why rows failed, what to do.",
    ),
    "list": ("ops.cli.batch.show:list_", "List batches, newest first."),
    "pause": (
        "ops.cli.batch.control:pause",
        "Let a batch begin nothing more until it is resumed.",
    ),
    "resume": ("ops.cli.batch.control:resume", "Let a paused batch go on."),
    "cancel": (
        "ops.cli.batch.control:cancel",
        "End a batch: rows that have not begun never will.",
    ),
    "retry": (
        "ops.cli.batch.again:retry",
        "Let a batch's failed runs go on from the step that failed.",
    ),
    "resolve": (
        "ops.cli.batch.again:resolve",
        "Say what became of STEP in all of a batch's runs in which it is unknown.",
    ),
    "export": ("ops.cli.batch.export:export", "Write what every row came to, a line each."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    example="""\
durazzo batch start reminder.arazzo.yaml --data customers.csv --key customer
durazzo batch show last""",
)
def batch() -> None:
    """Run a workflow for every row of a file, a window of them at a time.

    Each row becomes a run of its own, once, whatever dies. BATCH is an id, the beginning of
    one, or `last`.
    """

"""Before something is done to many rows, a person agrees to it."""

from __future__ import annotations

import sys

import click

from ops.cli import terminal


def agreed(found: str, verb: str, *, yes: bool) -> bool:
    """``found``: what it is about, "12 runs of b-…". Raises UsageError where nobody can answer."""
    if yes:
        terminal.say(found)
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{found}, and there is no terminal to ask at: --yes says {verb}")
    if click.confirm(f"{found}. {verb.capitalize()} them?", err=True):
        return True
    terminal.say("nothing was done")
    return False

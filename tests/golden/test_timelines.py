"""What ``durazzo show`` tells of runs that were interesting.

Rewritten with DURAZZO_REWRITE_GOLDEN=1, and reviewed as a diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from ops.cli.telling import marks
from ops.cli.terminal import UNICODE
from ops.cli.timeline import WIDTH, lines, rows
from orchestrator.service.timeline import timeline
from tests.golden.histories import HISTORIES, History

GOLDEN = Path(__file__).parent / "timelines"


def told(history: History, *, width: int = WIDTH) -> str:
    shown = marks(UNICODE)
    found = rows(timeline(history.events, history.plan), shown)
    accepted = history.events[0].at
    text = "".join(f"{x}\n" for x in lines(found, accepted=accepted, marks=shown, width=width))
    return click.unstyle(text)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_told_as_it_was_reviewed(name: str) -> None:
    written, file = told(HISTORIES[name]()), GOLDEN / f"{name}.txt"
    if os.environ.get("DURAZZO_REWRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(written)
    assert written == file.read_text()

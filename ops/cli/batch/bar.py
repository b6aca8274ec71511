"""What a person sees while rows are read, and while they run: live on a terminal, else lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from ops.cli import telling, terminal
from ops.cli.batch import wording
from ops.cli.batch.pace import Pace
from orchestrator.journal.batches import Batch

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

#: Without a terminal: between two lines. ms.
_EVERY: Final = 10_000
#: Rows that are read between two looks at the count.
_STRIDE: Final = 500
_WIDTH: Final = 40
_CODES: Final = 3


class View(Protocol):
    def show(self, batch: Batch, pace: Pace) -> None: ...


class Lines:
    """One plain line every ten seconds; what came of it in the end is said elsewhere."""

    def __init__(self) -> None:
        self._last: int | None = None

    def show(self, batch: Batch, pace: Pace) -> None:
        if self._last is None:
            self._last = pace.now
        elif pace.now - self._last >= _EVERY:
            self._last = pace.now
            counts = wording.Counts.of(batch)
            done = f"{wording.number(counts.over)} of {wording.rows(counts.total)}"
            parts = (done, _state(batch), pace.told, counts.told, wording.commonest(batch, _CODES))
            terminal.say(f"{batch.id}: {'; '.join(part for part in parts if part)}")


class Bar:
    """Three lines that stay where they are; gone when it ends."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, batch: Batch, pace: Pace) -> None:
        with terminal.beside():
            self._live.update(drawn(batch, pace), refresh=True)


@contextmanager
def watching() -> Iterator[View]:
    if not _live():
        yield Lines()
        return
    from rich.live import Live  # noqa: PLC0415  not needed without a terminal

    live = Live(console=_console(), auto_refresh=False, transient=True)
    with terminal.beside():
        live.start()
    try:
        yield Bar(live)
    finally:
        # Also of a terminal that was closed.
        with terminal.beside():
            live.stop()


@contextmanager
def counting(file: str) -> Iterator[Callable[[int], None]]:
    """How many rows were read: on a terminal, while it lasts."""
    if not _live():
        yield lambda _: None
        return
    with _console().status(_read(file, 0)) as status:

        def show(count: int) -> None:
            if count % _STRIDE == 0:
                status.update(_read(file, count))

        yield show


def _read(file: str, count: int) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(terminal.plain(f"reading {file}: {wording.rows(count)}"))


def _live() -> bool:
    tty = sys.stderr is not None and sys.stderr.isatty()
    return tty and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True)


def drawn(batch: Batch, pace: Pace) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    counts = wording.Counts.of(batch)
    head = Table.grid(padding=(0, 2))
    done = f"{wording.number(counts.over)}/{wording.number(counts.total)}"
    bar = ProgressBar(total=counts.total, completed=counts.over, width=_WIDTH)
    head.add_row(bar, Text(done), Text(_state(batch), style="yellow"), Text(pace.told))
    codes = wording.commonest(batch, _CODES)
    parts: list[RenderableType] = [
        Text(telling.safe(f"{batch.name} {batch.id}"), style="dim"),
        head,
        Text(counts.told),
    ]
    return Group(*parts, *([Text(f"why: {codes}", style="red")] if codes else []))


def _state(batch: Batch) -> str:
    if batch.parked and batch.ended + batch.parked >= batch.total:
        return "looking up what is unknown"
    return "" if batch.state == "running" else batch.state

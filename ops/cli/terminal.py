"""What a person sees: results on stdout, everything else on stderr.

Colours only on a terminal and without NO_COLOR; symbols only where the encoding has them.
A result that cannot be written is an error of its own; what stands beside it is dropped, for a
run is not left because nobody reads its ticks.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Final

import click

from orchestrator.errors import Diagnostic, DurazzoError

_SECOND: Final = 1000
_SPANS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    done: str
    failed: str
    again: str
    waits: str
    unknown: str


UNICODE: Final = Symbols(done="✓", failed="✗", again="↻", waits="⏸", unknown="?")
ASCII: Final = Symbols(done="+", failed="x", again="~", waits="=", unknown="?")
_COLOURS: Final = {
    "✓": "green", "+": "green", "✗": "red", "x": "red", "↻": "yellow", "~": "yellow",
    "⏸": "yellow", "=": "yellow", "?": "magenta",
}  # fmt: skip


class OutputLost(DurazzoError):
    """The result could not be written: what the command did stands all the same."""

    code: ClassVar[str] = "output-lost"
    #: sysexits.h, EX_IOERR.
    exit_code: ClassVar[int] = 74

    def __init__(self, number: int) -> None:
        reason = os.strerror(number).lower()
        super().__init__(
            f"the result cannot be written ({reason}): what was done stands,"
            " and durazzo runs lists what was accepted"
        )
        #: Nobody reads any more, and nobody is to be told.
        self.piped = number == errno.EPIPE


def prepare() -> None:
    """A name that the encoding lacks is written escaped instead of ending the command.

    A standard stream that was closed leads to nowhere: the next file that is opened would get
    its number, and with it what a child writes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def symbols(stream: IO[str] | None = None) -> Symbols:
    stream = sys.stderr if stream is None else stream
    try:
        "✓✗↻⏸".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def out(line: str = "") -> None:
    """A line of the result."""
    with _written():
        click.echo(line, color=_color(sys.stdout))


def put_json(document: Mapping[str, Any]) -> None:
    """The one object of ``--json``."""
    with _written():
        click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


def say(line: str) -> None:
    """A line beside the result."""
    with beside():
        click.echo(line, err=True, color=_color(sys.stderr))


def tick(line: str) -> None:
    symbol, _, rest = line.partition(" ")
    say(f"{click.style(symbol, fg=_COLOURS.get(symbol))} {rest}")


def error(code: str, message: str) -> None:
    say(f"{click.style('error', fg='red')}: {code}: {plain(message)}")


def show_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    from orchestrator.formats.diagnostics import render  # noqa: PLC0415  not needed for --help

    for diagnostic in diagnostics:
        say(render(diagnostic))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        out("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def plain(text: str) -> str:
    """Without control characters: what a document or a provider wrote does not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def value(found: Any) -> str:
    return plain(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))


def span(ms: int) -> str:
    """A duration as a person says it: 0.3 s, 42 s, 5 min, 3 h, 2 d."""
    seconds = max(ms, 0) / _SECOND
    for unit, size in _SPANS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004


@contextmanager
def beside() -> Iterator[None]:
    """Writes to stderr that may be lost."""
    try:
        yield
    except OSError:
        silence(sys.stderr)


def silence(stream: IO[str] | None) -> None:
    """What it still holds goes nowhere: the interpreter's flush at the end would fail as well."""
    # A stream without a number has nothing that is flushed there.
    with suppress(OSError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


@contextmanager
def _written() -> Iterator[None]:
    """Raises OutputLost, for a stdout that was closed before the command began as well."""
    if sys.stdout is None:
        raise OutputLost(errno.EBADF)
    try:
        yield
    except OSError as problem:
        raise OutputLost(problem.errno or errno.EIO) from None


def _color(stream: IO[str] | None) -> bool | None:
    """None: as click does it, which asks whether the stream is a terminal."""
    return False if os.environ.get("NO_COLOR") or stream is None or not stream.isatty() else None

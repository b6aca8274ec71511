"""A run's timeline as lines for a terminal. Pure: entries in, lines out.

A line fits its width whatever a document calls its steps, and no character of theirs steers
the terminal. Attempts that are alike are told as one, and a history too long for a screen keeps
its beginning and its end.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

from ops.cli import telling
from ops.cli.telling import LONG, Marks, elapsed, safe, utc
from orchestrator.service.timeline import Entry, What

WIDTH: Final = 100
#: Lines of a timeline that fit a screen or two, and those of them that tell its beginning.
MOST: Final = 60
_FIRST: Final = 20
#: So many entries that are alike are told as one; the first and the last stay.
_ALIKE: Final = 4
_LABEL: Final = 30
#: A number and its unit stay on one line.
_TOGETHER: Final = re.compile(r"(?<=\d) (?=(?:s|min|h|d)\b)|(?<=\(visit) (?=\d)")
_BOND: Final = "\xa0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    #: ms since the epoch; None: now.
    at: int | None
    symbol: str = " "
    #: Step and visit; "" for what concerns the whole run, which is told across.
    label: str = ""
    text: str


def rows(entries: Sequence[Entry], marks: Marks) -> list[Row]:
    """What is worth a line, in order of time, alike told as one."""
    worth = [entry for entry in entries if not _is_short(entry)]
    hidden = _hidden(worth)
    found = []
    for number, entry in enumerate(worth):
        if number not in hidden:
            found.append(_row(entry, marks))
        elif gap := hidden[number]:
            found.append(_gap(gap, marks))
    return found


def lines(
    found: Sequence[Row], *, accepted: int, marks: Marks, width: int = WIDTH
) -> Iterator[str]:
    """As they are printed, with colours. ``accepted``: what times are told from. ms."""
    kept = [*_with_days(_kept(found, marks), accepted)]
    times = [_time(row, accepted) for row in kept]
    widest = max(map(len, times), default=0)
    label = min(max((len(row.label) for row in kept), default=0), _LABEL)
    before: str | None = None
    for row, time in zip(kept, times, strict=True):
        head = f"  {time.rjust(widest)}  "
        name = "" if row.label == before else _cut(row.label, label, marks)
        text = f"{name.ljust(label)}  {row.text}" if row.label else row.text
        indent = len(head) + 2 + (label + 2 if row.label else 0)
        yield from _wrapped(head, row.symbol, text, indent=indent, width=width, marks=marks)
        before = row.label


def _row(entry: Entry, marks: Marks) -> Row:
    visit = f" (visit {entry.visit})" if entry.visit > 1 else ""
    label = f"{safe(entry.step)}{visit}" if entry.step else ""
    if entry.what in {What.ENDING, What.CONTROL}:
        label = ""
    return Row(
        at=entry.at,
        symbol=telling.symbol(entry, marks),
        label=label,
        text=telling.text(entry, marks),
    )


def _is_short(entry: Entry) -> bool:
    return entry.what is What.WAITS and entry.until - entry.at < LONG


def _hidden(entries: Sequence[Entry]) -> dict[int, list[Entry]]:
    """By number: entries that are not told, and at the first of a row, all that it stands for."""
    hidden: dict[int, list[Entry]] = {}
    by_visit: dict[tuple[str, int], list[int]] = {}
    for number, entry in enumerate(entries):
        if entry.step:
            by_visit.setdefault((entry.step, entry.visit), []).append(number)
    for numbers in by_visit.values():
        for run in _alike(entries, numbers):
            inner = run[1:-1]
            if len(run) >= _ALIKE:
                hidden |= {number: [] for number in inner}
                hidden[inner[0]] = [entries[number] for number in inner]
    return hidden


def _alike(entries: Sequence[Entry], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Runs of alike entries of one visit; waits for a turn in between belong to their run."""
    run: list[int] = []
    waits: list[int] = []
    for number in numbers:
        entry = entries[number]
        if run and _kind(entry) == _kind(entries[run[0]]):
            run += [*waits, number]
            waits = []
        elif run and entry.what is What.WAITS:
            waits.append(number)
        else:
            yield run
            yield from _alike(entries, waits) if run else ()
            run, waits = [number], []
    yield run
    yield from _alike(entries, waits) if waits else ()


def _kind(entry: Entry) -> tuple[str, ...]:
    return entry.what, entry.result, entry.code, entry.detail, str(entry.status), entry.then


def _gap(entries: Sequence[Entry], marks: Marks) -> Row:
    attempts = [entry for entry in entries if entry.what is not What.WAITS]
    shown = (attempts or entries)[0]
    row = _row(shown, marks)
    if not attempts:
        text = f"{marks.rest} {len(entries)} more waits"
    else:
        called = shown.what is What.CALLED
        alike = telling.answer(shown) if called else telling.code_of(shown)
        text = f"{marks.rest} {len(attempts)} more, all {alike}"
    return Row(at=shown.at, label=row.label, text=text)


def _kept(found: Sequence[Row], marks: Marks) -> list[Row]:
    if len(found) <= MOST:
        return [*found]
    last = MOST - _FIRST - 1
    left = len(found) - _FIRST - last
    told = f"{marks.rest} {left} lines more: --events has all that the journal holds"
    return [*found[:_FIRST], Row(at=found[_FIRST].at, text=told), *found[-last:]]


def _with_days(found: Sequence[Row], accepted: int) -> Iterator[Row]:
    day = utc(accepted)[:10]
    for row in found:
        if row.at is not None and utc(row.at)[:10] != day:
            day = utc(row.at)[:10]
            yield Row(at=row.at, text=utc(row.at))
        yield row


def _time(row: Row, accepted: int) -> str:
    return "now" if row.at is None else f"+{elapsed(row.at - accepted)}"


def _wrapped(
    head: str, symbol: str, text: str, *, indent: int, width: int, marks: Marks
) -> Iterator[str]:
    first, *rest = textwrap.wrap(
        _TOGETHER.sub(_BOND, text),
        max(width - len(head) - 2, 40),
        subsequent_indent=" " * (indent - len(head) - 2),
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]
    colour = marks.colour(symbol)
    shown = click.style(symbol, fg=colour) if colour else symbol
    yield f"{head}{shown} {first}".rstrip().replace(_BOND, " ")
    for line in rest:
        yield f"{' ' * (len(head) + 2)}{line}".replace(_BOND, " ")


def _cut(label: str, width: int, marks: Marks) -> str:
    """The middle goes: names begin alike, and a visit stands at the end."""
    if len(label) <= width:
        return label
    tail = (width - len(marks.rest)) // 2
    return f"{label[: width - len(marks.rest) - tail]}{marks.rest}{label[-tail:]}"


__all__ = ["MOST", "WIDTH", "Row", "lines", "rows"]

"""``durazzo batch export``: what every row came to, a line each, in the order of the file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import click

from ops.cli import terminal, words
from ops.cli.batch import wording
from ops.cli.commands import Command
from ops.cli.opened import opened
from orchestrator.engine.effects import Totals
from orchestrator.service import batch as service
from orchestrator.service.batch import RowReport

#: What is paid with, and what is sent, in columns of their own.
_CHARGED: Final = "charged"
_TEXTED: Final = "texted"
COLUMNS: Final = (
    "row", "key", "run", "state", "code", "step", "ended", _CHARGED, "amount", "currency", _TEXTED,
    "other",
)  # fmt: skip
#: What begins a cell that a spreadsheet would take for a formula, or that would hide one.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
#: Lines that are written together.
_LINES: Final = 200

Kind = Literal["csv", "jsonl"]


@click.command(cls=Command, example="durazzo batch export last -o customers-done.csv")
@click.argument("batch", shell_complete=words.batches)
@click.option("--csv", "kind", flag_value="csv", help="The default.")
@click.option("--jsonl", "kind", flag_value="jsonl", help="If -o does not say it.")
@click.option("-o", "--output", "file", metavar="FILE", help="Instead of standard output.")
def export(batch: str, kind: Kind | None, file: str | None) -> None:
    """Write what every row came to, a line each.

    As CSV it has row, key, run, state, code, step, ended (UTC), charged (the payments' ids),
    amount (in minor units), currency, texted (the texts' ids) and other; several ids are parted by
    spaces, and a cell that a spreadsheet would take for a formula has ' before it. JSON Lines has
    the same, with ids as lists, amounts by currency, and effects as `durazzo show --json` has them.
    """
    lines = _json_lines if (kind or _by_name(file)) == "jsonl" else _csv_lines
    with opened() as wiring:
        found = service.named(wiring.core, batch)
        with _destination(file) as write:
            for part in _together(lines(service.report(wiring.core, found))):
                write(part)
        if found.ended < found.total:
            terminal.say(f"the batch is {found.state}: {wording.Counts.of(found).told}")
    if file not in {None, "-"}:
        terminal.say(terminal.plain(f"{wording.rows(found.total)} written to {file}"))


def _by_name(file: str | None) -> Kind:
    return "jsonl" if file and Path(file).suffix in {".jsonl", ".ndjson"} else "csv"


def _together(lines: Iterable[str]) -> Iterator[str]:
    left = iter(lines)
    while part := list(islice(left, _LINES)):
        yield "\n".join(part)


def _csv_lines(rows: Iterable[RowReport]) -> Iterator[str]:
    yield ",".join(COLUMNS)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="")
    for row in rows:
        writer.writerow([_safe(cell) for cell in _cells(row).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _json_lines(rows: Iterable[RowReport]) -> Iterator[str]:
    for row in rows:
        cells: dict[str, Any] = {name: cell or None for name, cell in _cells(row).items()}
        for name in (_CHARGED, _TEXTED):
            cells[name] = _ids(row, name)
        del cells["amount"], cells["currency"], cells["other"]
        effects = [effect.as_json() for effect in row.effects]
        amounts = dict(Totals.of(row.effects).amounts.get(_CHARGED, {}))
        yield json.dumps({**cells, "amounts": amounts, "effects": effects}, ensure_ascii=False)


def _cells(row: RowReport) -> dict[str, str | int]:
    amounts = Totals.of(row.effects).amounts.get(_CHARGED, {})
    ended = datetime.fromtimestamp(row.ended / 1000, UTC) if row.ended else None
    others = dict.fromkeys(
        f"{e.what}:{e.id}" for e in row.effects if e.what not in {_CHARGED, _TEXTED}
    )
    return {
        "row": row.number,
        "key": row.key or "",
        "run": row.run,
        "state": row.state,
        "code": row.code,
        "step": row.step,
        "ended": ended.isoformat(timespec="milliseconds") if ended else "",
        _CHARGED: " ".join(_ids(row, _CHARGED)),
        "amount": " ".join(map(str, amounts.values())),
        "currency": " ".join(amounts),
        _TEXTED: " ".join(_ids(row, _TEXTED)),
        "other": " ".join(others),
    }


def _ids(row: RowReport, what: str) -> list[str]:
    """Once each: two steps may tell of one."""
    return list(dict.fromkeys(effect.id for effect in row.effects if effect.what == what))


def _safe(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


@contextmanager
def _destination(file: str | None) -> Iterator[Callable[[str], object]]:
    """A file appears when it is whole: half an export is not taken for one."""
    if file in {None, "-"}:
        yield terminal.out
        return
    part = Path(f"{file}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield lambda text: stream.write(f"{text}\n")
        os.replace(part, file)  # noqa: PTH105
    except OSError as error:
        raise terminal.OutputLost(error.errno or 5) from None
    finally:
        part.unlink(missing_ok=True)

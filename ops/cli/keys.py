"""``durazzo keys``: which keys seal what, a fresh one, and all values under the newest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from ops.cli import terminal
from ops.cli.commands import Command, LazyGroup
from ops.cli.opened import opened
from orchestrator.errors import SettingsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.journal.rotation import Census, Progress, Rotated, Rotation
from orchestrator.journal.rotation import census as take_census
from orchestrator.journal.seal import AesSeal, new_key
from orchestrator.wiring import connect, make_seal

COMMANDS: Final = {
    "show": ("ops.cli.keys:show", "List the keys by their ids, and how much each seals."),
    "rotate": ("ops.cli.keys:rotate", "Seal everything with the first key of DURAZZO_KEYS."),
    "new": ("ops.cli.keys:new", "Print a fresh key."),
}
_ABSENT: Final = "that key is not in DURAZZO_KEYS: add it behind the others, and rotate again"
_CLEAR: Final = "written in clear (DURAZZO_SEAL=off), and not read while values are sealed"
_BROKEN: Final = "changed or moved since they were sealed: no key opens them"
_UNREAD: Final = "of finished runs that a newer release wrote, or that were changed: update durazzo"
_LATE: Final = (
    "written under an older key meanwhile: give every process the same DURAZZO_KEYS, restart it,"
    " and rotate again"
)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    example="""\
export DURAZZO_KEYS="$(durazzo keys new),$DURAZZO_KEYS"
durazzo keys rotate""",
)
def keys() -> None:
    """Show what each sealing key seals, make a new one, and rotate.

    What stands in Redis is encrypted with the first key of DURAZZO_KEYS, and opened with any of
    them. A key is shown by its id, which tells nothing about it.
    """


@click.command(cls=Command, example="durazzo keys new")
def new() -> None:
    """Print a fresh key: base64 of 32 random bytes, as DURAZZO_KEYS takes it."""
    terminal.out(new_key())


@click.command(cls=Command, example="durazzo keys show")
@click.option(
    "--json", "as_json", is_flag=True, help="Print {keys: [{id, state, values, kinds}], unread}."
)
def show(*, as_json: bool) -> None:
    """List the keys by their ids, and how many values each seals.

    Reads the whole journal. While runs go on, numbers are rough.
    """
    with opened() as wiring, connect(wiring.settings.redis_url) as client:
        seal = make_seal(wiring.settings)
        with _shown("counting") as tell:
            found = take_census(client, tell)
    rows = _rows(seal.ids if isinstance(seal, AesSeal) else (), found)
    if as_json:
        terminal.put_json({"keys": [row.as_json() for row in rows], "unread": found.unread})
        return
    head = ("KEY", "STATE", "VALUES", "OF")
    terminal.table(head, ((r.id or "-", r.state, f"{r.values:,}", r.of) for r in rows))
    if found.unread:
        terminal.say(f"{found.unread:,} not read: {_UNREAD}")


@click.command(cls=Command, example="durazzo keys rotate --dry-run")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print {newest, resealed, removable: [id], left: [{id, values, why}]}.",
)
@click.pass_context
def rotate(ctx: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Seal everything that stands in Redis with the first key of DURAZZO_KEYS.

    Workers may go on meanwhile, once they all have the same DURAZZO_KEYS. Ctrl-C leaves everything
    readable, and the next call goes on. Exits with 1 when something is left under another key.
    """
    with opened() as wiring, connect(wiring.settings.redis_url) as client:
        seal = make_seal(wiring.settings)
        if not isinstance(seal, AesSeal):
            raise SettingsRefused(
                "DURAZZO_SEAL=off: nothing is sealed: unset it, and set DURAZZO_KEYS"
                " (durazzo keys new prints one)"
            )
        if dry_run:
            with _shown("counting") as tell:
                _tell_plan(seal.ids, take_census(client, tell), as_json=as_json)
            return
        with _shown("sealing") as tell:
            done = Rotation(client, seal).rotate(tell)
    left = list(_left(seal.ids, done))
    removable = _removable(seal.ids, done.census) if not (done.late or done.census.unread) else []
    if as_json:
        terminal.put_json(_as_json(seal.ids[0], done.resealed, removable, left))
    else:
        _tell(seal.ids[0], done, removable, left)
    ctx.exit(1 if left else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: str
    #: newest, older, absent or clear.
    state: str
    kinds: dict[str, int]

    @property
    def values(self) -> int:
        return sum(self.kinds.values())

    @property
    def of(self) -> str:
        return ", ".join(f"{kind} {number:,}" for kind, number in self.kinds.items())

    def as_json(self) -> dict[str, Json]:
        return {"id": self.id, "state": self.state, "values": self.values, "kinds": {**self.kinds}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    #: "" where it is not about one key.
    id: str = ""
    values: int
    why: str

    def as_json(self) -> dict[str, Json]:
        return {"id": self.id, "values": self.values, "why": self.why}


def _rows(ring: tuple[str, ...], found: Census) -> list[_Row]:
    """The keys at hand first, newest first; others as they are met."""
    ids = dict.fromkeys((*ring, *found.ids))
    return [
        _Row(
            id=id_,
            state=_state(id_, ring),
            kinds={kind.value: number for kind, number in found.under(id_).items()},
        )
        for id_ in ids
    ]


def _state(id_: str, ring: tuple[str, ...]) -> str:
    if not id_:
        return "clear"
    if id_ not in ring:
        return "absent"
    return "newest" if id_ == ring[0] else "older"


def _left(ring: tuple[str, ...], done: Rotated) -> Iterator[_Left]:
    for row in _rows(ring, done.census):
        if row.state == "newest" or not row.values:
            continue
        why = {"clear": _CLEAR, "absent": _ABSENT}.get(row.state, _BROKEN)
        yield _Left(id=row.id, values=row.values, why=why)
    if done.late:
        yield _Left(values=done.late, why=_LATE)
    if done.census.unread:
        yield _Left(values=done.census.unread, why=_UNREAD)


def _removable(ring: tuple[str, ...], found: Census) -> list[str]:
    return [id_ for id_ in ring[1:] if not found.under(id_)]


def _tell_plan(ring: tuple[str, ...], found: Census, *, as_json: bool) -> None:
    rows = _rows(ring, found)
    todo = sum(row.values for row in rows if row.state == "older")
    whys = {"absent": _ABSENT, "clear": _CLEAR}
    left = [
        _Left(id=row.id, values=row.values, why=whys[row.state])
        for row in rows
        if row.state in whys
    ]
    if found.unread:
        left.append(_Left(values=found.unread, why=_UNREAD))
    if as_json:
        terminal.put_json({**_as_json(ring[0], 0, [], left), "todo": todo})
        return
    terminal.out(f"{_values(todo)} would come under key {ring[0]}; nothing was changed")
    _tell_left(left)


def _tell(newest: str, done: Rotated, removable: list[str], left: list[_Left]) -> None:
    terminal.out(f"{_values(done.resealed)} came under key {newest}")
    if removable:
        ids, those = ", ".join(removable), "that key" if len(removable) == 1 else "those keys"
        noun = "key id" if len(removable) == 1 else "key ids"
        terminal.out(
            f"no value is left under {noun} {ids}: {those} may be removed from DURAZZO_KEYS"
        )
        terminal.say("keep them elsewhere for as long as backups and snapshots of Redis are older")
    _tell_left(left)


def _tell_left(left: list[_Left]) -> None:
    for one in left:
        key = f" under key id {one.id}" if one.id else ""
        terminal.out(f"{_values(one.values)}{key} left: {one.why}")


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"


def _as_json(
    newest: str, resealed: int, removable: list[str], left: list[_Left]
) -> dict[str, Json]:
    return {
        "newest": newest,
        "resealed": resealed,
        "removable": [*removable],
        "left": [one.as_json() for one in left],
    }


@contextmanager
def _shown(verb: str) -> Iterator[Callable[[Progress], None]]:
    """How far it is: on a terminal, while it lasts."""
    tty = sys.stderr is not None and sys.stderr.isatty()
    if not tty or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}:
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  not needed without a terminal

    with Console(stderr=True).status(f"{verb}: 0 values") as status:

        def tell(progress: Progress) -> None:
            again = f", pass {progress.number}" if progress.number > 1 else ""
            status.update(f"{verb}: {_values(progress.looked)}{again}")

        yield tell

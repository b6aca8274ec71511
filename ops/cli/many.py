"""The same done to many runs: how many is said first, and asked about; none stops the others."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce, wraps
from typing import Any, Final, TypeAlias

import click

from ops.cli import terminal
from ops.cli.filters import filters
from ops.cli.opened import opened
from orchestrator.clock import Clock
from orchestrator.engine.state import State
from orchestrator.service import Core, Filter, each, select
from orchestrator.service.many import Done

_Command: TypeAlias = Callable[..., None]
#: Between two lines of how far it is. ms.
_EVERY: Final = 10_000
#: What is done to the run of an id.
Act: TypeAlias = Callable[[Core, str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    #: "cancel", "cancelled".
    verb: str
    done: str
    #: What it can be done to.
    meant: Callable[[State], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """Which runs a command is about when it names none."""

    wanted: Filter
    everything: bool
    limit: int | None
    yes: bool

    @property
    def _asked(self) -> bool:
        return self.everything or not self.wanted.empty

    def is_about(self, run: str | None) -> bool:
        """Whether it is about many. Raises UsageError when it does not say which, or says both."""
        if run is not None and (self._asked or self.limit is not None or self.yes):
            raise click.UsageError("give a RUN, or a filter for many, not both")
        if self.everything and not self.wanted.empty:
            raise click.UsageError("--all is for no filter: it takes every run")
        if run is None and not self._asked:
            raise click.UsageError(
                "give a RUN, or say which runs: --status, --workflow, --step, --code, --since, …;"
                " --all for every one"
            )
        return run is None


def for_many(command: _Command) -> _Command:
    """The filters and what belongs to them, given to the command as ``many``."""

    @wraps(command)
    def gathered(
        *args: Any, wanted: Filter, everything: bool, most: int | None, yes: bool, **rest: Any
    ) -> None:
        found = Many(wanted=wanted, everything=everything, limit=most, yes=yes)
        command(*args, many=found, **rest)

    return filters(reduce(lambda found, option: option(found), reversed(_OPTIONS), gathered))


_OPTIONS: Final = (
    click.option("--all", "everything", is_flag=True, help="Every run that it can be done to."),
    click.option(
        "--limit", "most", type=click.IntRange(1), help="At most so many, the latest ones."
    ),
    click.option("--yes", "-y", is_flag=True, help="Do not ask."),
)


def do(deed: Deed, asked: Many, act: Act, *, as_json: bool) -> None:
    """Count, ask, do. Exits with 0 when all was done, with 1 when some were refused."""
    with opened() as wiring:
        selection = select(wiring.core, asked.wanted, deed.meant, limit=asked.limit)
        count = selection.count()
        agreed = not count or _agreed(deed.verb, count, yes=asked.yes)
        tally = Tally(deed.done, count, wiring.core.clock, as_json=as_json)
        if agreed:
            # No more than was said and agreed to.
            tally.take(each(replace(selection, limit=count), partial(act, wiring.core)))
    if not agreed:
        terminal.say("nothing was done")
    click.get_current_context().exit(1 if tally.refused or not agreed else 0)


def _agreed(verb: str, count: int, *, yes: bool) -> bool:
    runs = "1 run matches" if count == 1 else f"{count} runs match"
    if yes:
        terminal.say(runs)
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{runs}, and there is no terminal to ask at: --yes says {verb}")
    return click.confirm(f"{runs}. {verb.capitalize()} {'it' if count == 1 else 'them'}?", err=True)


class Tally:
    """What came of it, as it comes: nothing is kept but the counts, however many runs."""

    def __init__(self, done: str, count: int, clock: Clock, *, as_json: bool) -> None:
        self._word = done
        self._count = count
        self._clock = clock
        self._said = clock.monotonic_ms()
        self._json = as_json
        self._codes: Counter[str] = Counter()
        self.done = 0

    @property
    def refused(self) -> int:
        return self._codes.total()

    def look(self, why: str = "") -> None:
        """How far it is, when that was not said for a while. ``why``: it does not get on."""
        now = self._clock.monotonic_ms()
        if now - self._said >= _EVERY:
            self._said = now
            terminal.say(f"{self._summary()}, of {self._count}{why}")

    def take(self, many: Iterable[Done]) -> None:
        if self._json:
            terminal.out('{"refused": [')
        try:
            for one in many:
                self._add(one)
        except terminal.OutputLost:
            raise
        except BaseException:
            # Ctrl-C, or Redis is gone: what was done until then stands, and is said.
            self._close()
            terminal.say(f"broken off: {self._summary()}, of {self._count}")
            raise
        self._close()
        if not self._json:
            terminal.out(self._summary() if self._count else "no run matches")

    def _add(self, one: Done) -> None:
        self.look()
        if one.refused is None:
            self.done += 1
            return
        code, message = one.refused.code, one.refused.message
        if self._json:
            comma = "," if self.refused else ""
            row = {"run": one.run, "code": code, "message": message}
            terminal.out(f"{comma}{json.dumps(row)}")
        else:
            terminal.out(terminal.plain(f"{one.run}: {code}: {message}"))
        self._codes[code] += 1

    def _close(self) -> None:
        if self._json:
            terminal.out(f'], "done": {self.done}}}')

    def _summary(self) -> str:
        runs = "1 run" if self.done == 1 else f"{self.done} runs"
        why = ", ".join(f"{code} {count}" for code, count in self._codes.most_common())
        return f"{self._word} {runs}, {self.refused} refused{f' ({why})' if why else ''}"

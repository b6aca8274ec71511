"""The options by which a command names runs: the same for a list and for what is done to many."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce, wraps
from typing import Any, Final, TypeAlias

import click

from orchestrator.clock import SystemClock
from orchestrator.engine.state import Status
from orchestrator.service import Filter

_Command: TypeAlias = Callable[..., None]

_AGE: Final = re.compile(r"([0-9]{1,6})(s|min|h|d)")
_UNITS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
#: As much as a sealed reason, or a name, is to take. Characters.
LONGEST: Final = 1_000


def since(_ctx: click.Context, _param: click.Parameter, given: str | None) -> int:
    """An age ("90min", "2h", "7d"), or a day or time as ISO 8601 has it; UTC unless it says.

    ms since the epoch; 0 for none given.
    """
    if given is None:
        return 0
    if age := _AGE.fullmatch(given):
        return max(0, SystemClock().unix_ms() - int(age[1]) * _UNITS[age[2]])
    try:
        at = datetime.fromisoformat(given)
        return max(0, round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "expected an age (90min, 2h, 7d) or a time (2026-05-31T08:00)"
        ) from None


def short(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    if given is not None and len(given) > LONGEST:
        raise click.BadParameter(f"at most {LONGEST} characters")
    return given


def named(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    """An unset shell variable would fit every run."""
    if given is not None and not given.strip():
        raise click.BadParameter("it is not empty; leave the option out for any")
    return short(ctx, param, given)


def filters(command: _Command) -> _Command:
    """The options, given to the command as ``wanted``."""

    @wraps(command)
    def filtered(
        *args: Any,
        states: Sequence[str],
        failed: bool,
        unknown: bool,
        workflow: str | None,
        at: str | None,
        code: str | None,
        accepted: int,
        **rest: Any,
    ) -> None:
        flags = (["failed"] if failed else []) + (["unknown"] if unknown else [])
        wanted = Filter(
            statuses=frozenset(map(Status, (*states, *flags))),
            workflow=workflow or "",
            step=at or "",
            code=code or "",
            since=accepted,
        )
        command(*args, wanted=wanted, **rest)

    return reduce(lambda found, option: option(found), reversed(_OPTIONS), filtered)


_OPTIONS: Final = (
    click.option("--failed", is_flag=True, help="Only runs that failed."),
    click.option("--unknown", is_flag=True, help="Only runs of which nobody knows what was done."),
    click.option(
        "--status",
        "--state",
        "states",
        type=click.Choice([status.value for status in Status]),
        multiple=True,
        help="Only runs in this state; may be given several times.",
    ),
    click.option("--workflow", metavar="NAME", callback=named, help="Only runs of this workflow."),
    click.option(
        "--step", "at", metavar="STEP", callback=named, help="Only runs that stand at this step."
    ),
    click.option(
        "--code",
        metavar="CODE",
        callback=named,
        help="Only runs that have this code, or a step that has it.",
    ),
    click.option(
        "--since",
        "accepted",
        metavar="AGE",
        callback=since,
        help="Only runs accepted since: 2h, 7d.",
    ),
)

"""The options of ``durazzo batch start``: which rows, and how their batch is to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce, wraps
from typing import Any, Final, TypeAlias

import click

from ops.cli.batch.ceiling import Ceiling, ceiling
from ops.cli.batch.intake import Rows
from ops.cli.document import account_option, input_pairs, lane_name
from ops.cli.filters import named
from orchestrator.batch.rows import Format
from orchestrator.errors import InputsRefused
from orchestrator.formats.duration import milliseconds
from orchestrator.service.batch import MAX_WINDOW, RATIO, WINDOW, Terms, checked_id
from orchestrator.service.submit import WORKFLOW

_Command: TypeAlias = Callable[..., None]

_MAPPED: Final = re.compile(r"([^=]+)=(.+)")
#: As a percentage: no more can fail than have ended.
_NEVER: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to become of the rows."""

    rows: Rows
    terms: Terms
    ceiling: Ceiling
    yes: bool
    dry_run: bool
    detach: bool


def batch_options(command: _Command) -> _Command:
    """The options, given to the command as ``asked``."""

    @wraps(command)
    def gathered(
        *args: Any,
        data: str,
        format_: Format | None,
        mapping: dict[str, str],
        key: str | None,
        key_scope: str,
        skip_bad: bool,
        common: Sequence[str],
        most: Ceiling,
        max_failures: float,
        **rest: Any,
    ) -> None:
        names = ("id", "lane", "window", "deadline", "accounts")
        own = {name: rest.pop(name) for name in names}
        ratio = 0.0 if max_failures == _NEVER else max_failures / 100
        asked = Asked(
            rows=Rows(
                file=data,
                format=format_,
                mapping=mapping,
                key=key,
                skip_bad=skip_bad,
                common=common,
            ),
            terms=Terms(key_scope=key_scope, keyed=key is not None, max_failures=ratio, **own),
            ceiling=most,
            **{name: rest.pop(name) for name in ("yes", "dry_run", "detach")},
        )
        command(*args, asked=asked, **rest)

    return reduce(lambda found, option: option(found), reversed(_OPTIONS), gathered)


def _mapping(
    _ctx: click.Context, _param: click.Parameter, given: Sequence[str]
) -> dict[str, str]:  # fmt: skip
    found: dict[str, str] = {}
    for text in given:
        match = _MAPPED.fullmatch(text)
        if match is None:
            raise click.BadParameter("expected INPUT=COLUMN")
        if match[1] in found:
            raise click.BadParameter(f"input {match[1]!r} has two columns")
        found[match[1]] = match[2]
    return found


def _id(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    try:
        return None if given is None else checked_id(given)
    except InputsRefused as error:
        raise click.BadParameter(error.message) from None


def _key_scope(ctx: click.Context, _param: click.Parameter, given: str) -> str:
    if given != WORKFLOW and ctx.params.get("key") is None:
        raise click.BadParameter("it is the scope of the rows' run keys: say their column, --key")
    if not given.strip():
        raise click.BadParameter("a scope's name is not empty")
    return given


def _deadline(_ctx: click.Context, _param: click.Parameter, given: str | None) -> timedelta | None:
    if given is None:
        return None
    span = milliseconds(given)
    if span is None:
        raise click.BadParameter("expected a span: 45s, 30m, 2h, 3d; at most 366d")
    return timedelta(milliseconds=span)


_OPTIONS: Final = (
    click.option(
        "--data",
        required=True,
        metavar="FILE|-",
        type=click.Path(allow_dash=True),
        help="The rows: CSV with a header, or JSON Lines; - is standard input.",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(["csv", "jsonl"]),
        help="If the file's name does not say it.",
    ),
    click.option("--id", metavar="ID", callback=_id, help="The batch's name, if not of its rows."),
    click.option(
        "--key",
        metavar="COLUMN",
        callback=named,
        # Read before its scope, which is nothing without it.
        is_eager=True,
        help="The column of run keys: under each, a run runs at most once, in whatever batch.",
    ),
    click.option(
        "--key-scope",
        metavar="NAME",
        default=WORKFLOW,
        show_default=True,
        callback=_key_scope,
        help="Where the keys count: in this workflow, or in all that name the same scope.",
    ),
    click.option(
        "--map",
        "mapping",
        multiple=True,
        metavar="INPUT=COLUMN",
        callback=_mapping,
        help="The column that feeds an input, if it is not the one of its name.",
    ),
    click.option(
        "-i",
        "--input",
        "common",
        multiple=True,
        metavar="NAME=VALUE",
        callback=input_pairs,
        help="An input of every row that gives none of its own.",
    ),
    click.option(
        "--lane",
        callback=lane_name,
        help="The queue that the runs stand in; else the workflow's by DURAZZO_LANES, or default.",
    ),
    click.option(
        "--window",
        type=click.IntRange(1, MAX_WINDOW),
        default=WINDOW,
        show_default=True,
        help="Runs that are busy at one time.",
    ),
    click.option(
        "--max-total",
        "most",
        multiple=True,
        metavar="AMOUNT",
        callback=ceiling,
        help="Refuse rows that come to more: 20000.00USD, or minor units of every currency.",
    ),
    click.option(
        "--max-failures",
        type=click.FloatRange(min=0, min_open=True, max=_NEVER),
        metavar="PERCENT",
        default=RATIO * 100,
        show_default=True,
        help="Stop by itself when more of those that ended have failed; 100 for never.",
    ),
    click.option(
        "--deadline",
        metavar="SPAN",
        callback=_deadline,
        help="Each run begins nothing more 45s, 30m, 2h, 3d after it was admitted.",
    ),
    click.option("--skip-bad", is_flag=True, help="Leave bad rows out, and run the others."),
    click.option("--yes", "-y", is_flag=True, help="Do not ask."),
    click.option("--dry-run", is_flag=True, help="Judge and say. Store and send nothing."),
    click.option("--detach", is_flag=True, help="Print the batch's id and do not wait."),
    account_option,
)

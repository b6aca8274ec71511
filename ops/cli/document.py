"""The options by which a command names a document, and the request that they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from ops.cli import words
from ops.cli.inputs import gather
from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import did_you_mean
from orchestrator.formats.duration import milliseconds
from orchestrator.formats.load import shipped, specs_folder
from orchestrator.plan.model import Plan
from orchestrator.policy.accounts import LABEL, is_label
from orchestrator.service import (
    Core,
    Loaded,
    Run,
    check_accounts,
    check_inputs,
    submit,
    validate,
)
from orchestrator.service.submit import WORKFLOW
from orchestrator.settings import LANE, from_environ
from orchestrator.wiring import load_profiles

_Command: TypeAlias = Callable[..., None]

_SERVER: Final = re.compile(r"(.+?)=(https?://.+)")
_SOURCE: Final = re.compile(r"([^=]+)=(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A document that may be run, with inputs that fit it."""

    loaded: Loaded
    inputs: Mapping[str, Json]
    #: As a run has them.
    accounts: str

    @property
    def plan(self) -> Plan:
        return self.loaded.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which document, and how it is to be read."""

    file: Path
    workflow: str | None
    sources: Mapping[str, Path]
    servers: Mapping[str, str]
    overlays: tuple[Path, ...]
    strict: bool

    def load(self) -> Loaded:
        """Raises DocumentRefused, SettingsRefused."""
        return validate(
            self.file,
            load_profiles().values(),
            workflow=self.workflow,
            sources=self.sources,
            servers=self.servers,
            overlays=self.overlays,
            strict=self.strict,
            settings=from_environ(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to become of the document."""

    pairs: tuple[str, ...]
    #: As ``inputs.read`` takes it.
    document: str | None
    key: str | None
    key_scope: str
    lane: str | None
    deadline: timedelta | datetime | None
    #: Provider → label.
    accounts: Mapping[str, str]

    def order(self, loaded: Loaded) -> Order:
        """Raises InputsRefused, UnknownProvider."""
        accounts = check_accounts(loaded.plan, self.accounts, load_profiles())
        given = gather(loaded.plan.inputs, self.pairs, self.document)
        inputs = check_inputs(loaded.plan, given)
        return Order(loaded=loaded, inputs=inputs, accounts=accounts)

    def submit(self, core: Core, order: Order) -> Run:
        """Raises as ``service.submit`` does."""
        return submit(
            core,
            order.plan,
            order.inputs,
            key=self.key,
            key_scope=self.key_scope,
            lane=self.lane,
            deadline=self.deadline,
            accounts=self.accounts,
        )


def lane_name(_ctx: click.Context, _param: click.Parameter, given: Any) -> Any:
    for name in given if isinstance(given, tuple) else (given,):
        if name is not None and not LANE.fullmatch(name):
            raise click.BadParameter("a lane is letters, digits, dots, dashes and underscores")
    return given


def _run_key(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    """An unset shell variable would be every order's key."""
    if given is not None and not given.strip():
        raise click.BadParameter("a run key is not empty; leave the option out for none")
    return given


def _deadline(
    _ctx: click.Context, _param: click.Parameter, given: str | None
) -> timedelta | datetime | None:
    """A span from the acceptance, or a day or time as ISO 8601 has it; UTC unless it says."""
    if given is None:
        return None
    if span := milliseconds(given):
        return timedelta(milliseconds=span)
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(
            "expected a span (45s, 30m, 2h, 3d; at most 366d) or a time (2026-05-31T08:00Z)"
        ) from None
    return at.replace(tzinfo=at.tzinfo or UTC)


def _key_scope(ctx: click.Context, _param: click.Parameter, given: str) -> str:
    if given != WORKFLOW and ctx.params.get("key") is None:
        raise click.BadParameter("it is the scope of a run key: give one with --key")
    if not given.strip():
        raise click.BadParameter("a scope's name is not empty")
    return given


def document_options(command: _Command) -> _Command:
    """FILE and how it is to be read, given to the command as ``reading``."""

    @wraps(command)
    def gathered(*args: Any, **given: Any) -> None:
        own = {f.name: given.pop(f.name) for f in fields(Reading)}
        command(*args, reading=Reading(**own), **given)

    return _with(_DOCUMENT, gathered)


def order_options(command: _Command) -> _Command:
    """What makes a run of a document, given to the command as ``asked``."""

    @wraps(command)
    def gathered(*args: Any, **given: Any) -> None:
        own = {f.name: given.pop(f.name) for f in fields(Asked)}
        command(*args, asked=Asked(**own), **given)

    return _with(_ORDER, gathered)


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def _servers(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    found = {}
    for text in given:
        match = _SERVER.fullmatch(text)
        if match is None:
            raise click.BadParameter("expected NAME=URL or URL=URL, with http:// or https://")
        found[match[1]] = match[2]
    return found


def _sources(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, Path]:
    found = {}
    for text in given:
        match = _SOURCE.fullmatch(text)
        if match is None:
            raise click.BadParameter("expected NAME=FILE")
        found[match[1]] = Path(match[2])
    return found


def _overlays(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> tuple[Path, ...]:
    """A shipped overlay's name goes before a file's; ``./NAME`` is always the file."""
    known = shipped(specs_folder())
    found = []
    for text in given:
        file = known.get(text, Path(text))
        if not file.is_file():
            hint = did_you_mean(text, known)
            raise click.BadParameter(f"there is no file and no shipped overlay '{text}'{hint}")
        found.append(file)
    return tuple(found)


def _accounts(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    """What was typed is not repeated: it may be a key."""
    found: dict[str, str] = {}
    for text in given:
        provider, _, label = text.partition("=")
        if not provider or not is_label(label):
            raise click.BadParameter(f"expected PROVIDER=LABEL; a label is {LABEL}")
        if provider in found:
            raise click.BadParameter("one provider has two accounts")
        found[provider] = label
    return found


#: By which of several accounts its providers are called.
account_option: Final = click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="PROVIDER=LABEL",
    callback=_accounts,
    help="Call the provider by another account: stripe=eu takes STRIPE_SECRET_KEY__EU.",
)


def input_pairs(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:  # fmt: skip
    for text in given:
        if not re.match(r"[^=]+=", text):
            # Not repeated: what was typed may be a phone number.
            raise click.BadParameter("expected name=value")
    return given


_DOCUMENT: Final = (
    click.argument("file", type=click.Path(path_type=Path)),
    click.option(
        "--workflow",
        metavar="ID",
        shell_complete=words.workflows,
        help="Which one, if the document has several.",
    ),
    click.option(
        "--source",
        "sources",
        multiple=True,
        metavar="NAME=FILE",
        callback=_sources,
        help="The file of a source description.",
    ),
    click.option(
        "--server",
        "servers",
        multiple=True,
        metavar="NAME-OR-URL=URL",
        callback=_servers,
        help="Replace the server of a source description, or every server under a URL.",
    ),
    click.option(
        "--overlay",
        "overlays",
        multiple=True,
        metavar="FILE-OR-NAME",
        callback=_overlays,
        help="Change the document by an OpenAPI Overlay: a file, or one that durazzo ships.",
    ),
    click.option("--strict", is_flag=True, help="Refuse what the specification does not allow."),
)
_ORDER: Final = (
    click.option(
        "-i",
        "--input",
        "pairs",
        multiple=True,
        metavar="NAME=VALUE",
        callback=input_pairs,
        help="One input; its type is the workflow's.",
    ),
    click.option(
        "--inputs",
        "document",
        metavar="JSON|@FILE|-",
        help="All inputs as one JSON object; -i goes before it.",
    ),
    click.option(
        "--key",
        metavar="RUNKEY",
        callback=_run_key,
        # Read before its scope, which is nothing without it.
        is_eager=True,
        help="Run at most once under this key, however often it is submitted.",
    ),
    click.option(
        "--key-scope",
        metavar="NAME",
        default=WORKFLOW,
        show_default=True,
        callback=_key_scope,
        help="Where the key counts: in this workflow, or in all that name the same scope.",
    ),
    click.option(
        "--lane",
        callback=lane_name,
        help="The queue that the run stands in; else its workflow's by DURAZZO_LANES, or default.",
    ),
    click.option(
        "--deadline",
        metavar="WHEN",
        callback=_deadline,
        help="Begin nothing more after 45s, 30m, 2h, 3d, or a time (UTC); what is left has failed.",
    ),
    account_option,
)

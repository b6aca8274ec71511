"""``durazzo cancel``, ``pause``, ``resume`` and ``retry``: journaled with who and why."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import click

from ops.cli import terminal, words
from ops.cli.commands import Command
from ops.cli.filters import short
from ops.cli.many import Deed, Many, do, for_many
from ops.cli.opened import opened
from orchestrator import service
from orchestrator.engine.state import Phase, State, Status
from orchestrator.service import Core
from orchestrator.service.many import begins_more, ended_badly, goes_on, is_paused

_Command = TypeVar("_Command", bound=Callable[..., Any])
_ENDED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
_CANCEL: Final = Deed(verb="cancel", done="cancelled", meant=goes_on)
_PAUSE: Final = Deed(verb="pause", done="paused", meant=begins_more)
_RESUME: Final = Deed(verb="resume", done="resumed", meant=is_paused)
_RETRY: Final = Deed(verb="retry", done="retried", meant=ended_badly)


def _options(command: _Command) -> Callable[..., None]:
    found = for_many(command)
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print {run, state}; of many {done, refused}."
        ),
        click.option(
            "--reason", default="", metavar="R", callback=short, help="Kept sealed in the journal."
        ),
        click.argument("run", required=False, shell_complete=words.runs),
    ):
        found = option(found)
    return found


@click.command(cls=Command, example='durazzo cancel 01k9 --reason "ordered twice"')
@_options
def cancel(run: str | None, reason: str, many: Many, *, as_json: bool) -> None:
    """End a run without what it has not begun; a call under way lands first.

    Without RUN: every run that goes on and that the filters fit.
    """
    _control(_CANCEL, service.cancel, run, reason, many, as_json=as_json)


@click.command(cls=Command, example="durazzo pause 01k9")
@_options
def pause(run: str | None, reason: str, many: Many, *, as_json: bool) -> None:
    """Let a run begin nothing more until it is resumed; a call under way lands.

    Without RUN: every run that goes on and that the filters fit.
    """
    _control(_PAUSE, service.pause, run, reason, many, as_json=as_json)


@click.command(cls=Command, example="durazzo resume 01k9")
@_options
def resume(run: str | None, reason: str, many: Many, *, as_json: bool) -> None:
    """Let a paused run go on.

    Without RUN: every paused run that the filters fit.
    """
    _control(_RESUME, service.resume, run, reason, many, as_json=as_json)


@click.command(cls=Command, example="durazzo retry 01k9 --from send-confirmation")
@_options
@click.option("--from", "step", metavar="STEP", help="Go on from this step, not the failed one.")
@click.option("--force", is_flag=True, help="Also when it charges or texts again.")
def retry(
    run: str | None, reason: str, many: Many, step: str | None, *, force: bool, as_json: bool
) -> None:
    """Let a run that failed or was cancelled go on from the step that failed.

    The step is done anew, in a new visit with a new idempotency key. When that, or a step
    behind it, has charged or texted before, it is refused unless forced. Without RUN: every such
    run that the filters fit.
    """
    act = partial(service.retry, by=who(), reason=reason, step=step, force=force)
    if many.is_about(run):
        do(_RETRY, many, act, as_json=as_json)
    else:
        _one(act, str(run), as_json=as_json, ended=False)


def _control(
    deed: Deed,
    act: Callable[..., State],
    run: str | None,
    reason: str,
    many: Many,
    *,
    as_json: bool,
) -> None:
    if many.is_about(run):
        do(deed, many, partial(act, by=who(), reason=reason, must=True), as_json=as_json)
    else:
        _one(partial(act, by=who(), reason=reason), str(run), as_json=as_json)


def _one(
    act: Callable[[Core, str], State], name: str, *, as_json: bool, ended: bool = True
) -> None:
    """``ended``: whether a run that had ended before stays as it is."""
    with opened() as wiring:
        run, before = _found(wiring.core, name)
        state = act(wiring.core, run)
    if ended and before in _ENDED:
        terminal.say(f"the run had ended before: it stays {before.value}")
    if as_json:
        terminal.put_json({"run": run, "state": state.status.value})
    else:
        terminal.out(f"{run}: {said(state)}")


def _found(core: Core, name: str) -> tuple[str, Status]:
    run = service.find(core, name)
    return run.id, run.status()


def said(state: State) -> str:
    if state.ending and not state.end and state.status is Status.UNKNOWN:
        doubts = [step for step, visit in state.visits.items() if visit.phase is Phase.UNKNOWN]
        return f"unknown, to be {state.ending} once it is known what became of {', '.join(doubts)}"
    if state.ending and not state.end:
        return f"{state.status.value}, to be {state.ending} once what is under way has landed"
    return state.status.value


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user without a name.
        return f"uid {os.getuid()}"

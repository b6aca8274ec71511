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
from ops.cli.opened import opened
from orchestrator import service
from orchestrator.engine.state import Phase, State, Status
from orchestrator.service import Core

_Command = TypeVar("_Command", bound=Callable[..., Any])
_ENDED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


def _options(command: _Command) -> _Command:
    command = click.option("--json", "as_json", is_flag=True, help="Print {run, state}.")(command)
    command = click.option("--reason", default="", metavar="R", help="Kept in the journal.")(
        command
    )
    return click.argument("run", shell_complete=words.runs)(command)


@click.command(cls=Command, example='durazzo cancel 01k9 --reason "ordered twice"')
@_options
def cancel(run: str, reason: str, as_json: bool) -> None:
    """End a run without what it has not begun; a call under way lands first."""
    _control(service.cancel, run, reason, as_json=as_json)


@click.command(cls=Command, example="durazzo pause 01k9")
@_options
def pause(run: str, reason: str, as_json: bool) -> None:
    """Let a run begin nothing more until it is resumed; a call under way lands."""
    _control(service.pause, run, reason, as_json=as_json)


@click.command(cls=Command, example="durazzo resume 01k9")
@_options
def resume(run: str, reason: str, as_json: bool) -> None:
    """Let a paused run go on."""
    _control(service.resume, run, reason, as_json=as_json)


@click.command(cls=Command, example="durazzo retry 01k9 --from send-confirmation")
@_options
@click.option("--from", "step", metavar="STEP", help="Go on from this step, not the failed one.")
@click.option("--force", is_flag=True, help="Also when it charges or texts again.")
def retry(run: str, reason: str, step: str | None, *, force: bool, as_json: bool) -> None:
    """Let a run that failed or was cancelled go on from the step that failed.

    The step is done anew, in a new visit with a new idempotency key. When that, or a step
    behind it, has charged or texted before, it is refused unless forced.
    """
    act = partial(service.retry, step=step, force=force)
    _control(act, run, reason, as_json=as_json, ended=False)


def _control(
    act: Callable[..., State], name: str, reason: str, *, as_json: bool, ended: bool = True
) -> None:
    """``ended``: whether a run that had ended before stays as it is."""
    with opened() as wiring:
        run, before = _found(wiring.core, name)
        state = act(wiring.core, run, by=who(), reason=reason)
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

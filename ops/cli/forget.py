"""``durazzo forget``: a customer's values are erased; what their run came to stays."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ops.cli import terminal, words
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.filters import named, short
from ops.cli.opened import opened
from orchestrator.engine.state import Status
from orchestrator.expressions.nodes import Json
from orchestrator.service import Core
from orchestrator.service import forget as forgetting
from orchestrator.service.forget import Forgotten, Subject
from orchestrator.service.submit import WORKFLOW, scope_named

_FILE = (
    "What Redis' files, replicas and backups hold of them is encrypted, and goes when they are"
    " rewritten (BGREWRITEAOF, BGSAVE)."
)


@click.command(
    cls=Command,
    example='durazzo forget --key order-1042 --workflow charge-and-text --reason "request 17"',
)
@click.option("--run", metavar="RUN", shell_complete=words.runs, help="The run, by its id.")
@click.option("--key", metavar="KEY", callback=named, help="The run, by its run key.")
@click.option("--workflow", metavar="W", callback=named, help="In which the key was used.")
@click.option(
    "--key-scope", metavar="S", callback=named, help="The key's scope, if not the workflow."
)
@click.option(
    "--reason", required=True, metavar="R", callback=short, help="Kept: let it name nobody."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print {run, state, erased, kept}.")
def forget(
    run: str | None,
    key: str | None,
    workflow: str | None,
    key_scope: str | None,
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase what a run that has ended knows of its customer, for good.

    Inputs, outputs, requests, reasons and the run key's text go, in its batch as well. States,
    codes, times, the providers' ids and amounts stay, and so does that the key was used: the same
    order is still not charged twice.
    """
    scope = _scope(run, key, workflow, key_scope)
    with opened() as wiring:
        core = wiring.core
        subject = _subject(core, run, scope, key or "")
        agreed = _agreed(subject, yes=yes)
        done = forgetting.forget(core, subject, by=who(), reason=reason) if agreed else None
    if done is None:
        terminal.say("nothing was erased")
        click.get_current_context().exit(1)
    elif as_json:
        terminal.put_json(_as_json(done))
    else:
        _tell(done)


def _scope(run: str | None, key: str | None, workflow: str | None, scope: str | None) -> str:
    """Of the run key. Raises UsageError."""
    if (run is None) == (key is None):
        raise click.UsageError("give either --run or --key")
    if run is not None:
        if workflow or scope:
            raise click.UsageError("--workflow and --key-scope belong to --key")
        return ""
    if scope and scope != WORKFLOW:
        return scope_named(scope)
    if not workflow:
        raise click.UsageError(
            "a key counts in its workflow, or in a scope: give --workflow W or --key-scope S"
        )
    return workflow


def _subject(core: Core, run: str | None, scope: str, key: str) -> Subject:
    if run is not None:
        return forgetting.of_run(core, run)
    return forgetting.of_key(core, scope, key)


def _agreed(subject: Subject, *, yes: bool) -> bool:
    what = f"run {subject.run}: {_state(subject)}"
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{what}; there is no terminal to ask at: --yes says erase")
    return click.confirm(f"{what}. Erase its values for good?", err=True)


def _state(subject: Subject) -> str:
    state = subject.state
    if state is None:
        return "removed, its time was over"
    code = f" ({state.code})" if state.code else ""
    return f"{state.name}, {state.status.value}{code}"


def _tell(done: Forgotten) -> None:
    erased = [*_erased(done)]
    terminal.out(f"{done.subject.run}: {_state(done.subject)}")
    terminal.out(f"  erased: {', '.join(erased) or 'nothing, it was erased before'}")
    for line in _kept(done):
        terminal.out(f"  kept: {terminal.plain(line)}")
    terminal.say(_FILE)


def _erased(done: Forgotten) -> Iterator[str]:
    values = done.erased.values if done.erased else ()
    if "inputs" in values:
        yield "inputs"
    if outputs := sorted(name[2:] for name in values if name.startswith("o:")):
        yield f"outputs of {', '.join(map(terminal.plain, outputs))}"
    if "key" in values:
        yield "the run key's text"
    if done.erased and (reasons := done.erased.reasons):
        yield "1 reason" if reasons == 1 else f"{reasons} reasons"
    for batch, rows in done.subject.rows.items():
        numbers = ", ".join(map(str, rows))
        yield f"{'row' if len(rows) == 1 else 'rows'} {numbers} of batch {batch}"


def _kept(done: Forgotten) -> Iterator[str]:
    if done.subject.state is not None:
        yield "state, codes and times"
    for effect in done.stands:
        yield f"{effect.told} ({effect.step})"
    if done.subject.rows:
        yield "what the rows came to: state, code, providers' ids, amounts"
    yield "a run key still stands for this run, as a digest: nothing runs twice"


def _as_json(done: Forgotten) -> dict[str, Json]:
    subject = done.subject
    erased: dict[str, Json] = {
        "values": list(done.erased.values) if done.erased else [],
        "reasons": done.erased.reasons if done.erased else 0,
        "rows": {batch: list(rows) for batch, rows in subject.rows.items()},
    }
    status = subject.state.status if subject.state else None
    kept: list[Json] = [effect.as_json() for effect in done.stands]
    return {
        "run": subject.run,
        "state": status.value if isinstance(status, Status) else None,
        "erased": erased,
        "kept": kept,
    }

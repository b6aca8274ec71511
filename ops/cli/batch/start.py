"""``durazzo batch start``: rows are judged, told, agreed to, and then they run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import click

from ops.cli import secrets, telling, terminal
from ops.cli.batch import wording
from ops.cli.batch.following import exit_code, follow, settled
from ops.cli.batch.options import Asked, batch_options
from ops.cli.batch.page import page
from ops.cli.batch.prospect import Prospect
from ops.cli.commands import Command
from ops.cli.control import who
from ops.cli.document import Reading, document_options
from ops.cli.hands import Hands, hands, require_worker
from ops.cli.opened import opened
from ops.cli.run import DETACHED, signals
from orchestrator.clock import SystemEntropy
from orchestrator.errors import (
    Diagnostic,
    DocumentRefused,
    DurazzoError,
    JournalUnavailable,
    RowsRefused,
)
from orchestrator.journal.batches import Batch
from orchestrator.service import Core, Loaded, check_accounts
from orchestrator.service import batch as service
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import load_profiles

_DECLINED: Final = 1


@click.command(
    cls=Command,
    example="""\
durazzo batch start reminder.arazzo.yaml --data customers.csv --key customer --dry-run
durazzo batch start reminder.arazzo.yaml --data customers.csv --key customer""",
)
@document_options
@batch_options
@click.option("--json", "as_json", is_flag=True, help="Print the batch as one JSON object.")
@click.pass_context
def start(
    ctx: click.Context, /, reading: Reading, asked: Asked, *, as_json: bool
) -> None:  # fmt: skip
    """Run a workflow for every row of a file.

    All rows are judged first: if one is bad, none runs, unless --skip-bad leaves it out. Then it
    says what will happen, asks, and shows how far it is. The same command again finds the same
    batch, and runs nothing twice. Ctrl-C leaves a batch, and ends nothing.

    Exits with 0 if every row succeeded, 1 if some failed, 2 for wrong usage, 3 if the document or
    a row is invalid, 4 if Redis or a worker cannot be reached, 6 if some are unknown, and 130
    after Ctrl-C.
    """
    with _refused(as_json=as_json), signals():
        loaded = reading.load()
        terminal.show_diagnostics(loaded.diagnostics)
        accounts = check_accounts(loaded.plan, asked.terms.accounts, load_profiles())
        if asked.dry_run:
            summary = asked.rows.judge(loaded.plan, SystemEntropy(), lambda _: None)
            asked.ceiling.check(summary.totals)
            Prospect(plan=loaded.plan, summary=summary, asked=asked).show_dry(as_json=as_json)
            return
        code = _carry_out(loaded, asked, accounts, as_json=as_json)
    ctx.exit(code)


def _carry_out(loaded: Loaded, asked: Asked, accounts: str, *, as_json: bool) -> int:
    settings = from_environ()
    if not settings.redis_url:
        secrets.check(loaded.plan, load_profiles(), settings, accounts)
    with opened(settings) as wiring:
        upload = service.Upload(wiring.core)
        try:
            summary = asked.rows.judge(loaded.plan, wiring.core.entropy, upload.add)
            terminal.show_diagnostics(summary.faults)
            asked.ceiling.check(summary.totals)
            return _Starting(
                core=wiring.core,
                settings=settings,
                loaded=loaded,
                upload=upload,
                prospect=Prospect(plan=loaded.plan, summary=summary, asked=asked),
                as_json=as_json,
            ).carry_out()
        finally:
            # What was opened has left it already; what cannot be discarded is forgotten by itself.
            with suppress(JournalUnavailable):
                upload.discard()


@contextmanager
def _refused(*, as_json: bool) -> Iterator[None]:
    """Faults are shown; with ``--json`` there is one object also when there is no batch."""
    try:
        yield
    except DurazzoError as error:
        faults: tuple[Diagnostic, ...] = ()
        match error:
            case RowsRefused(faults=faults):
                terminal.show_diagnostics(faults)
                if error.found > len(faults):
                    terminal.say(f"… and {wording.number(error.found - len(faults))} more")
            case DocumentRefused(diagnostics=faults):
                pass
            case _:
                pass
        if as_json:
            terminal.put_json({
                "batch": None,
                "workflow": None,
                "state": None,
                "error": {"code": error.code, "message": error.message},
                "diagnostics": [fault.as_json() for fault in faults],
            })
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starting:
    """Rows that were judged and stored, and are no batch yet, unless they were one before."""

    core: Core
    settings: Settings
    loaded: Loaded
    upload: service.Upload
    prospect: Prospect
    as_json: bool

    @property
    def _asked(self) -> Asked:
        return self.prospect.asked

    def carry_out(self) -> int:
        """The exit code."""
        known = service.known(self.core, self.prospect.summary.digest, self._asked.terms)
        if known is None:
            return self._new()
        batch = self._opened()
        if self._asked.detach:
            return self._detached(batch)
        if settled(self.core, batch):
            return self._shown(batch)
        with hands(self.settings, self.core, batch.lane) as workers:
            return self._followed(batch, workers)

    def _new(self) -> int:
        if self.settings.redis_url and not self._asked.detach:
            # Before a person is asked in vain.
            require_worker(self.core)
        if not self._agreed():
            terminal.say("nothing was started")
            return _DECLINED
        if self._asked.detach:
            return self._detached(self._opened())
        lane = self.core.lane(self.loaded.plan.name, self._asked.terms.lane)
        with hands(self.settings, self.core, lane) as workers:
            return self._followed(self._opened(), workers)

    def _agreed(self) -> bool:
        for line in self.prospect.lines():
            terminal.say(line)
        if self._asked.yes:
            return True
        if self._asked.rows.file == "-":
            raise click.UsageError(
                "the rows came by standard input, nobody can answer there: --yes"
            )
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask at: --yes starts it")
        return click.confirm("Start it?", err=True)

    def _opened(self) -> Batch:
        batch, new = service.start(
            self.core,
            self.loaded.plan,
            self.upload,
            digest=self.prospect.summary.digest,
            terms=self._asked.terms,
            by=who(),
        )
        if new:
            terminal.say(f"batch {batch.id}")
        else:
            when = telling.utc(batch.at)
            told = f"batch {batch.id} was started on {when} by {batch.by}: nothing runs twice"
            terminal.say(terminal.plain(told))
        return batch

    def _followed(self, batch: Batch, workers: Hands) -> int:
        try:
            found = follow(self.core, batch, workers.check)
        except KeyboardInterrupt:
            say_left(batch, self.settings)
            return DETACHED
        # Before the worker ends, which takes a moment that nobody should wait for.
        return self._shown(found)

    def _detached(self, batch: Batch) -> int:
        if not settled(self.core, batch) and not self.core.journal.alive():
            again = "" if self.settings.redis_url else " or this command again without --detach"
            terminal.say(f"no worker is alive: nothing is sent until `durazzo worker`{again}")
        if self.as_json:
            terminal.put_json(self._document(batch))
        else:
            terminal.out(batch.id)
        return 0

    def _shown(self, batch: Batch) -> int:
        if self.as_json:
            terminal.put_json(self._document(batch))
        else:
            for line in page(self.core, batch):
                terminal.out(line)
        return exit_code(batch)

    def _document(self, batch: Batch) -> dict[str, Any]:
        summary = self.prospect.summary
        found = (*self.loaded.diagnostics, *summary.faults)
        return {
            **wording.as_json(batch),
            "skipped": summary.bad,
            "diagnostics": [diagnostic.as_json() for diagnostic in found],
        }


def say_left(batch: Batch, settings: Settings) -> None:
    on = (
        "its workers carry it on"
        if settings.redis_url
        else f"`durazzo batch show {batch.id} --follow`, or `durazzo worker`, carries it on"
    )
    terminal.say(
        f"left: batch {batch.id} is not over and nothing of it is lost: {on}"
        f" (durazzo batch show {batch.id})"
    )

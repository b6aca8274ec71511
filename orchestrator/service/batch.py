"""Batches: one workflow over many rows, a window of them at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from orchestrator.batch import Checked, batch_id
from orchestrator.engine.effects import Effect, read_all
from orchestrator.engine.state import State, Status
from orchestrator.errors import BatchConflict, InputsRefused, UnknownBatch
from orchestrator.journal.batches import BLOCK, Batch, NewBatch, Opened, Record, Row, run_of
from orchestrator.journal.port import Stop, Wake
from orchestrator.plan import codec
from orchestrator.plan.model import Plan
from orchestrator.service import control as controls
from orchestrator.service.accounts import check_accounts
from orchestrator.service.core import Core
from orchestrator.service.inspect import LAST
from orchestrator.service.many import Done, done_to, goes_on, in_doubt_at
from orchestrator.service.resolve import Verdict, resolve
from orchestrator.service.retry import retry
from orchestrator.service.stop import OF_BATCH, let_go
from orchestrator.service.submit import WORKFLOW, reads_of, scope_of

#: Runs of one batch that are busy at one time, unless it is told otherwise.
WINDOW: Final = 200
MAX_WINDOW: Final = 10_000
#: A batch stops by itself when more than this share of its ended runs have failed.
RATIO: Final = 0.5
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Upload:
    """Rows on their way: nothing of them runs, and what is not opened within an hour is forgotten.

    Constant memory: a block is stored as soon as it is full.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.id = core.entropy.token(12).hex()
        self.total = 0
        self._blocks = 0
        self._rows: list[Row] = []

    def add(self, row: Checked) -> None:
        self._rows.append(Row(number=row.number, key=row.key, inputs=row.inputs))
        self.total += 1
        if len(self._rows) == BLOCK:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._core.batches.upload(self.id, self._blocks, self._rows)
            self._blocks += 1
            self._rows = []

    def discard(self) -> None:
        self._core.batches.discard(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a batch runs."""

    id: str | None = None
    #: As ``submit`` has it.
    lane: str | None = None
    window: int = WINDOW
    #: As ``submit`` has it; it counts where the rows have run keys.
    key_scope: str = WORKFLOW
    keyed: bool = False
    #: 0 for never.
    max_failures: float = RATIO
    #: Of each run, from its admission; the document's own counts if it is shorter.
    deadline: timedelta | None = None
    #: As ``submit`` has them.
    accounts: Mapping[str, str] = field(default_factory=dict)


def start(
    core: Core, plan: Plan, upload: Upload, *, digest: str, terms: Terms, by: str
) -> tuple[Batch, bool]:
    """From here on the rows become runs, whatever dies. The batch, and whether it is new.

    ``digest``: of the rows, as ``Screening`` has it. A batch without an id of its own has that of
    its rows and its workflow: the same again is the same batch, and runs nothing twice. Nor does
    it by another account, which needs an id of its own.

    Raises BatchConflict when the id stands for other rows or another account, UploadGone,
    InputsRefused, UnknownProvider, JournalUnavailable.
    """
    accounts = check_accounts(plan, terms.accounts, core.profiles)
    upload.flush()
    print_ = core.batches.mac(bytes.fromhex(digest))
    name = batch_id(print_) if terms.id is None else checked_id(terms.id)
    data = codec.encode(plan)
    opened = core.batches.open(
        NewBatch(
            id=name,
            upload=upload.id,
            total=upload.total,
            print=f"{print_} {accounts}" if accounts else print_,
            plan=data,
            digest=codec.digest(data),
            name=plan.name,
            lane=core.lane(plan.name, terms.lane),
            starts=plan.starts,
            reads={step.id: reads_of(step) for step in plan.steps},
            window=terms.window,
            ratio=terms.max_failures,
            key_scope=scope_of(plan, terms.key_scope) if terms.keyed else "",
            within=_within(plan, terms.deadline),
            accounts=accounts,
            by=by,
        )
    )
    if opened is Opened.OTHER:
        raise BatchConflict(
            f"batch {name} is there already, with other rows, another workflow or another account:"
            " give another --id"
        )
    core.admission.fill(name)
    return find(core, name), opened is Opened.NEW


def known(core: Core, digest: str, terms: Terms) -> Batch | None:
    """The batch that ``start`` would find there already, whatever its rows.

    Raises InputsRefused.
    """
    if terms.id is not None:
        return core.batches.read(checked_id(terms.id))
    return core.batches.read(batch_id(core.batches.mac(bytes.fromhex(digest))))


def find(core: Core, batch: str) -> Batch:
    """Raises UnknownBatch."""
    # What is no id could be the name of something else in Redis.
    found = core.batches.read(batch) if _ID.fullmatch(batch) else None
    if found is None:
        raise UnknownBatch(f"no batch {batch!r} in this journal: durazzo batch list")
    return found


def named(core: Core, name: str) -> Batch:
    """By its id, by the beginning of one, or the ``last`` one. Raises UnknownBatch."""
    with suppress(UnknownBatch):
        return find(core, name)
    known = core.batches.all()
    found = known[:1] if name == LAST else [b for b in known if name and b.startswith(name)]
    if len(found) > 1:
        raise UnknownBatch(f"{len(found)} batches begin with {name!r}: give more of the id")
    return find(core, found[0] if found else name)


def batches(core: Core) -> Iterator[Batch]:
    """Newest first."""
    for name in core.batches.all():
        found = core.batches.read(name)
        if found is not None:
            yield found


# Control.


def pause(core: Core, batch: str, *, by: str, reason: str) -> Stop:
    """No row of it becomes a run and none of its runs makes a call; calls under way land."""
    find(core, batch)
    return core.journal.stop(OF_BATCH + batch, by=by, reason=reason)


def resume(core: Core, batch: str, *, by: str, reason: str = "") -> Wake:
    """It goes on. Failures so far count no more when it is judged whether too many fail."""
    found = find(core, batch)
    core.batches.set_base(batch)
    wake = let_go(core, OF_BATCH + batch, provider="", by=by, reason=reason)
    core.admission.fill(found.id)
    return wake


def cancel(core: Core, batch: str, *, by: str, reason: str) -> tuple[int, Iterator[Done]]:
    """Rows that are no runs yet never will be: how many. Its runs are cancelled as is iterated."""
    find(core, batch)
    given_up = core.batches.cancel(batch, by=by, reason=reason)
    act = partial(controls.cancel, core, by=by, reason=reason, must=True)
    runs = (run for run, state in unfinished(core, batch) if goes_on(state))
    return given_up, done_to(runs, act)


def failed(core: Core, batch: str, *, code: str = "", at: str = "") -> Iterator[str]:
    """Its runs that have failed, with this code and at this step where one is given.

    Until now: none of those that fail while this is iterated.
    """
    until = core.journal.now()
    for row in report(core, find(core, batch)):
        fits = row.state == Status.FAILED and code in {"", row.code} and at in {"", row.step}
        if fits and row.ended <= until:
            yield row.run


def retry_failed(
    core: Core,
    batch: str,
    *,
    code: str = "",
    at: str = "",
    step: str | None = None,
    by: str,
    reason: str = "",
    wait: Callable[[], object] | None = None,
) -> Iterator[Done]:
    """Each failed run goes on from the step that failed, if it would do nothing twice.

    ``code``, ``at``: as ``failed`` has them. ``step``: to go on from it instead. ``wait``: called
    as long as the batch's window has no room for the next one; it may raise what is no refusal.

    Lazy, a block of rows at a time. Broken off and begun again, it finds those that are left.
    """
    act = partial(retry, core, by=by, reason=reason, step=step, wait=wait)
    return done_to(failed(core, batch, code=code, at=at), act)


def resolve_all(
    core: Core,
    batch: str,
    step: str,
    verdict: Verdict,
    *,
    by: str,
    reason: str,
    wait: Callable[[], object],
) -> Iterator[Done]:
    """A person's word about the step in all runs in which it is unknown. ``wait``: as above."""

    def act(run: str) -> object:
        while not room(core, batch):
            wait()
        return resolve(core, run, step, verdict, by=by, reason=reason)

    return done_to(in_doubt(core, batch, step), act)


def room(core: Core, batch: str) -> int:
    """Runs that its window has places for now."""
    found = find(core, batch)
    return max(0, found.window - found.busy)


def in_doubt(core: Core, batch: str, step: str) -> Iterator[str]:
    """Its runs in which the step is unknown."""
    find(core, batch)
    is_in_doubt = in_doubt_at(step)
    for number in core.batches.parked(batch):
        run = run_of(batch, number)
        state = core.journal.read(run)
        if state is not None and is_in_doubt(state):
            yield run


# Looking.


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReport:
    """What one row came to, whatever became of its run's journal."""

    number: int
    key: str | None
    #: "" for a row that has become no run.
    run: str
    #: A run's state; "waiting-row", "given-up"; "known" and "refused", see ``Batch.ends``.
    state: str
    code: str = ""
    step: str = ""
    #: When it ended. ms, 0 for never.
    ended: int = 0
    effects: tuple[Effect, ...] = ()


def report(core: Core, batch: Batch) -> Iterator[RowReport]:
    """Every row in its order. A block at a time: constant memory."""
    position = 0
    for block in range(-(-batch.total // batch.size)):
        index = core.batches.index(batch, block)
        records = core.batches.records(batch, [number for number, _ in index])
        for (number, key), record in zip(index, records, strict=True):
            position += 1
            if record is not None:
                yield _recorded(number, key, record)
            elif position > batch.admitted:
                state = "given-up" if batch.over else "waiting-row"
                yield RowReport(number=number, key=key, run="", state=state)
            else:
                yield _running(core, batch, number, key)


def unfinished(core: Core, batch: str) -> Iterator[tuple[str, State]]:
    """Its runs that have not ended, and their states."""
    for row in report(core, find(core, batch)):
        if row.run and not row.ended and row.state not in {"known", "refused"}:
            state = core.journal.read(row.run)
            if state is not None and not state.end:
                yield row.run, state


def _recorded(number: int, key: str | None, record: Record) -> RowReport:
    effects = (line.partition(" ") for line in record.effects.split("\n") if line)
    return RowReport(
        number=number,
        key=key,
        run=record.run,
        state=record.end,
        code=record.code,
        step=record.step,
        ended=record.at,
        effects=tuple(effect for step, _, texts in effects for effect in read_all(step, texts)),
    )


def _running(core: Core, batch: Batch, number: int, key: str | None) -> RowReport:
    run = run_of(batch.id, number)
    state = core.journal.read(run)
    if state is None:
        # It ended between the two looks, or is of a newer release.
        return RowReport(number=number, key=key, run=run, state="running")
    return RowReport(
        number=number,
        key=key,
        run=run,
        state=state.status.value,
        code=state.code,
        step=state.failed_step,
        ended=state.ended,
        effects=state.effects,
    )


def _within(plan: Plan, deadline: timedelta | None) -> int:
    if deadline is None:
        return plan.timeout_ms
    span = round(deadline / timedelta(milliseconds=1))
    return min(span, plan.timeout_ms or span)


def checked_id(text: str) -> str:
    """Raises InputsRefused."""
    if _ID.fullmatch(text) is None:
        raise InputsRefused([
            "a batch's id: 1 to 64 small letters, digits and hyphens, no hyphen first"
        ])
    return text


__all__ = [
    "MAX_WINDOW", "RATIO", "WINDOW", "RowReport", "Terms", "Upload", "batches", "cancel",
    "checked_id", "failed", "find", "in_doubt", "known", "named", "pause", "report", "resolve_all",
    "resume", "retry_failed", "room", "start", "unfinished",
]  # fmt: skip

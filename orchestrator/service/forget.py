"""Forget: what a customer's run was given and gave is erased; what it came to stays.

Erased for good: inputs, outputs, frozen requests, why people did what they did, and the run key's
text, in the run and in every batch. Kept: states, codes, times, who did what, the providers' ids of
what stands and the amounts, the digests by which the run key still stands for this run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from orchestrator.engine.effects import Effect
from orchestrator.engine.state import Phase, State
from orchestrator.errors import ForgetRefused, UnknownBatch, UnknownRun
from orchestrator.journal.archive import Erased
from orchestrator.journal.batches import Batch
from orchestrator.service import batch as batches
from orchestrator.service.core import Core
from orchestrator.service.inspect import find

#: A batch and a block of it → numbers of rows.
_Places: TypeAlias = dict[tuple[str, int], set[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be forgotten: a run that has ended, and the rows that have its run key."""

    run: str
    #: None: its time is over, and only rows of batches are left of it.
    state: State | None
    #: Batch → its rows.
    rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    places: Mapping[tuple[str, int], set[int]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    subject: Subject
    #: None: nothing was left of the run to erase.
    erased: Erased | None

    @property
    def stands(self) -> tuple[Effect, ...]:
        return self.subject.state.effects if self.subject.state else ()


def of_run(core: Core, name: str) -> Subject:
    """By its id, or the beginning of one. Raises UnknownRun, ForgetRefused, SealBroken."""
    try:
        run = find(core, name).id
    except UnknownRun:
        if not _own_row(core, name)[0]:
            raise
        run = name
    return _subject(core, run, core.journal.key_of(run))


def of_key(core: Core, scope: str, key: str) -> Subject:
    """By its run key; ``scope`` as ``service.submit.scope_of`` has it. Raises as ``of_run``."""
    run = core.archive.keyed(scope, key)
    if run is None:
        raise UnknownRun("this run key was not used in this scope, or longer ago than it is kept")
    return _subject(core, run, key)


def forget(core: Core, subject: Subject, *, by: str, reason: str) -> Forgotten:
    """Journaled with who and why, on the run itself. Again is as once: nothing more is erased.

    Raises ForgetRefused for a run that was retried meanwhile, JournalUnavailable: what was erased
    until then is gone; the same again does the rest.
    """
    # The run last: as long as it has its key, whoever comes again finds the rows by it.
    for (batch, block), numbers in subject.places.items():
        core.batches.redact(batches.find(core, batch), block, numbers)
    if subject.state is None or subject.state.forgotten:
        return Forgotten(subject=subject, erased=None)
    erased = core.archive.forget(subject.run, by=by, reason=reason)
    if erased is None:
        raise ForgetRefused("the run has changed meanwhile: look at it again")
    return Forgotten(subject=subject, erased=erased)


def _subject(core: Core, run: str, key: str | None) -> Subject:
    state = core.journal.read(run)
    if state is not None:
        _require_over(state)
    places = _places(core, run, key)
    rows: dict[str, tuple[int, ...]] = {}
    for (batch, _), numbers in sorted(places.items()):
        rows[batch] = (*rows.get(batch, ()), *sorted(numbers))
    return Subject(run=run, state=state, rows=rows, places=places)


def _require_over(state: State) -> None:
    """Raises ForgetRefused."""
    if not state.end:
        doubt = any(visit.phase is Phase.UNKNOWN for visit in state.visits.values())
        what = "say what became of it (durazzo resolve)" if doubt else "cancel it (durazzo cancel)"
        raise ForgetRefused(
            f"the run is {state.status.value} and needs its values: wait for its end, or {what}"
        )
    if state.outbox:
        raise ForgetRefused("the run has ended just now: try again in a moment")


def _own_row(core: Core, run: str) -> tuple[str, int]:
    """The batch and the row that it is of, there or not; "" for none."""
    batch, _, number = run.rpartition("-")
    try:
        return batches.find(core, batch).id, int(number)
    except (UnknownBatch, ValueError):
        return "", 0


def _places(core: Core, run: str, key: str | None) -> _Places:
    """Rows that hold values of the run, or its key. Every index of a batch in question is read."""
    found: _Places = {}
    home, row = _own_row(core, run)
    for batch in batches.batches(core):
        shared = key is not None and _has_key(core, batch, run, key)
        if batch.id != home and not shared:
            continue
        for block, position, number, text in _index(core, batch):
            own = batch.id == home and number == row
            if not own and not (shared and text == key):
                continue
            if not own:
                _require_admitted(batch, position, number)
            found.setdefault((batch.id, block), set()).add(number)
    return found


def _has_key(core: Core, batch: Batch, run: str, key: str) -> bool:
    """Whether a row with this key is about this run, there."""
    return bool(batch.key_scope) and core.archive.keyed(batch.key_scope, key) == run


def _index(core: Core, batch: Batch) -> Iterator[tuple[int, int, int, str | None]]:
    """Block, position from 1, number and run key of every row."""
    position = 0
    for block in range(-(-batch.total // batch.size)):
        for number, text in core.batches.index(batch, block):
            position += 1
            yield block, position, number, text


def _require_admitted(batch: Batch, position: int, number: int) -> None:
    """Raises ForgetRefused: without its key, a row that is yet to come would run anew."""
    if position > batch.admitted and not batch.over:
        raise ForgetRefused(
            f"row {number} of batch {batch.id} has this run key and is yet to come: wait until the"
            f" batch has come to it, or cancel it (durazzo batch cancel {batch.id})"
        )


__all__ = ["Forgotten", "Subject", "forget", "of_key", "of_run"]

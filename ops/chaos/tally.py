"""What a batch says of itself, beside its rows' runs and the books. Pure, but for ``tallied``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.chaos.books import Account, Books
from ops.chaos.clerk import Clerk
from ops.chaos.findings import Finding
from ops.chaos.journals import Story
from orchestrator.engine.state import Status
from orchestrator.journal.batches import Batch, run_of
from orchestrator.service import Core
from orchestrator.service import batch as service
from orchestrator.service.batch import RowReport

_ENDS: Final = frozenset({"succeeded", "failed", "cancelled"})
#: Its run key had been used for the same, by itself.
_KNOWN: Final = "known"
_OVER: Final = _ENDS | {_KNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Read once, when nothing moves any more."""

    batch: Batch
    rows: Sequence[RowReport]
    #: Numbers of rows that it lists as in doubt.
    parked: Sequence[int]
    #: Whether it is among those that have rows left.
    active: bool
    #: By the customer's number: orders that were submitted by themselves as well.
    singles: Mapping[int, str]
    #: Most rows that had a place in its window at one time; failed ones that went on meanwhile,
    #: and have theirs beyond it.
    fullest: int

    def as_json(self) -> dict[str, object]:
        return {
            "batch": self.batch.id,
            "state": self.batch.state,
            "rows": dict(sorted(Counter(row.state for row in self.rows).items())),
            "ends": dict(self.batch.ends),
            "sums": dict(self.batch.sums),
            "window": self.batch.window,
            "fullest": self.fullest,
        }

    def findings(self, stories: Sequence[Story], books: Books) -> Iterator[Finding]:
        """``stories``: of all customers, in their order; row n is that of the n-th."""
        if len(self.rows) != len(stories):
            says = f"there are {len(self.rows)} rows, and there were {len(stories)}"
            yield Finding(code="rows-lost", says=says)
            return
        accounts = [books.accounts[story.customer.number] for story in stories]
        for number, row in enumerate(self.rows, 1):
            story, account = stories[number - 1], accounts[number - 1]
            for code, says in (
                *self._place(number, row, story), *_standing(row, story), *_told(row, account)
            ):  # fmt: skip
                yield Finding(code=code, says=says, run=row.run, customer=story.customer.key)
        for code, says in (*self._all(), *self._counts(accounts)):
            yield Finding(code=code, says=says)

    def _place(self, number: int, row: RowReport, story: Story) -> Iterator[tuple[str, str]]:
        """One row, one run; one order, one row."""
        if (row.number, row.key) != (number, story.customer.key):
            yield "row-misplaced", f"row {number} is told as row {row.number}"
        single = self.singles.get(story.customer.number, "")
        own = run_of(self.batch.id, number)
        if row.state == _KNOWN and (not single or row.run != single):
            yield "row-misled", "its key is said to be another run's, which nobody was told of"
        elif row.state != _KNOWN and row.run != own:
            yield "row-misled", f"it has become the run {row.run or 'of nobody'}"
        if single and single != row.run:
            yield "order-twice", f"its order was accepted as run {single} as well"

    def _all(self) -> Iterator[tuple[str, str]]:
        batch = self.batch
        if batch.waiting or self.active or batch.admitted != batch.total:
            yield "rows-waiting", f"{batch.admitted} of {batch.total} rows have become runs"
        if batch.busy:
            yield "place-kept", f"nothing moves, and {batch.busy} rows have a place in the window"
        if self.fullest > batch.window:
            yield "window-exceeded", f"{self.fullest} rows had a place at one time"
        doubtful = sorted(row.number for row in self.rows if row.state == Status.UNKNOWN)
        if doubtful != sorted(self.parked):
            yield "parked-otherwise", f"{len(doubtful)} are unknown, and {len(self.parked)} listed"

    def _counts(self, accounts: Sequence[Account]) -> Iterator[tuple[str, str]]:
        """What it counts of rows that are over, against these, and against the books."""
        over = [row for row in self.rows if row.state in _OVER]
        ends = Counter(row.state for row in over)
        codes = Counter(row.code for row in over if row.code)
        sums = _sums([
            account for row, account in zip(self.rows, accounts, strict=True) if row.state in _ENDS
        ])
        for what, said, found in (
            ("ends", self.batch.ends, ends),
            ("codes", self.batch.codes, codes),
            ("sums", self.batch.sums, sums),
        ):
            if dict(said) != dict(found):
                yield f"{what}-miscounted", f"it counts {dict(said)}, and there are {dict(found)}"


def _standing(row: RowReport, story: Story) -> Iterator[tuple[str, str]]:
    """A row is over as its run is, or in doubt."""
    if row.state not in _OVER | {Status.UNKNOWN}:
        yield "row-unfinished", f"it is {row.state}"
    elif row.state != _KNOWN and story.state is not None and row.state != story.state.status:
        yield "row-denied", f"it is {row.state}, and its run {story.state.status}"


def _told(row: RowReport, account: Account) -> Iterator[tuple[str, str]]:
    """A row that is over tells what stands in the books, and no more."""
    if row.state not in _ENDS:
        return
    told = {effect.id for effect in row.effects}
    if told != (stands := _ids(account)):
        yield "row-told-falsely", f"it tells {sorted(told)}, and the books have {sorted(stands)}"


def _ids(account: Account) -> set[str]:
    return {r["payment_intent"] for r in account.charges} | {r["sid"] for r in account.texts}


def _sums(accounts: Sequence[Account]) -> dict[str, int]:
    """As a batch has them, without those that are none."""
    found: Counter[str] = Counter()
    for account in accounts:
        charges: list[Mapping[str, Any]] = list(account.charges)
        for charge in charges:
            found[f"charged:{charge['currency']}"] += charge["amount"]
        found["texted"] += len(account.texts)
    return {name: number for name, number in found.items() if number}


def tallied(core: Core, clerk: Clerk) -> Tally:
    batch = service.find(core, clerk.batch)
    return Tally(
        batch=batch,
        rows=list(service.report(core, batch)),
        parked=core.batches.parked(batch.id),
        active=batch.id in core.batches.active(),
        singles=clerk.singles,
        fullest=clerk.gauge.fullest,
    )

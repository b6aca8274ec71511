"""The judge of a batch: every way in which its own words, its runs and the books can disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ops.chaos.books import Account, Books
from ops.chaos.journals import Story
from ops.chaos.schedule import Customer
from ops.chaos.tally import Tally
from orchestrator.engine.effects import Effect
from orchestrator.engine.state import Phase, State, Visit
from orchestrator.journal.batches import Batch
from orchestrator.service.batch import RowReport

ADA, BOB, EVE = (Customer(number=number, at=0) for number in range(3))
#: Ada was charged and texted, Bob's card declined, of Eve's text nobody knows.
BATCH = Batch(
    id="b", digest="d", name="n", lane="default", window=2, total=3, admitted=3, at=1, by="x",
    place="u", size=200, key_scope="n", ratio=0.5, over=0, busy=0, parked=1,
    ends={"failed": 1, "succeeded": 1}, codes={"card_declined": 1},
    sums={"charged:usd": ADA.amount, "texted": 1},
)  # fmt: skip
EFFECTS = (
    Effect(step="c", what="charged", id="pi_0", amount=ADA.amount, currency="usd"),
    Effect(step="t", what="texted", id="SM0"),
)
ROWS = (
    RowReport(number=1, key=ADA.key, run="b-1", state="succeeded", ended=5, effects=EFFECTS),
    RowReport(number=2, key=BOB.key, run="b-2", state="failed", code="card_declined", ended=5),
    RowReport(number=3, key=EVE.key, run="b-3", state="unknown"),
)
TALLY = Tally(
    batch=BATCH, rows=ROWS, parked=[3], active=False, singles={}, fullest=2
)  # fmt: skip


def story(customer: Customer, end: str = "") -> Story:
    visits = {"c": Visit(number=1, phase=Phase.UNKNOWN)}
    state = State(plan="p", name="n", lane="default", accepted=1, visits=visits, end=end)
    run = f"b-{customer.number + 1}"
    return Story(customer=customer, run=run, state=state, report=None, events=(), result="")


STORIES = (story(ADA, "succeeded"), story(BOB, "failed"), story(EVE))


def charge(intent: str, customer: Customer) -> dict[str, Any]:
    return {"payment_intent": intent, "amount": customer.amount, "currency": "usd"}


def books(*accounts: Account) -> Books:
    """Of Ada and Bob, who have nothing unless it is given; Eve was charged, and perhaps texted."""
    eve = Account(charges=[charge("pi_2", EVE)], texts=[{"sid": "SM2"}])
    found = dict(enumerate([*accounts, *[Account()] * (2 - len(accounts)), eve]))
    return Books(accounts=found, strangers=(), duplicates={}, looked_up=())


ADAS = Account(charges=[charge("pi_0", ADA)], texts=[{"sid": "SM0"}])


def codes(tally: Tally, stories: Sequence[Story] = STORIES, found: Books | None = None) -> set[str]:
    return {f.code for f in tally.findings(stories, found or books(ADAS))}


def with_row(number: int, **changes: Any) -> Tally:
    rows = [replace(r, **changes) if r.number == number else r for r in ROWS]
    return replace(TALLY, rows=rows)


def with_batch(**changes: Any) -> Tally:
    return replace(TALLY, batch=replace(BATCH, **changes))


def test_a_batch_that_did_what_it_says_is_accounted_for() -> None:
    assert codes(TALLY) == set()


def test_a_row_that_is_gone_or_in_another_place_is_found() -> None:
    assert codes(replace(TALLY, rows=ROWS[:2])) == {"rows-lost"}
    assert codes(with_row(2, key="order-9")) == {"row-misplaced"}
    assert codes(with_row(2, run="b-1")) == {"row-misled"}
    assert codes(with_row(2, run="")) == {"row-misled"}


@pytest.mark.parametrize("state", ["running", "waiting-row", "given-up", "refused"])
def test_a_row_that_comes_to_no_end_is_found(state: str) -> None:
    assert "row-unfinished" in codes(with_row(2, state=state))


def test_a_row_that_is_not_what_its_run_is_is_found() -> None:
    assert "row-denied" in codes(with_row(2, state="cancelled"))


def test_what_the_books_have_and_a_row_does_not_tell_is_found() -> None:
    assert codes(TALLY, found=books(Account())) == {"row-told-falsely", "sums-miscounted"}
    more = Account(charges=[charge("pi_0", ADA), charge("pi_9", ADA)], texts=ADAS.texts)
    assert codes(TALLY, found=books(more)) == {"row-told-falsely", "sums-miscounted"}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("ends", {"ends": {"failed": 1, "succeeded": 2}}),
        ("codes", {"codes": {"card_declined": 2}}),
        ("sums", {"sums": {"charged:usd": 2 * ADA.amount, "texted": 2}}),
    ],
)
def test_what_is_counted_twice_is_found(what: str, changes: dict[str, Any]) -> None:
    assert codes(with_batch(**changes)) == {f"{what}-miscounted"}


def test_a_place_that_nobody_gives_back_and_rows_that_nobody_admits_are_found() -> None:
    assert codes(with_batch(busy=1)) == {"place-kept"}
    assert codes(with_batch(admitted=2)) == {"rows-waiting"}
    assert codes(replace(TALLY, active=True)) == {"rows-waiting"}


def test_a_row_in_doubt_is_listed_as_such_and_no_other_is() -> None:
    assert codes(replace(TALLY, parked=[])) == {"parked-otherwise"}
    assert codes(replace(TALLY, parked=[2])) == {"parked-otherwise"}


def test_a_window_holds_no_more_than_it_may() -> None:
    assert codes(replace(TALLY, fullest=3)) == {"window-exceeded"}


def test_an_order_that_runs_by_itself_makes_its_row_known_and_nothing_of_it_is_counted() -> None:
    alone = replace(
        with_row(1, state="known", run="01alone", effects=(), ended=0),
        singles={ADA.number: "01alone"},
        batch=replace(BATCH, ends={"failed": 1, "known": 1}, sums={}),
    )
    assert codes(alone) == set()
    assert codes(replace(alone, singles={})) == {"row-misled"}
    twice = replace(TALLY, singles={ADA.number: "01alone"})
    assert codes(twice) == {"order-twice"}
    assert codes(replace(TALLY, singles={ADA.number: "b-1"})) == set()

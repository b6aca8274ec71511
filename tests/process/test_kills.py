"""Real workers, really killed. The judge is the sandbox's ledger, never durazzo's belief."""

from __future__ import annotations

import pytest

from orchestrator.engine.events import fold
from orchestrator.service import Run
from tests.process.house import CHARGE_AND_TEXT, DECLINED, House, osop_with, plan_of, wait_for

pytestmark = pytest.mark.process


def finish(home: House, run: Run, who: str, *, seconds: float = 40) -> str:
    """Let a killed worker's successor carry the run on, and say how it ended."""
    wait_for(home.mark.exists, "the kill")
    if who == "worker":
        home.workers[0].wait(timeout=10)
        home.worker()
    status = run.wait(seconds)
    # Read at two moments, with the last duties in between: equal once they are done.
    wait_for(lambda: fold(run.history()) == run.state(), "the hash to be the fold of the events")
    return status


@pytest.mark.parametrize("who", ["child", "worker"])
@pytest.mark.parametrize("point", ["claimed", "begun", "called", "committed", "followed"])
def test_killed_while_charging_charges_once_and_texts_once(
    at_home: House, point: str, who: str
) -> None:
    at_home.worker(kill=f"{point}:create-payment:{who}")
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert finish(at_home, run, who) == "succeeded"
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == 1
    assert ledger["charges"][0]["amount"] == 2000
    assert len(ledger["messages"]) == 1
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


@pytest.mark.parametrize("who", ["child", "worker"])
@pytest.mark.parametrize(
    ("point", "ends"),
    [
        ("claimed", "succeeded"),
        # Begun, and nobody knows whether the text went out: parked, not sent again.
        ("begun", "unknown"),
        ("called", "unknown"),
        ("committed", "succeeded"),
    ],
)
def test_killed_while_texting_texts_at_most_once(
    at_home: House, point: str, who: str, ends: str
) -> None:
    at_home.worker(kill=f"{point}:send-confirmation:{who}")
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert finish(at_home, run, who) == ends
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == 1
    assert len(ledger["messages"]) == (0 if point == "begun" else 1)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


@pytest.mark.parametrize("who", ["child", "worker"])
@pytest.mark.parametrize("point", ["committed", "fallback"])
def test_killed_around_the_error_callback_the_fallback_is_taken_all_the_same(
    at_home: House, point: str, who: str
) -> None:
    at_home.worker(kill=f"{point}:confirm_payment:{who}")
    run = at_home.submit(osop_with(DECLINED), {})
    assert finish(at_home, run, who) == "failed"
    state = run.state()
    assert state.code == "card_declined"
    # Once more, and no more: the card is declined by the very same words.
    assert state.visits["create_intent"].number == 2
    assert state.visits["confirm_payment"].number == 2
    ledger = at_home.ledger()
    assert ledger["charges"] == []
    confirms = [r for r in ledger["requests"] if r["path"].endswith("/confirm")]
    assert len({r["key"] for r in confirms}) == 2, "each visit has a key of its own"


def test_a_child_killed_while_confirming_charges_no_second_intent(at_home: House) -> None:
    at_home.worker(kill="called:confirm_payment:child")
    run = at_home.submit(osop_with("pm_card_visa"), {})
    assert finish(at_home, run, "child") == "succeeded"
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == 1
    creates = [r for r in ledger["requests"] if r["path"].endswith("/v1/payment_intents")]
    assert len(creates) == 1
    assert run.state().visits["confirm_payment"].attempts == 2

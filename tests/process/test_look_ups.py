"""What became of calls whose answers were lost: looked up at the provider, by real workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from orchestrator.engine.effects import Totals
from orchestrator.engine.state import Status
from orchestrator.journal.keys import Keys
from orchestrator.plan.model import Plan
from orchestrator.service import Run, cancel
from orchestrator.wiring import connect
from tests.process.house import (
    CHARGE_AND_TEXT,
    TOKEN_AND_PAYMENT,
    House,
    osop_with,
    plan_of,
    wait_for,
)

pytestmark = pytest.mark.process

TEXTS = "POST /twilio/*"
SESSIONS = "POST /fintecture/pis/*"
#: Longer than any first look-up waits. ms.
LATER = 130_000


def later(home: House) -> None:
    """Redis' clock is durazzo's: nobody waits for it here."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.incrby(Keys().clock, LATER)


def told(run: Run) -> dict[str, Any]:
    """What the run says that it did, added up."""
    return Totals.of(run.report().effects).as_json()


def booked(home: House) -> dict[str, Any]:
    """The same by the providers' books."""
    books = home.ledger()
    charged: Counter[str] = Counter()
    for row in books["charges"]:
        charged[row["currency"]] += row["amount"]
    texted = {"texted": len(books["messages"])} if books["messages"] else {}
    return ({"charged": dict(charged)} if charged else {}) | texted


def looked_up(home: House, run: Run) -> None:
    def happened() -> bool:
        return any(event.kind == "looked" for event in run.history())

    later(home)
    wait_for(happened, "the look-up")


def posts(home: House, path: str) -> int:
    rows = home.ledger()["requests"]
    return sum(r["method"] == "POST" and path in r["path"] for r in rows)


def test_a_text_whose_answer_was_lost_is_found_and_the_run_succeeds(at_home: House) -> None:
    at_home.sandbox.faults({"match": TEXTS, "do": "drop_after"})
    at_home.worker()
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert run.wait(20) == "unknown"
    later(at_home)
    wait_for(lambda: run.status() == "succeeded", "the text's being found")
    [text] = at_home.ledger()["messages"]
    assert run.report().outputs["messageSid"] == text["sid"]
    assert posts(at_home, "/twilio/") == 1


def test_a_text_that_is_not_found_stays_unknown_and_is_not_sent_again(at_home: House) -> None:
    at_home.sandbox.faults({"match": TEXTS, "do": "drop_before"})
    at_home.worker()
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert run.wait(20) == "unknown"
    looked_up(at_home, run)
    wait_for(lambda: run.state().visits["send-confirmation"].code == "not-found", "its outcome")
    assert run.status() == "unknown"
    assert posts(at_home, "/twilio/") == 1
    assert at_home.ledger()["messages"] == []


def test_another_orders_text_of_the_same_words_is_not_taken_for_the_lost_one(
    at_home: House,
) -> None:
    inputs = at_home.charge_inputs()
    at_home.sandbox.faults({"match": TEXTS, "do": "drop_before"})
    at_home.worker()
    lost = at_home.submit(plan_of(CHARGE_AND_TEXT), inputs)
    assert lost.wait(20) == "unknown"
    told = at_home.submit(plan_of(CHARGE_AND_TEXT), inputs)
    assert told.wait(20) == "succeeded"
    looked_up(at_home, lost)
    wait_for(lambda: lost.state().visits["send-confirmation"].code == "not-found", "its outcome")
    assert lost.status() == "unknown"
    assert len(at_home.ledger()["messages"]) == 1


def test_a_cancelled_run_looks_up_what_it_may_have_sent_and_then_ends(at_home: House) -> None:
    at_home.sandbox.faults({"match": TEXTS, "do": "drop_after"})
    at_home.worker()
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert run.wait(20) == "unknown"
    cancel(at_home.wiring.core, run.id, by="test", reason="")
    assert run.status() == "unknown"
    later(at_home)
    wait_for(lambda: run.status() == "cancelled", "the end")
    assert run.state().visits["send-confirmation"].phase == "succeeded"
    assert posts(at_home, "/twilio/") == 1


def test_a_confirmation_that_may_still_come_is_waited_for_before_a_cancelled_run_ends(
    at_home: House,
) -> None:
    """What was not done by the first look may be done by the second."""
    run = at_home.submit(osop_with("pm_card_visa"), {})
    at_home.worker(kill="begun:confirm_payment:worker")
    wait_for(at_home.mark.exists, "the kill", seconds=60)
    cancel(at_home.wiring.core, run.id, by="test", reason="")
    at_home.worker()
    looked_up(at_home, run)
    wait_for(lambda: run.state().visits["confirm_payment"].code == "not-done-yet", "its outcome")
    assert run.status() == "unknown"
    later(at_home)
    wait_for(lambda: run.status() == "cancelled", "the end")
    assert posts(at_home, "/confirm") == 0
    assert at_home.ledger()["charges"] == []


@pytest.mark.parametrize(
    ("outcome", "ends", "code"),
    [("", "succeeded", ""), ("?outcome=fail", "failed", "payment_intent_authentication_failure")],
)
def test_a_payment_that_waits_for_its_customer_is_looked_at_again(
    at_home: House, outcome: str, ends: str, code: str
) -> None:
    """3-D Secure: neither a success nor a failure, until Stripe says which."""
    at_home.worker()
    inputs = at_home.charge_inputs(paymentMethod="pm_card_threeDSecure2Required")
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), inputs)
    assert run.wait(20) == "unknown"
    looked_up(at_home, run)
    intent = run.state().visits["create-payment"].subject
    page = f"{at_home.sandbox.url}/stripe/authenticate/{intent}{outcome}"
    httpx.get(page).raise_for_status()

    def ended() -> bool:
        later(at_home)
        return run.status() == ends

    wait_for(ended, "the end")
    assert run.state().code == code
    assert posts(at_home, "/payment_intents") == 1
    assert len(at_home.ledger()["messages"]) == (ends == "succeeded")
    assert told(run) == booked(at_home)


def test_a_confirmation_that_had_already_succeeded_is_no_failure_of_a_paid_order(
    at_home: House,
) -> None:
    """Stripe has forgotten the key: to the same bytes it says that the intent is paid already."""
    at_home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents/*", "do": "drop_after"},
        {"match": "POST /stripe/v1/payment_intents/*", "do": "status", "status": 400,
         "body": {"error": {"type": "invalid_request_error",
                            "code": "payment_intent_unexpected_state"}}},
    ])  # fmt: skip
    at_home.worker()
    run = at_home.submit(osop_with("pm_card_visa"), {})
    wait_for(lambda: run.status() is Status.UNKNOWN, "the answer")
    later(at_home)
    wait_for(lambda: run.status() == "succeeded", "the end")
    assert len(at_home.ledger()["charges"]) == 1
    assert run.state().visits["create_intent"].number == 1, "no fallback was taken"
    assert told(run) == booked(at_home)


def transfer() -> Plan:
    return plan_of(TOKEN_AND_PAYMENT, "token-then-payment-real")


def open_session(home: House, fault: str) -> Run:
    """Its answer is lost; the token that asked for it is the run's own."""
    home.sandbox.faults({"match": SESSIONS, "do": fault})
    home.worker()
    payer = {"psuName": "Ada Example", "psuEmail": "ada@example.test", "state": "order-1042"}
    run = home.submit(transfer(), home.transfer_inputs(**payer))
    assert run.wait(60) == "unknown"
    return run


def test_a_payment_session_whose_answer_was_lost_is_found_by_the_runs_own_token(
    at_home: House,
) -> None:
    run = open_session(at_home, "drop_after")
    later(at_home)
    wait_for(lambda: run.status() == "succeeded", "the session's being found")
    [payment] = at_home.ledger()["payments"]
    assert run.report().outputs["sessionId"] == payment["session_id"]
    assert posts(at_home, "/pis/v2/connect") == 1


def test_one_payment_session_is_not_found_for_two_runs_of_the_same_words(at_home: House) -> None:
    lost = open_session(at_home, "drop_before")
    other = {"psuName": "Ada Example", "psuEmail": "ada@example.test", "state": "order-1043"}
    told = at_home.submit(transfer(), at_home.transfer_inputs(**other))
    assert told.wait(60) == "succeeded"
    looked_up(at_home, lost)
    wait_for(lambda: lost.state().visits["createPayment"].code == "not-found", "its outcome")
    assert lost.status() == "unknown"
    assert len(at_home.ledger()["payments"]) == 1


def test_a_payment_session_is_not_looked_up_with_a_token_that_is_over(at_home: House) -> None:
    run = open_session(at_home, "drop_after")
    at_home.sandbox.advance(3_600)
    looked_up(at_home, run)
    wait_for(lambda: run.state().visits["createPayment"].code == "not-looked-up", "its outcome")
    assert run.status() == "unknown"
    assert posts(at_home, "/pis/v2/connect") == 1
    assert len(at_home.ledger()["payments"]) == 1

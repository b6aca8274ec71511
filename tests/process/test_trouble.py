"""Published documents through real workers, with providers that make trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.state import Phase
from orchestrator.policy import idempotency
from orchestrator.service import Run, cancel
from tests.process.house import CHARGE_AND_TEXT, DECLINED, House, osop_with, plan_of, wait_for

pytestmark = pytest.mark.process

PUBLISHED_WORDS = "Your payment was received. Thank you for your order."


def charge_and_text(home: House, **inputs: str) -> Run:
    return home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs(**inputs))


def requests_to(home: House, path: str) -> list[dict[str, Any]]:
    return [r for r in home.ledger()["requests"] if r["path"].endswith(path)]


def test_the_published_confirmation_charges_the_amount_and_sends_the_published_words(
    at_home: House,
) -> None:
    at_home.worker()
    inputs = at_home.charge_inputs(amount=4711)
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), inputs)
    assert run.wait(20) == "succeeded"
    (charge,), (message,) = at_home.ledger()["charges"], at_home.ledger()["messages"]
    assert (charge["amount"], charge["currency"]) == (4711, "usd")
    assert (message["to"], message["body"]) == (inputs["toPhone"], PUBLISHED_WORDS)
    outputs = run.report().outputs
    assert outputs == {"paymentId": charge["payment_intent"], "messageSid": message["sid"]}


def test_a_declined_card_fails_the_run_with_its_code_and_texts_nobody(at_home: House) -> None:
    at_home.worker()
    run = charge_and_text(at_home, paymentMethod=DECLINED)
    assert run.wait(20) == "failed"
    error = run.report().as_json()["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["detail"]) == ("card_declined", "insufficient_funds")
    ledger = at_home.ledger()
    assert (ledger["charges"], ledger["messages"]) == ([], [])


def test_declines_that_differ_take_the_fallback_up_to_its_cap_with_a_new_key_each(
    at_home: House,
) -> None:
    at_home.worker()
    at_home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents/*", "do": "status", "status": 402,
         "body": {"error": {"type": "card_error", "code": code}}}
        for code in ("processing_error", "card_declined", "processing_error")
    ])  # fmt: skip
    run = at_home.submit(osop_with(DECLINED), {})
    assert run.wait(20) == "failed"
    keys = [r["key"] for r in requests_to(at_home, "/confirm")]
    assert len(keys) == len(set(keys)) == 3
    assert at_home.ledger()["charges"] == []


def test_after_two_503s_the_same_bytes_go_out_under_the_same_key(at_home: House) -> None:
    at_home.sandbox.faults({
        "match": "POST /stripe/v1/payment_intents",
        "do": "status",
        "status": 503,
        "times": 2,
    })
    at_home.worker()
    assert charge_and_text(at_home).wait(30) == "succeeded"
    requests = requests_to(at_home, "/v1/payment_intents")
    assert [r["status"] for r in requests] == [503, 503, 200]
    assert len({r["key"] for r in requests}) == 1
    assert len({r["sha256"] for r in requests}) == 1
    assert len(at_home.ledger()["charges"]) == 1


def test_a_429_waits_in_the_due_set_as_long_as_asked_and_holds_no_worker(at_home: House) -> None:
    at_home.sandbox.faults({
        "match": "POST /stripe/v1/payment_intents",
        "do": "status",
        "status": 429,
        "headers": {"Retry-After": "6"},
    })
    at_home.worker(concurrency=1)
    slow = charge_and_text(at_home)
    wait_for(lambda: slow.status() == "waiting", "the limited run to wait")
    later = charge_and_text(at_home)
    # Its first step was claimed, and has to wait for the same account.
    wait_for(lambda: later.status() == "waiting", "the only worker to take another run up")
    assert slow.status() == "waiting"
    assert slow.wait(30) == later.wait(30) == "succeeded"
    first, *_, again = [
        r for r in requests_to(at_home, "/v1/payment_intents") if r["key"] == _key(slow)
    ]
    assert again["at"] - first["at"] >= 6
    assert len(at_home.ledger()["charges"]) == 2


def _key(run: Run) -> str:
    return idempotency.key(run.id, "create-payment", 1)


def test_a_text_whose_answer_was_dropped_is_never_sent_again(at_home: House) -> None:
    at_home.sandbox.faults({"match": "POST /twilio/*", "do": "drop_after"})
    at_home.worker()
    run = charge_and_text(at_home)
    assert run.wait(20) == "unknown"
    assert run.state().visits["send-confirmation"].phase is Phase.UNKNOWN
    ledger = at_home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (1, 1)
    assert len(requests_to(at_home, "/Messages.json")) == 1


def test_a_charge_whose_answer_was_dropped_is_replayed_not_repeated(at_home: House) -> None:
    at_home.sandbox.faults({"match": "POST /stripe/v1/payment_intents", "do": "drop_after"})
    at_home.worker()
    assert charge_and_text(at_home).wait(20) == "succeeded"
    ledger = at_home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (1, 1)
    assert len(requests_to(at_home, "/v1/payment_intents")) == 2


def test_a_payment_that_needs_the_customer_is_unknown_not_failed(at_home: House) -> None:
    at_home.worker()
    run = charge_and_text(at_home, paymentMethod="pm_card_threeDSecure2Required")
    assert run.wait(20) == "unknown"
    assert run.report().error_code == "requires_action"


def test_a_refused_key_pauses_the_provider_and_fails_nobody(at_home: House) -> None:
    at_home.environ["STRIPE_SECRET_KEY"] = "sk_test_of_somebody_else"
    at_home.worker()
    runs = [charge_and_text(at_home) for _ in range(3)]
    wait_for(lambda: all(r.status() == "waiting" for r in runs), "all runs to wait")
    assert at_home.ledger()["charges"] == []
    # The pause is everybody's: once one was refused, the others do not ask.
    assert len(requests_to(at_home, "/v1/payment_intents")) <= 2


def test_cancelled_while_charging_the_charge_is_recorded_and_no_text_follows(
    at_home: House,
) -> None:
    at_home.sandbox.faults({"match": "POST /stripe/v1/payment_intents", "do": "latency", "ms": 700})
    at_home.worker()
    run = charge_and_text(at_home)
    wait_for(lambda: run.state().visits["create-payment"].phase is Phase.CALLING, "the call")
    cancel(at_home.wiring.core, run.id, by="a test", reason="the customer left")
    assert run.wait(20) == "cancelled"
    assert run.state().visits["create-payment"].phase is Phase.SUCCEEDED
    ledger = at_home.ledger()
    assert (len(ledger["charges"]), ledger["messages"]) == (1, [])


def test_a_finished_run_leaves_a_celery_result_under_its_id(at_home: House) -> None:
    at_home.worker()
    good, bad = charge_and_text(at_home), charge_and_text(at_home, paymentMethod=DECLINED)
    app = at_home.wiring.app
    brief = app.AsyncResult(good.id).get(timeout=20)
    assert brief == {"run": good.id, "state": "succeeded", "code": ""}
    with pytest.raises(Exception, match="card_declined"):
        app.AsyncResult(bad.id).get(timeout=20)
    assert app.AsyncResult(bad.id).state == "FAILURE"


def test_a_runs_own_wrong_key_fails_that_run_and_stops_nobody_else(
    at_home: House, tmp_path: Path
) -> None:
    """A key that comes with the run's values is not the house's account."""
    at_home.worker()
    edited = tmp_path / CHARGE_AND_TEXT.name
    key = "{name: Authorization, in: header, value: 'Bearer {$inputs.currency}'}"
    own = f"        parameters: [{key}]\n"
    marker = "        requestBody:\n"
    edited.write_text(CHARGE_AND_TEXT.read_text().replace(marker, own + marker, 1))
    wrong = at_home.submit(plan_of(edited), at_home.charge_inputs(currency="sk_test_typo"))
    assert wrong.wait(20) == "failed"
    right = charge_and_text(at_home)
    assert right.wait(20) == "succeeded"
    assert not any(event.kind == "limited" for event in right.history())

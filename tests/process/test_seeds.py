"""The four published workflows, in both worlds of the sandbox, by real workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.engine.effects import Effect
from orchestrator.expressions.nodes import Json
from orchestrator.service import Report
from tests.process.house import (
    CHARGE_AND_TEXT,
    DUNNING,
    OSOP_PAYMENT,
    TOKEN_AND_PAYMENT,
    House,
    house,
    plan_of,
)

pytestmark = pytest.mark.process

PAYER: dict[str, Json] = {
    "psuName": "Ada Payer", "psuEmail": "ada@payer.example", "state": "order-1042",
}  # fmt: skip


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("documented"), world="documented") as home:
        home.worker()
        yield home


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("real")) as home:
        home.worker()
        yield home


def run(home: House, file: Path, inputs: dict[str, Json], *overlays: str) -> Report:
    home.sandbox.reset()
    found = home.submit(plan_of(file, *overlays), inputs)
    found.wait(30)
    return found.report()


def texts(home: House) -> list[str]:
    ledger = home.ledger()
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    return [message["body"] for message in ledger["messages"]]


@pytest.mark.parametrize("world", ["documented", "real"])
def test_a_charge_is_confirmed_by_a_text(world: str, request: pytest.FixtureRequest) -> None:
    home: House = request.getfixturevalue(world)
    report = run(home, CHARGE_AND_TEXT, home.charge_inputs())
    assert report.state == "succeeded"
    [charge] = home.ledger()["charges"]
    assert charge["payment_intent"] == report.outputs["paymentId"]
    assert len(texts(home)) == 1


@pytest.mark.parametrize("world", ["documented", "real"])
def test_a_receipt_is_written_from_the_payments_facts(
    world: str, request: pytest.FixtureRequest
) -> None:
    home: House = request.getfixturevalue(world)
    home.sandbox.reset()
    found = home.submit(plan_of(OSOP_PAYMENT), {})
    assert found.wait(30) == "succeeded"
    assert [step.state for step in found.report().steps] == ["succeeded"] * 5
    outputs = home.wiring.core.journal.outputs(
        found.id, ["create_customer", "create_intent", "check_status", "send_receipt"]
    )
    receipt = str(outputs["send_receipt"]["text"])
    assert str(outputs["create_intent"]["intent_id"]) in receipt
    assert str(outputs["create_customer"]["customer_id"]) in receipt
    assert "succeeded" in receipt
    assert str(outputs["create_intent"]["client_secret"]) not in receipt
    ledger = home.ledger()
    assert len(ledger["charges"]) == len(ledger["generations"]) == 1


def test_as_documented_a_failed_payment_is_dunned_by_a_text_with_its_id(documented: House) -> None:
    report = run(documented, DUNNING, documented.dunning_inputs())
    assert report.state == "succeeded"
    [text] = texts(documented)
    assert str(report.outputs["paymentId"]) in text
    assert "$" not in text
    assert documented.ledger()["charges"] == []


def test_as_documented_a_token_makes_a_payment(documented: House) -> None:
    report = run(documented, TOKEN_AND_PAYMENT, documented.transfer_inputs())
    assert report.state == "succeeded"
    assert report.outputs["status"]
    [payment] = documented.ledger()["payments"]
    assert payment["session_id"] == report.outputs["sessionId"]


def test_in_reality_the_published_dunning_fails_and_texts_nobody(real: House) -> None:
    report = run(real, DUNNING, real.dunning_inputs())
    assert (report.state, report.error_code) == ("failed", "card_declined")
    assert texts(real) == []


def test_in_reality_the_published_dunning_fails_who_paid_and_says_what_stands(real: House) -> None:
    """A failed run whose customer was charged must not look as if nothing had happened."""
    report = run(real, DUNNING, real.dunning_inputs(paymentMethod="pm_card_visa"))
    assert (report.state, report.error_code) == ("failed", "criteria-not-met")
    [charge] = real.ledger()["charges"]
    [effect] = report.effects
    assert effect == Effect(
        step="attempt-payment", what="charged", id=charge["payment_intent"],
        amount=charge["amount"], currency=charge["currency"],
    )  # fmt: skip
    sum_of_it = f"{charge['amount'] / 100:.2f} {charge['currency'].upper()}"
    stands = f"but charged {sum_of_it} {charge['payment_intent']} (attempt-payment)"
    assert report.stands() == stands


def test_in_reality_the_published_transfer_fails_for_want_of_the_payer(real: House) -> None:
    report = run(real, TOKEN_AND_PAYMENT, real.transfer_inputs())
    assert (report.state, report.error_code) == ("failed", "mandatory_field_missing")
    assert real.ledger()["payments"] == []


def test_in_reality_the_overlaid_dunning_texts_who_was_declined(real: House) -> None:
    report = run(real, DUNNING, real.dunning_inputs(), "failed-payment-dunning-real")
    assert report.state == "succeeded"
    [text] = texts(real)
    assert str(report.outputs["declinedPaymentId"]) in text
    assert "$" not in text
    assert real.ledger()["charges"] == []


def test_in_reality_the_overlaid_dunning_texts_nobody_who_paid(real: House) -> None:
    inputs = real.dunning_inputs(paymentMethod="pm_card_visa")
    report = run(real, DUNNING, inputs, "failed-payment-dunning-real")
    assert report.state == "succeeded"
    assert texts(real) == []
    [charge] = real.ledger()["charges"]
    assert charge["payment_intent"] == report.outputs["paymentId"]


def test_in_reality_the_overlaid_transfer_is_made(real: House) -> None:
    inputs = real.transfer_inputs(**PAYER)
    report = run(real, TOKEN_AND_PAYMENT, inputs, "token-then-payment-real")
    assert report.state == "succeeded"
    assert report.outputs["status"] in {"provider_required", "payment_pending", "payment_created"}
    assert len(real.ledger()["payments"]) == 1


def test_a_card_that_is_always_declined_does_not_burn_the_loops_whole_cap(
    real: House, tmp_path: Path
) -> None:
    """The fallback makes another intent and confirms it by the same card: tried once more, at
    most, and not at all when Stripe says that the decline lasts."""
    calls = {}
    for card in ("pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclinedLostCard"):
        edited = tmp_path / f"{card}.osop.yaml"
        edited.write_text(OSOP_PAYMENT.read_text().replace("pm_card_visa", card))
        report = run(real, edited, {})
        assert report.state == "failed"
        confirms = [r for r in real.ledger()["requests"] if r["path"].endswith("/confirm")]
        calls[card] = len(confirms)
    assert list(calls.values()) == [2, 1]

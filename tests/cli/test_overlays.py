"""Documents that reality contradicts fail, name their overlay, and pass with it."""

from __future__ import annotations

import json

import pytest

from orchestrator.formats.load import specs_folder
from tests.cli.conftest import DECLINED, Shell

pytestmark = pytest.mark.process

PUBLISHED = specs_folder() / "published"
PAYER = {"psuName": "Ada Payer", "psuEmail": "ada@payer.example", "state": "order-1042"}


def dunning(durazzo: Shell, card: str) -> list[str]:
    words = durazzo.order(paymentMethod=card)
    inputs = " ".join(words[1:]).replace("toPhone", "toNumber").replace("fromPhone", "fromNumber")
    file = PUBLISHED / "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
    return [str(file), *inputs.split(" ")]


def transfer(durazzo: Shell, **more: str) -> list[str]:
    inputs = {
        "clientId": durazzo.environ["FINTECTURE_APP_ID"],
        "clientSecret": durazzo.environ["FINTECTURE_APP_SECRET"],
        "amount": "149.30", "currency": "EUR", "communication": "Order 1042",
        "requestId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", **more,
    }  # fmt: skip
    file = PUBLISHED / "fintecture-token-then-payment-workflow.yml"
    return [str(file), "--inputs", json.dumps(inputs)]


@pytest.mark.parametrize(
    ("overlay", "code"),
    [
        ("failed-payment-dunning-real", "card_declined"),
        ("token-then-payment-real", "mandatory_field_missing"),
    ],
)
def test_a_published_document_fails_by_a_diagnostic_that_names_its_overlay(
    durazzo: Shell, overlay: str, code: str
) -> None:
    words = dunning(durazzo, DECLINED) if "dunning" in overlay else transfer(durazzo)
    done = durazzo("run", *words, "--json")
    assert (done.code, done.json["error"]["code"]) == (1, code)
    [named] = [d for d in done.json["diagnostics"] if d["code"] == "overlay-available"]
    assert f"--overlay {overlay}" in named["message"]
    assert f"--overlay {overlay}" in done.err
    assert durazzo.effects() == (0, 0)


def test_with_its_overlay_the_dunning_does_its_job(durazzo: Shell) -> None:
    overlay = ("--overlay", "failed-payment-dunning-real", "--json")
    declined = durazzo("run", *dunning(durazzo, DECLINED), *overlay)
    assert declined.code == 0
    assert durazzo.effects() == (0, 1)
    paid = durazzo("run", *dunning(durazzo, "pm_card_visa"), *overlay)
    assert paid.code == 0
    assert durazzo.effects() == (1, 1)
    assert "overlay-available" not in {d["code"] for d in paid.json["diagnostics"]}


def test_with_its_overlay_the_transfer_is_made_and_its_token_is_shown_only_on_demand(
    durazzo: Shell,
) -> None:
    words = [*transfer(durazzo, **PAYER), "--overlay", "token-then-payment-real", "--json"]
    done = durazzo("run", *words)
    assert done.code == 0
    assert done.json["outputs"]["accessToken"] == "[secret]"
    revealed = durazzo("run", *words, "--reveal")
    token = revealed.json["outputs"]["accessToken"]
    assert len(token) > 20
    shown = durazzo("show", revealed.json["run"], "--outputs", "--events")
    assert token not in shown.out + shown.err

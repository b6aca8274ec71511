"""Payment intents that are changed after they were made."""

from __future__ import annotations

import httpx
import pytest

from ops.sandbox.server import BackgroundSandbox

INTENTS = "/v1/payment_intents"
BARE = {"amount": "2000", "currency": "usd"}
GOOD = BARE | {"confirm": "true", "payment_method": "pm_card_visa"}


def path_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return f"{INTENTS}/{answer.json()['id']}"


def test_an_intent_is_changed_and_its_new_amount_is_charged(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE | {"description": "Shoes"}))
    changes = {"amount": "1500", "currency": "EUR", "description": "", "receipt_email": "a@b.test"}
    answer = stripe.post(path, data=changes)
    intent = answer.json()
    assert (answer.status_code, intent["status"]) == (200, "requires_payment_method")
    assert (intent["amount"], intent["currency"]) == (1500, "eur")
    assert (intent["description"], intent["receipt_email"]) == (None, "a@b.test")
    assert stripe.get(path).json() == intent
    stripe.post(f"{path}/confirm", data={"payment_method": "pm_card_visa"})
    charges = sandbox.ledger()["charges"]
    assert [(charge["amount"], charge["currency"]) for charge in charges] == [(1500, "eur")]


def test_a_payment_method_is_given_and_taken_back(stripe: httpx.Client) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE))
    given = stripe.post(path, data={"payment_method": "pm_card_visa"}).json()
    assert given["status"] == "requires_confirmation"
    assert given["payment_method"].startswith("pm_")
    taken = stripe.post(path, data={"payment_method": ""}).json()
    assert (taken["status"], taken["payment_method"]) == ("requires_payment_method", None)


def test_metadata_is_laid_over_what_is_there(stripe: httpx.Client) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE | {"metadata[a]": "1", "metadata[b]": "2"}))

    def after(changes: dict[str, str]) -> dict[str, str]:
        metadata: dict[str, str] = stripe.post(path, data=changes).json()["metadata"]
        return metadata

    assert after({"description": "x"}) == {"a": "1", "b": "2"}
    assert after({"metadata[b]": "", "metadata[c]": "3"}) == {"a": "1", "c": "3"}
    assert after({"metadata": ""}) == {}


def test_a_customer_is_named_once(stripe: httpx.Client) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE))
    missing = stripe.post(path, data={"customer": "cus_x"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "resource_missing")
    customer = stripe.post("/v1/customers").json()["id"]
    assert stripe.post(path, data={"customer": customer}).json()["customer"] == customer
    again = stripe.post(path, data={"customer": customer})
    assert again.status_code == 400
    assert "cannot modify `customer`" in again.json()["error"]["message"]


def test_another_amount_has_to_be_confirmed_anew(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    card = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.test/"}
    made = stripe.post(INTENTS, data=GOOD | card)
    url = made.json()["next_action"]["redirect_to_url"]["url"]
    changed = stripe.post(path_of(made), data={"amount": "9000"}).json()
    assert (changed["status"], changed["next_action"]) == ("requires_confirmation", None)
    assert httpx.get(url, trust_env=False).status_code == 404
    assert sandbox.summary()["charges"] == 0


@pytest.mark.parametrize("ended", ["succeeded", "canceled"])
def test_what_is_over_keeps_its_terms_and_takes_notes(stripe: httpx.Client, ended: str) -> None:
    path = path_of(stripe.post(INTENTS, data=GOOD if ended == "succeeded" else BARE))
    if ended == "canceled":
        stripe.post(f"{path}/cancel")
    before = stripe.get(path).json()
    late = stripe.post(path, data={"amount": "1", "description": "x"})
    error = late.json()["error"]
    assert (late.status_code, error["code"]) == (400, "payment_intent_unexpected_state")
    assert error["message"].startswith(
        f"This PaymentIntent's amount could not be updated because it has a status of {ended}."
    )
    assert error["payment_intent"] == before
    noted = stripe.post(path, data={"metadata[seen]": "yes"}).json()
    assert noted == before | {"metadata": {"seen": "yes"}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": "49"}, "amount_too_small"),
        ({"amount": "0"}, "parameter_invalid_integer"),
        ({"currency": "czk", "amount": "1499"}, "amount_too_small"),
        ({"currency": "huf"}, "amount_too_small"),
        ({"currency": "xyz"}, None),
        ({"amount": ""}, "parameter_invalid_empty"),
        ({"payment_method": "pm_x"}, "resource_missing"),
        ({"metadata": "x"}, None),
        ({"confirm": "true"}, "parameter_unknown"),
        ({"off_session": "true"}, "parameter_unknown"),
    ],
)
def test_a_wrong_change_changes_nothing(
    stripe: httpx.Client, change: dict[str, str], code: str | None
) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE))
    before = stripe.get(path).json()
    answer = stripe.post(path, data={"description": "x", **change})
    assert (answer.status_code, answer.json()["error"].get("code")) == (400, code)
    assert stripe.get(path).json() == before


def test_what_is_not_there_is_not_changed(stripe: httpx.Client) -> None:
    answer = stripe.post(f"{INTENTS}/pi_x", data={"description": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


def test_a_change_under_a_key_is_made_once(stripe: httpx.Client) -> None:
    path = path_of(stripe.post(INTENTS, data=BARE))
    key = {"Idempotency-Key": "k"}
    first = stripe.post(path, data={"amount": "1000"}, headers=key)
    stripe.post(path, data={"amount": "3000"})
    again = stripe.post(path, data={"amount": "1000"}, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert stripe.get(path).json()["amount"] == 3000

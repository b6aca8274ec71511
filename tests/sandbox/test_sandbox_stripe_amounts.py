"""What Stripe takes money for, and what only goes with a confirmation."""

from __future__ import annotations

import httpx
import pytest

from ops.sandbox.server import BackgroundSandbox

INTENTS = "/v1/payment_intents"
BARE = {"amount": "2000", "currency": "usd"}
GOOD = BARE | {"confirm": "true", "payment_method": "pm_card_visa"}


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("50", "usd"),
        ("30", "GBP"),
        ("50", "jpy"),
        ("1500", "czk"),
        ("1", "krw"),
        ("1", "isk"),
        ("99999999", "usd"),
    ],
)
def test_the_least_and_the_most_are_charged(
    stripe: httpx.Client, amount: str, currency: str
) -> None:
    answer = stripe.post(INTENTS, data=GOOD | {"amount": amount, "currency": currency})
    assert (answer.status_code, answer.json()["amount_received"]) == (200, int(amount))
    assert answer.json()["currency"] == currency.lower()


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ("49 usd", "amount_too_small", "Amount must be at least $0.50 usd"),
        ("29 gbp", "amount_too_small", "Amount must be at least £0.30 gbp"),
        ("49 jpy", "amount_too_small", "Amount must be at least ¥50 jpy"),
        ("17499 huf", "amount_too_small", "Amount must be at least 175.00 huf"),
        ("100000000 usd", "amount_too_large", "Amount must be no more than $999,999.99"),
        ("100000000 krw", "amount_too_large", "Amount must be no more than 99,999,999"),
    ],
)
def test_less_or_more_is_refused(
    stripe: httpx.Client, sandbox: BackgroundSandbox, asked: str, code: str, message: str
) -> None:
    amount, currency = asked.split()
    answer = stripe.post(INTENTS, data=GOOD | {"amount": amount, "currency": currency})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"], error["message"]) == (code, "amount", message)
    assert sandbox.summary()["charges"] == 0


@pytest.mark.parametrize("currency", ["xyz", "XYZ", "us", "null"])
def test_an_unknown_currency_is_named_beside_known_ones(
    stripe: httpx.Client, currency: str
) -> None:
    answer = stripe.post(INTENTS, data=GOOD | {"currency": currency})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == "currency"
    assert error["message"].startswith(
        f"Invalid currency: {currency.lower()}. Stripe currently supports these currencies: usd, "
    )


@pytest.mark.parametrize("confirm", [{}, {"confirm": "false"}])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("off_session", "true"),
        ("off_session", "false"),
        ("return_url", "https://shop.test/"),
        ("error_on_requires_action", "true"),
        ("mandate_data[customer_acceptance][type]", "offline"),
    ],
)
def test_terms_of_a_confirmation_need_one(
    stripe: httpx.Client, confirm: dict[str, str], name: str, value: str
) -> None:
    answer = stripe.post(INTENTS, data=BARE | confirm | {name: value})
    error = answer.json()["error"]
    param = name.partition("[")[0]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param
    assert f"`{param}`" in error["message"]
    assert "`confirm`" in error["message"]
    assert stripe.get(INTENTS).json()["data"] == [], "nothing was made"


def test_off_session_with_a_confirmation_is_charged(stripe: httpx.Client) -> None:
    assert stripe.post(INTENTS, data=GOOD | {"off_session": "true"}).status_code == 200
    path = f"{INTENTS}/{stripe.post(INTENTS, data=BARE).json()['id']}/confirm"
    later = {"payment_method": "pm_card_visa", "off_session": "true"}
    assert stripe.post(path, data=later).json()["status"] == "succeeded"

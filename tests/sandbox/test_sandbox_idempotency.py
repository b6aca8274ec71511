from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ops.sandbox.server import BackgroundSandbox

GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
DECLINED = GOOD | {"payment_method": "pm_card_visa_chargeDeclined"}
INTENTS = "/v1/payment_intents"

KEY = {"Idempotency-Key": "k-1"}
DAY = 24 * 3600


@pytest.mark.parametrize(("form", "status"), [(GOOD, 200), (DECLINED, 402)])
def test_a_repeated_call_gets_the_first_answer_word_for_word(
    stripe: httpx.Client, sandbox: BackgroundSandbox, form: dict[str, str], status: int
) -> None:
    first = stripe.post(INTENTS, data=form, headers=KEY)
    again = stripe.post(INTENTS, data=form, headers=KEY)
    assert first.status_code == again.status_code == status
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"] == "k-1"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    assert again.headers["Request-Id"] != first.headers["Request-Id"]
    assert again.headers.get("Stripe-Should-Retry") == first.headers.get("Stripe-Should-Retry")
    assert sandbox.summary()["charges"] == (status == 200)
    assert [row["executed"] for row in sandbox.ledger()["requests"]] == [True, False]


def test_the_order_of_parameters_does_not_matter_to_a_key(stripe: httpx.Client) -> None:
    first = stripe.post(INTENTS, data=GOOD, headers=KEY)
    backwards = dict(reversed(GOOD.items()))
    assert stripe.post(INTENTS, data=backwards, headers=KEY).content == first.content


def test_a_key_with_other_parameters_or_another_path_is_an_error(stripe: httpx.Client) -> None:
    stripe.post(INTENTS, data=GOOD, headers=KEY)
    for path, form in ((INTENTS, GOOD | {"amount": "1"}), ("/v1/customers", GOOD)):
        answer = stripe.post(path, data=form, headers=KEY)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "idempotency_error"
        assert "'k-1'" in answer.json()["error"]["message"]


def test_a_key_in_flight_is_409_and_then_replayed(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "POST *", "do": "latency", "ms": 150})
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(stripe.post, INTENTS, data=GOOD, headers=KEY)
        while sandbox.summary()["requests"] == 0:
            pass
        busy = stripe.post(INTENTS, data=GOOD, headers=KEY)
        assert busy.status_code == 409
        assert busy.json()["error"]["code"] == "idempotency_key_in_use"
        assert slow.result().status_code == 200
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).content == slow.result().content
    assert sandbox.summary()["charges"] == 1


def test_a_refusal_leaves_the_key_free(stripe: httpx.Client, sandbox: BackgroundSandbox) -> None:
    assert stripe.post(INTENTS, data=GOOD | {"amount": "x"}, headers=KEY).status_code == 400
    wrong = KEY | {"Authorization": "Bearer sk_test_wrong"}
    assert stripe.post(INTENTS, data=GOOD, headers=wrong).status_code == 401
    sandbox.faults({"match": "POST *", "do": "status", "status": 429})
    limited = stripe.post(INTENTS, data=GOOD, headers=KEY)
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limit")
    paid = stripe.post(INTENTS, data=GOOD, headers=KEY)
    assert paid.status_code == 200
    assert "Idempotent-Replayed" not in paid.headers


def test_a_stored_500_is_replayed_and_nothing_is_charged(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "POST *", "do": "stored_status"})
    first = stripe.post(INTENTS, data=GOOD, headers=KEY)
    again = stripe.post(INTENTS, data=GOOD, headers=KEY)
    assert first.status_code == again.status_code == 500
    assert first.json()["error"]["type"] == "api_error"
    assert first.content == again.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert sandbox.summary()["charges"] == 0


def test_a_key_is_forgotten_after_a_day_and_the_books_notice(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    first = stripe.post(INTENTS, data=GOOD, headers=KEY).json()
    sandbox.advance(DAY - 1)
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).json() == first
    sandbox.advance(1)
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).json()["id"] != first["id"]
    assert sandbox.ledger()["duplicates"] == {"charges": 1, "messages": 0}


def test_a_key_on_a_get_has_no_effect(stripe: httpx.Client) -> None:
    paid = stripe.post(INTENTS, data=GOOD).json()
    fetched = stripe.get(f"{INTENTS}/{paid['id']}", headers=KEY)
    assert "Idempotency-Key" not in fetched.headers
    assert stripe.get(INTENTS, headers=KEY).status_code == 200
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).status_code == 200


@pytest.mark.parametrize(("key", "status"), [(b"k" * 255, 200), (b"k" * 256, 400), (b"\xff", 400)])
def test_a_key_is_ascii_and_at_most_255_characters_long(
    stripe: httpx.Client, key: bytes, status: int
) -> None:
    answer = stripe.post(INTENTS, data=GOOD, headers={b"Idempotency-Key": key})
    assert answer.status_code == status


def test_two_writes_on_one_payment_do_not_overlap(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    intent = stripe.post(INTENTS, data=GOOD | {"confirm": "false"}).json()
    confirm = f"{INTENTS}/{intent['id']}/confirm"
    sandbox.faults({"match": "*/confirm", "do": "latency", "ms": 150})
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(stripe.post, confirm, headers=KEY)
        while sandbox.summary()["requests"] == 1:
            pass
        locked = stripe.post(confirm, headers={"Idempotency-Key": "k-2"})
        assert (locked.status_code, locked.json()["error"]["code"]) == (429, "lock_timeout")
        assert slow.result().json()["status"] == "succeeded"
    later = stripe.post(confirm, headers={"Idempotency-Key": "k-2"})
    assert later.json()["error"]["code"] == "payment_intent_unexpected_state"
    assert sandbox.summary()["charges"] == 1

from __future__ import annotations

import hashlib
from collections.abc import Callable

import httpx
import pytest

from ops.sandbox.books import Arrival, Books, Charge, Text
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import TWILIO_ACCOUNT_SID, Settings

GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
DECLINED = GOOD | {"payment_method": "pm_card_visa_chargeDeclined"}
TEXT = {"To": "+15551230001", "From": "+15005550006", "Body": "Your payment was received."}
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, where the manual clock stands
INTENTS = "/v1/payment_intents"
MESSAGES = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}/Messages.json"


def _charge(name: str, *, key: str | None = None, **metadata: str) -> Charge:
    return Charge(
        payment_intent=name,
        charge="ch",
        amount=1,
        currency="usd",
        key=key,
        customer=None,
        metadata=metadata,
        created=0,
    )


def _duplicates(*charges: Charge) -> list[str | None]:
    books = Books(keep_requests=1)
    for charge in charges:
        books.charged(charge)
    rows = books.ledger(now=0, with_requests=False)["charges"]
    assert isinstance(rows, list)
    return [row["duplicate_of"] for row in rows]


@pytest.mark.parametrize(
    ("second", "of"),
    [
        (_charge("b", key="k"), "a"),
        (_charge("b", run="1", step="s"), "a"),
        (_charge("b", key="other", step="s", run="1"), "a"),
        (_charge("b", run="1"), None),
        (_charge("b", run="2", step="s"), None),
        (_charge("b", key="other"), None),
        (_charge("b"), None),
    ],
)
def test_a_duplicate_charge_has_the_key_or_all_the_metadata_of_an_earlier_one(
    second: Charge, of: str | None
) -> None:
    assert _duplicates(_charge("a", key="k", run="1", step="s"), second) == [None, of]


def test_charges_without_key_and_metadata_cannot_be_told_apart() -> None:
    assert _duplicates(_charge("a"), _charge("b")) == [None, None]


def test_every_further_charge_is_a_duplicate_of_the_first() -> None:
    assert _duplicates(*(_charge(n, key="k") for n in "abc")) == [None, "a", "a"]


def test_a_duplicate_text_has_the_numbers_and_the_words_of_an_earlier_one() -> None:
    books = Books(keep_requests=1)
    words = [("+1", "+2", "Hi"), ("+1", "+2", "Ho"), ("+3", "+2", "Hi"), ("+1", "+2", "Hi")]
    for number, (to, sender, body) in enumerate(words):
        books.sent(Text(sid=str(number), to=to, sender=sender, body=body, created=0))
    ledger = books.ledger(now=0, with_requests=False)
    assert ledger["duplicates"] == {"charges": 0, "messages": 1}
    assert [row["duplicate_of"] for row in ledger["messages"]] == [None, None, None, "0"]  # type: ignore[attr-defined]


def test_the_oldest_requests_are_dropped_and_counted() -> None:
    books = Books(keep_requests=2)
    for path in "abc":
        books.arrived(Arrival(method="GET", path=path, key=None, at=0, digest=b""))
    ledger = books.ledger(now=0, with_requests=True)
    assert [row["path"] for row in ledger["requests"]] == ["b", "c"]  # type: ignore[attr-defined]
    assert ledger["requests_dropped"] == 1
    assert books.summary()["requests"] == 3


def test_the_ledger_tells_what_was_charged_and_sent_and_asked(
    stripe: httpx.Client, twilio: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    customer = stripe.post("/v1/customers").json()["id"]
    form = GOOD | {"metadata[run]": "r1", "customer": customer}
    intent = stripe.post(INTENTS, data=form, headers={"Idempotency-Key": "k"}).json()
    stripe.post(INTENTS, data=DECLINED)
    sid = twilio.post(MESSAGES, data=TEXT).json()["sid"]
    ledger = sandbox.ledger()
    assert ledger["charges"] == [
        {
            "payment_intent": intent["id"],
            "charge": intent["latest_charge"],
            "amount": 2000,
            "currency": "usd",
            "status": "succeeded",
            "key": "k",
            "customer": customer,
            "metadata": {"run": "r1"},
            "created": NOON,
            "duplicate_of": None,
        }
    ]
    assert ledger["messages"] == [
        {
            "sid": sid,
            "to": TEXT["To"],
            "from": TEXT["From"],
            "body": TEXT["Body"],
            "created": NOON,
            "duplicate_of": None,
        }
    ]
    asked = [(row["method"], row["path"], row["status"], row["key"]) for row in ledger["requests"]]
    assert asked == [
        ("POST", "/stripe/v1/customers", 200, None),
        ("POST", f"/stripe{INTENTS}", 200, "k"),
        ("POST", f"/stripe{INTENTS}", 402, None),
        ("POST", f"/twilio{MESSAGES}", 201, None),
    ]
    assert all(row["executed"] and row["fault"] is None for row in ledger["requests"])
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    assert ledger["requests_dropped"] == 0


def test_two_charges_with_one_metadata_are_found_over_http(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    for key in ("k-1", "k-2"):
        form = GOOD | {"metadata[run]": "r1"}
        stripe.post(INTENTS, data=form, headers={"Idempotency-Key": key})
    assert sandbox.ledger()["duplicates"]["charges"] == 1


def test_identical_bytes_have_identical_digests(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    bodies = [b"amount=1&currency=usd", b"amount=1&currency=usd", b"currency=usd&amount=1", b""]
    for body in bodies:
        stripe.post(INTENTS, content=body, headers=form)
    digests = [row["sha256"] for row in sandbox.ledger()["requests"]]
    assert digests == [hashlib.sha256(body).hexdigest() for body in bodies]


def test_the_ledger_comes_without_requests_or_as_counts(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    stripe.post(INTENTS, data=GOOD)
    assert "requests" not in sandbox.ledger(requests=False)
    assert sandbox.summary() == {
        "world": "real",
        "charges": 1,
        "messages": 0,
        "payments": 0,
        "generations": 0,
        "requests": 1,
        "requests_dropped": 0,
        "duplicates": {"charges": 0, "messages": 0},
    }


def test_a_reset_forgets_books_objects_keys_faults_and_time(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    key = {"Idempotency-Key": "k"}
    intent = stripe.post(INTENTS, data=GOOD, headers=key).json()
    sandbox.faults({"match": "*", "do": "drop_before", "times": None})
    sandbox.advance(3600)
    sandbox.reset()
    assert sandbox.ledger()["requests"] == []
    assert stripe.get(f"{INTENTS}/{intent['id']}").status_code == 404
    again = stripe.post(INTENTS, data=GOOD, headers=key)
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["created"] == int(NOON)
    assert sandbox.ledger()["duplicates"]["charges"] == 0


def test_what_is_too_long_is_refused_and_written_down(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = stripe.post(INTENTS, content=b"x" * (1024**2 + 1), headers=form)
    assert answer.status_code == 413
    assert [row["status"] for row in sandbox.ledger()["requests"]] == [413]


def test_a_full_sandbox_takes_no_more_rather_than_forget(
    stripe_of: Callable[[BackgroundSandbox], httpx.Client],
) -> None:
    with BackgroundSandbox(Settings(capacity=1)) as sandbox, stripe_of(sandbox) as client:
        assert client.post("/v1/customers").status_code == 200
        assert client.post("/v1/customers").status_code == 503
        assert client.get(INTENTS).status_code == 200

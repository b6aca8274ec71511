from __future__ import annotations

import time

import httpx
import pytest

from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import TWILIO_ACCOUNT_SID

GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
TEXT = {"To": "+15551230001", "From": "+15005550006", "Body": "Your payment was received."}
INTENTS = "/v1/payment_intents"
MESSAGES = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}/Messages.json"

KEY = {"Idempotency-Key": "k-1"}


def _faults(sandbox: BackgroundSandbox, document: object) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/faults", json=document, trust_env=False)


def test_drop_after_charges_once_and_says_nothing(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "POST /stripe/v1/payment_intents", "do": "drop_after"})
    with pytest.raises(httpx.TransportError):
        stripe.post(INTENTS, data=GOOD, headers=KEY)
    ledger = sandbox.ledger()
    assert len(ledger["charges"]) == 1
    (row,) = ledger["requests"]
    assert (row["status"], row["executed"], row["fault"]) == (None, True, "drop_after")
    again = stripe.post(INTENTS, data=GOOD, headers=KEY)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == ledger["charges"][0]["payment_intent"]
    assert sandbox.summary()["charges"] == 1


def test_drop_after_sends_the_text_and_says_nothing(
    twilio: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "POST /twilio/*", "do": "drop_after"})
    with pytest.raises(httpx.TransportError):
        twilio.post(MESSAGES, data=TEXT)
    found = twilio.get(MESSAGES, params={"To": TEXT["To"]}).json()["messages"]
    assert [message["body"] for message in found] == [TEXT["Body"]]
    assert sandbox.summary()["messages"] == 1


def test_drop_before_does_nothing(stripe: httpx.Client, sandbox: BackgroundSandbox) -> None:
    sandbox.faults({"match": "*", "do": "drop_before"})
    with pytest.raises(httpx.TransportError):
        stripe.post(INTENTS, data=GOOD, headers=KEY)
    (row,) = sandbox.ledger()["requests"]
    assert (row["status"], row["executed"], row["fault"]) == (None, False, "drop_before")
    assert sandbox.summary()["charges"] == 0
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).status_code == 200


def test_a_status_is_answered_with_the_body_and_headers_that_were_given(
    stripe: httpx.Client, twilio: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults([
        {
            "match": "POST /stripe/*",
            "do": "status",
            "status": 503,
            "body": {"oh": "no"},
            "headers": {"Retry-After": "7"},
        },
        {"match": "POST /twilio/*", "do": "status", "status": 429},
    ])
    given = stripe.post(INTENTS, data=GOOD)
    assert (given.status_code, given.json()) == (503, {"oh": "no"})
    assert given.headers["Retry-After"] == "7"
    usual = twilio.post(MESSAGES, data=TEXT)
    assert (usual.status_code, usual.json()["code"]) == (429, 20429)
    assert sandbox.summary()["charges"] == sandbox.summary()["messages"] == 0


def test_latency_waits_before_or_after(stripe: httpx.Client, sandbox: BackgroundSandbox) -> None:
    for after in (False, True):
        sandbox.faults({"match": "*", "do": "latency", "ms": 60, "after": after})
        begun = time.monotonic()
        assert stripe.post(INTENTS, data=GOOD).status_code == 200
        assert time.monotonic() - begun >= 0.06
    assert [row["fault"] for row in sandbox.ledger()["requests"]] == ["latency"] * 2


def test_a_client_that_gives_up_is_charged_all_the_same(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "*", "do": "latency", "ms": 150})
    with pytest.raises(httpx.ReadTimeout):
        stripe.post(INTENTS, data=GOOD, timeout=0.05)
    deadline = time.monotonic() + 5
    while sandbox.summary()["charges"] == 0 and time.monotonic() < deadline:
        pass
    assert sandbox.summary()["charges"] == 1


def test_latency_after_has_the_answer_ready_for_who_asks_again(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults({"match": "*", "do": "latency", "ms": 200, "after": True})
    with pytest.raises(httpx.ReadTimeout):
        stripe.post(INTENTS, data=GOOD, headers=KEY, timeout=0.1)
    assert stripe.post(INTENTS, data=GOOD, headers=KEY).headers["Idempotent-Replayed"] == "true"


def test_drip_sends_everything_slowly(stripe: httpx.Client, sandbox: BackgroundSandbox) -> None:
    made = stripe.post("/v1/customers").json()
    sandbox.faults({"match": "GET *", "do": "drip", "ms": 0.1})
    begun = time.monotonic()
    answer = stripe.get(f"/v1/customers/{made['id']}")
    assert answer.json() == made
    assert time.monotonic() - begun >= len(answer.content) * 0.0001
    assert stripe.get(f"/v1/customers/{made['id']}").json() == made


def test_latency_combines_with_the_fault_behind_it(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults([
        {"match": "*", "do": "latency", "ms": 30},
        {"match": "*", "do": "latency", "ms": 30},
        {"match": "*", "do": "drop_after"},
    ])
    begun = time.monotonic()
    with pytest.raises(httpx.TransportError):
        stripe.post(INTENTS, data=GOOD)
    assert time.monotonic() - begun >= 0.06
    assert sandbox.ledger()["requests"][0]["fault"] == "latency+drop_after"


def test_faults_strike_as_often_and_as_late_as_they_say(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    sandbox.faults([
        {"match": "GET /stripe/v1/customers*", "do": "status", "status": 418, "times": None},
        {"match": "POST *", "do": "status", "status": 503, "skip": 1, "times": 2},
        {"match": "POST *", "do": "status", "status": 500},
    ])
    seen = [stripe.post("/v1/customers").status_code for _ in range(5)]
    assert seen == [500, 503, 503, 200, 200]
    assert {stripe.get("/v1/customers/x").status_code for _ in range(3)} == {418}
    rows = httpx.get(f"{sandbox.url}/faults", trust_env=False).json()["faults"]
    assert [(row["seen"], row["struck"]) for row in rows] == [(3, 3), (3, 2), (1, 1)]
    httpx.delete(f"{sandbox.url}/faults", trust_env=False)
    assert stripe.get("/v1/customers/x").status_code == 404


def test_one_seed_strikes_the_same_requests(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    fault = {"match": "*", "do": "status", "status": 500, "times": None, "probability": 0.5}
    runs = []
    for _ in range(2):
        sandbox.reset()
        sandbox.faults(fault | {"seed": 7})
        runs.append([stripe.post("/v1/customers").status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"match": None}, "match"),
        ({"match": "BREW /x"}, "match"),
        ({"match": "x"}, "match"),
        ({"do": "explode"}, "do"),
        ({"ms": -1}, "ms"),
        ({"ms": "5"}, "ms"),
        ({"ms": True}, "ms"),
        ({"do": "drip", "ms": None}, "ms"),
        ({"do": "status"}, "status"),
        ({"status": 99}, "status"),
        ({"headers": {"X": 1}}, "headers"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"times": 0}, "times"),
        ({"skip": -1}, "skip"),
        ({"probability": 2}, "probability"),
        ({"seed": "x"}, "seed"),
        ({"after": "yes"}, "after"),
        ({"tmies": 1}, "tmies"),
    ],
)
def test_a_wrong_fault_is_refused_by_the_name_of_its_field(
    sandbox: BackgroundSandbox, change: dict[str, object], field: str
) -> None:
    answer = _faults(sandbox, {"match": "*", "do": "latency", "ms": 5} | change)
    assert answer.status_code == 400
    assert field in [problem["field"] for problem in answer.json()["error"]["problems"]]
    assert httpx.get(f"{sandbox.url}/faults", trust_env=False).json() == {"faults": []}


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_scripted(
    sandbox: BackgroundSandbox,
) -> None:
    good = {"match": "*", "do": "drop_before"}
    answer = _faults(sandbox, [good, {"match": "*"}, {"match": 1, "do": "drip"}, 5])
    fields = [problem["field"] for problem in answer.json()["error"]["problems"]]
    assert fields == ["[1].do", "[2].match", "[2].ms", "[3]"]
    assert httpx.get(f"{sandbox.url}/faults", trust_env=False).json() == {"faults": []}
    with pytest.raises(ValueError, match="is missing"):
        sandbox.faults({"do": "drop_before"})
    assert httpx.post(f"{sandbox.url}/faults", content="{", trust_env=False).status_code == 400

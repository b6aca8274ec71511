"""The real world and the documented one, side by side."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.sandbox.clock import ManualClock
from ops.sandbox.control import DOCUMENTED
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import (
    FINTECTURE_APP_ID,
    FINTECTURE_APP_SECRET,
    TWILIO_ACCOUNT_SID,
    WORLDS,
    AnthropicSettings,
    FintectureSettings,
    Settings,
    StripeSettings,
    TwilioSettings,
    WorldName,
)

ROOT = Path(__file__).parents[2]
INTENTS = "/v1/payment_intents"
GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
DECLINED = GOOD | {"payment_method": "pm_card_visa_chargeDeclined"}
MESSAGES = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}/Messages.json"
TEXT = {"To": "+15551230001", "From": "+15005550006", "Body": "Please update your card."}
TOKENS = "/oauth/accesstoken"
CONNECT = "/pis/v2/connect"
PAYMENTS = "/pis/v2/payments"
APP = (FINTECTURE_APP_ID, FINTECTURE_APP_SECRET)
#: As a published workflow asks.
PUBLISHED_GRANT = {
    "grant_type": "client_credentials",
    "scope": "PIS",
    "client_id": FINTECTURE_APP_ID,
    "client_secret": FINTECTURE_APP_SECRET,
}
PUBLISHED_ORDER = {
    "meta": {},
    "data": {
        "type": "PIS",
        "attributes": {
            "amount": "149.30",
            "currency": "EUR",
            "communication": "Order 1042",
            "payment_method": "immediate_transfer",
        },
    },
}

Of = Callable[[BackgroundSandbox], httpx.Client]


@pytest.fixture
def documented(clock: ManualClock) -> Iterator[BackgroundSandbox]:
    with BackgroundSandbox(Settings(world="documented"), clock=clock) as running:
        yield running


@pytest.fixture(params=WORLDS)
def either(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[BackgroundSandbox]:
    world: WorldName = request.param
    with BackgroundSandbox(Settings(world=world), clock=clock) as running:
        yield running


def published_token(sandbox: BackgroundSandbox) -> httpx.Response:
    """Minted as the description says: without Basic."""
    url = f"{sandbox.url}/fintecture{TOKENS}"
    return httpx.post(url, data=PUBLISHED_GRANT, trust_env=False)


def published_bearer(sandbox: BackgroundSandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {published_token(sandbox).json()['access_token']}"}


def test_a_declined_card_is_a_402_or_an_intent_that_wants_another(
    sandbox: BackgroundSandbox, documented: BackgroundSandbox, stripe_of: Of
) -> None:
    with stripe_of(sandbox) as real, stripe_of(documented) as published:
        real_answer = real.post(INTENTS, data=DECLINED)
        answer = published.post(INTENTS, data=DECLINED)
    assert real_answer.status_code == 402
    assert real_answer.json()["error"]["decline_code"] == "generic_decline"
    intent = answer.json()
    assert (answer.status_code, intent["object"]) == (200, "payment_intent")
    assert intent["status"] == "requires_payment_method"
    assert intent["last_payment_error"]["decline_code"] == "generic_decline"
    assert "Stripe-Should-Retry" not in answer.headers
    assert sandbox.ledger()["charges"] == documented.ledger()["charges"] == []


def test_a_later_confirmation_declines_alike(documented: BackgroundSandbox, stripe_of: Of) -> None:
    with stripe_of(documented) as client:
        intent = client.post(INTENTS, data={"amount": "50", "currency": "usd"}).json()
        confirm = f"{INTENTS}/{intent['id']}/confirm"
        declined = client.post(confirm, data={"payment_method": DECLINED["payment_method"]})
        assert declined.status_code == 200
        assert declined.json()["status"] == "requires_payment_method"
        paid = client.post(confirm, data={"payment_method": "pm_card_visa"})
        assert paid.json()["status"] == "succeeded"
        again = client.post(confirm, data={"payment_method": "pm_card_visa"})
        assert again.json()["error"]["code"] == "payment_intent_unexpected_state"


def test_a_token_for_form_credentials_is_minted_in_one_world_only(
    sandbox: BackgroundSandbox, documented: BackgroundSandbox
) -> None:
    assert published_token(sandbox).status_code == 401
    answer = published_token(documented)
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600


@pytest.mark.parametrize("change", [{"client_secret": "wrong"}, {"client_id": ""}])
def test_form_credentials_are_checked(
    documented: BackgroundSandbox, change: dict[str, str]
) -> None:
    url = f"{documented.url}/fintecture{TOKENS}"
    answer = httpx.post(url, data=PUBLISHED_GRANT | change, trust_env=False)
    assert answer.status_code == 401


def test_the_published_order_is_refused_or_taken(
    sandbox: BackgroundSandbox, documented: BackgroundSandbox, fintecture_of: Of
) -> None:
    with fintecture_of(sandbox) as client:
        token = client.post(TOKENS, data=PUBLISHED_GRANT, auth=APP).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        refused = client.post(CONNECT, json=PUBLISHED_ORDER, headers=headers)
    assert refused.status_code == 400
    assert len(refused.json()["errors"]) == 3
    headers = published_bearer(documented)
    with httpx.Client(base_url=f"{documented.url}/fintecture", trust_env=False) as client:
        meta = client.post(CONNECT, json=PUBLISHED_ORDER, headers=headers).json()["meta"]
        assert meta["url"].endswith(f"/connect/{meta['session_id']}")
        payment = client.get(f"{PAYMENTS}/{meta['session_id']}", headers=headers).json()
    assert payment == {
        "id": meta["session_id"],
        "type": "PIS",
        "attributes": {"amount": "149.30", "currency": "EUR", "communication": "Order 1042"},
        "status": "payment_created",
        "created_at": "2026-11-21T12:00:00Z",
        "updated_at": "2026-11-21T12:00:00Z",
    }


def test_a_documented_payment_goes_its_way_in_documented_words(
    documented: BackgroundSandbox,
) -> None:
    headers = published_bearer(documented)
    with httpx.Client(base_url=f"{documented.url}/fintecture", trust_env=False) as client:
        name = client.post(CONNECT, json=PUBLISHED_ORDER, headers=headers).json()["meta"][
            "session_id"
        ]
        documented.advance(1)
        listed = client.get(PAYMENTS, headers=headers).json()
        assert [row["status"] for row in listed["data"]] == ["payment_pending"]
        assert listed["meta"] == {"count": 1}
        documented.advance(2)
        payment = client.get(f"{PAYMENTS}/{name}", headers=headers).json()
    assert payment["status"] == "payment_completed"
    assert payment["updated_at"] == "2026-11-21T12:00:03Z"
    assert documented.ledger()["payments"][0]["status"] == "payment_completed"


def test_keys_and_duplicates_are_the_same_in_both(
    either: BackgroundSandbox, stripe_of: Of, twilio_of: Of
) -> None:
    key = {"Idempotency-Key": "k-1"}
    with stripe_of(either) as stripe, twilio_of(either) as twilio:
        for form in (DECLINED, GOOD | {"metadata[run]": "r1"}):
            name = {"Idempotency-Key": form["payment_method"]}
            first = stripe.post(INTENTS, data=form, headers=name)
            second = stripe.post(INTENTS, data=form, headers=name)
            assert second.headers["Idempotent-Replayed"] == "true"
            assert second.content == first.content
        stripe.post(INTENTS, data=GOOD | {"metadata[run]": "r1"}, headers=key)
        assert stripe.post(INTENTS, data=DECLINED, headers=key).status_code == 400
        for _ in range(2):
            twilio.post(MESSAGES, data=TEXT)
    ledger = either.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (2, 2)
    assert ledger["duplicates"] == {"charges": 1, "messages": 1}


@pytest.mark.parametrize("world", WORLDS)
def test_faults_and_rates_are_the_same_in_both(
    world: WorldName, clock: ManualClock, stripe_of: Of
) -> None:
    chosen = Settings(world=world, stripe=StripeSettings(rate=1))
    with BackgroundSandbox(chosen, clock=clock) as sandbox, stripe_of(sandbox) as stripe:
        sandbox.faults({"match": "POST /stripe/*", "do": "drop_after"})
        with pytest.raises(httpx.TransportError):
            stripe.post(INTENTS, data=GOOD)
        assert stripe.post(INTENTS, data=GOOD).status_code == 429
        assert sandbox.summary()["charges"] == 1


def test_every_page_says_which_world_it_is(
    sandbox: BackgroundSandbox, documented: BackgroundSandbox
) -> None:
    for running, world in ((sandbox, "real"), (documented, "documented")):
        assert running.ledger()["world"] == running.summary()["world"] == world
        running.reset()
        assert running.ledger()["world"] == world
        first = httpx.get(running.url, trust_env=False).text
        assert first.startswith(DOCUMENTED) == (world == "documented")


@pytest.mark.process
@pytest.mark.parametrize("module", ["ops.sandbox", "ops.cli.main"])
def test_the_documented_world_is_announced_at_start(module: str, tmp_path: Path) -> None:
    words = ["sandbox"] if module == "ops.cli.main" else []
    options = ["--world", "documented", "--env-file", str(tmp_path / "env")]
    with subprocess.Popen(
        [sys.executable, "-m", module, *words, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert "look-alike" in process.stdout.readline()
        assert process.stdout.readline().strip() == DOCUMENTED
        assert httpx.get(f"{url}/ledger", trust_env=False).json()["world"] == "documented"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


#: Long enough that none is in a ledger by chance.
SECRETS = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789", min_size=24, max_size=48),
    min_size=8,
    max_size=8,
    unique=True,
)


@settings(max_examples=25, deadline=None)
@given(secrets=SECRETS, world=st.sampled_from(WORLDS))
def test_no_secret_and_no_prompt_is_in_the_ledger(secrets: list[str], world: WorldName) -> None:
    app, stripe_key, twilio_token, api_key, name, email, state, words = secrets
    chosen = Settings(
        world=world,
        stripe=StripeSettings(secret_key=stripe_key),
        twilio=TwilioSettings(auth_token=twilio_token),
        fintecture=FintectureSettings(app_secret=app),
        anthropic=AnthropicSettings(api_key=api_key),
    )
    with BackgroundSandbox(chosen) as sandbox, httpx.Client(trust_env=False) as client:
        form = PUBLISHED_GRANT | {"client_secret": app}
        url = f"{sandbox.url}/fintecture{TOKENS}"
        answer = client.post(url, data=form, auth=(FINTECTURE_APP_ID, app))
        token = answer.json()["access_token"]
        meta = {"psu_name": name, "psu_email": f"{email}@example.test"}
        opened = client.post(
            f"{sandbox.url}/fintecture{CONNECT}?state={state}",
            json=PUBLISHED_ORDER | {"meta": meta},
            headers={"Authorization": f"Bearer {token}"},
        )
        model = {
            "model": "claude-x",
            "max_tokens": 99,
            "system": words,
            "messages": [{"role": "user", "content": f"- a.b: {words}"}],
        }
        headers = {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
        wrote = client.post(f"{sandbox.url}/anthropic/v1/messages", json=model, headers=headers)
        client.post(
            f"{sandbox.url}/stripe{INTENTS}",
            data=GOOD,
            headers={"Authorization": f"Bearer {stripe_key}"},
        )
        client.post(
            f"{sandbox.url}/twilio{MESSAGES}",
            data=TEXT,
            auth=(TWILIO_ACCOUNT_SID, twilio_token),
        )
        kept: dict[str, Any] = sandbox.ledger()
    assert opened.status_code == wrote.status_code == 200
    assert [len(kept[key]) for key in ("charges", "messages", "payments", "generations")] == [1] * 4
    printed = json.dumps(kept)
    assert [secret for secret in (*secrets, token) if secret in printed] == []

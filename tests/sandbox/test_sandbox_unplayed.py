"""What a provider has and the sandbox has not is said by the sandbox as itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from ops.sandbox.paths import Found, Paths
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import (
    FINTECTURE_APP_ID,
    FINTECTURE_APP_SECRET,
    STRIPE_SECRET_KEY,
    TWILIO_ACCOUNT_SID,
)

OPENAPI: Final = Path(__file__).parents[2] / "specs" / "openapi"
INTENTS = "/v1/payment_intents"
GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
ACCOUNT = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}"
MESSAGES = f"{ACCOUNT}/Messages.json"
TEXT = {"To": "+15551230001", "From": "+15005550006", "Body": "Your payment was received."}
GRANT = {"grant_type": "client_credentials", "scope": "PIS"}
APP = (FINTECTURE_APP_ID, FINTECTURE_APP_SECRET)
ORDER = {"amount": "149.30", "currency": "EUR", "communication": "Order 1042"}
PROMPT = {
    "model": "claude-x",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hello"}],
}


def unplayed(answer: httpx.Response) -> str:
    """What is not played, once the answer is seen to be nobody's but the sandbox's."""
    assert answer.status_code == 501, answer.text
    assert answer.headers["X-Sandbox"] == "not-played"
    assert not {"Request-Id", "Twilio-Request-Id", "Idempotency-Key"} & set(answer.headers)
    body = answer.json()
    # Where clients of Stripe and Anthropic look for it, and those of Twilio.
    assert body["error"]["message"] == body["message"]
    assert body["error"]["code"] == body["error"]["type"] == body["code"] == "sandbox-not-played"
    found = re.match(r"durazzo sandbox: (.+) is not played here\.", body["message"])
    assert found is not None, body["message"]
    return found[1]


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/v1/events", "GET /v1/events"),
        ("GET", "/v1/events/evt_1", "GET /v1/events/:id"),
        ("POST", "/v1/webhook_endpoints", "POST /v1/webhook_endpoints"),
        ("POST", "/v1/charges", "POST /v1/charges"),
        ("POST", "/v1/refunds", "POST /v1/refunds"),
        ("POST", f"{INTENTS}/pi_1/capture", f"POST {INTENTS}/:id/capture"),
        ("POST", "/v1/customers/cus_1", "POST /v1/customers/:id"),
        ("DELETE", "/v1/customers/cus_1", "DELETE /v1/customers/:id"),
        ("POST", "/v1/checkout/sessions", "POST /v1/checkout/*"),
        ("GET", "/v1/prices", "GET /v1/prices"),
        ("GET", "/v2/core/events", "GET /v2/*"),
    ],
)
def test_a_path_that_stripe_has(stripe: httpx.Client, method: str, path: str, what: str) -> None:
    assert unplayed(stripe.request(method, path)) == f"Stripe's {what}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nowhere"),
        ("GET", "/v1/charges/"),
        ("GET", "/v1/charges/ch_1/capture"),
        ("DELETE", INTENTS),
        ("GET", "/v1/checkout/"),
        ("GET", "/v3/charges"),
        ("GET", "/"),
    ],
)
def test_a_path_that_stripe_has_not_is_its_own_404(
    stripe: httpx.Client, method: str, path: str
) -> None:
    answer = stripe.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith(
        f"Unrecognized request URL ({method}: {path})."
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"capture_method": "manual"}, "parameter capture_method=manual"),
        ({"confirmation_method": "manual"}, "parameter confirmation_method"),
        ({"expand[]": "latest_charge"}, "parameter expand"),
        ({"payment_method_data[type]": "card"}, "parameter payment_method_data"),
        (
            {"payment_method_options[card][capture_method]": "manual"},
            "parameter payment_method_options",
        ),
        ({"payment_method_types[]": "sepa_debit"}, "payment method type sepa_debit"),
        ({"payment_method": "pm_card_createDispute"}, "test payment method pm_card_createDispute"),
        ({"payment_method": "pm_card_de"}, "test payment method pm_card_de"),
    ],
)
def test_what_stripe_would_do_otherwise_is_not_done_and_the_key_stays_free(
    stripe: httpx.Client, sandbox: BackgroundSandbox, change: dict[str, str], what: str
) -> None:
    key = {"Idempotency-Key": "k"}
    answer = stripe.post(INTENTS, data=GOOD | change, headers=key)
    assert unplayed(answer) == f"Stripe's {what}"
    assert answer.headers["Stripe-Should-Retry"] == "false"
    assert sandbox.summary()["charges"] == 0
    assert stripe.get(INTENTS).json()["data"] == []
    assert stripe.post(INTENTS, data=GOOD, headers=key).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "given", "what"),
    [
        ("POST", "/v1/customers", {"source": "tok_visa"}, "parameter source"),
        ("GET", "/v1/customers", {"test_clock": "clock_1"}, "parameter test_clock"),
        ("GET", "/v1/customers", {"ending_before": "cus_1"}, "parameter ending_before"),
        ("GET", INTENTS, {"expand[]": "data.customer"}, "parameter expand"),
        (
            "GET",
            f"{INTENTS}/search",
            {"query": "amount>5"},
            "search but for metadata, status and customer, joined by AND",
        ),
        ("POST", f"{INTENTS}/pi_1", {"shipping[name]": "Ada"}, "parameter shipping"),
        ("POST", f"{INTENTS}/pi_1/confirm", {"mandate": "m"}, "parameter mandate"),
    ],
)
def test_other_parameters_that_stripe_has(
    stripe: httpx.Client, method: str, path: str, given: dict[str, str], what: str
) -> None:
    place = {"params": given} if method == "GET" else {"data": given}
    assert unplayed(stripe.request(method, path, **place)) == f"Stripe's {what}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", f"{ACCOUNT}/Calls.json", "POST :account/Calls.json"),
        ("GET", f"{ACCOUNT}/Calls/CA1.json", "GET :account/Calls/*"),
        ("DELETE", f"{ACCOUNT}/Messages/SM1.json", "DELETE :account/Messages/:Sid.json"),
        ("GET", f"{ACCOUNT}/Messages/SM1/Media.json", "GET :account/Messages/:Sid/Media.json"),
        ("POST", f"{ACCOUNT}/Messages", "POST :account/Messages"),
        ("GET", "/2010-04-01/Accounts.json", "GET /2010-04-01/Accounts.json"),
    ],
)
def test_a_path_that_twilio_has(twilio: httpx.Client, method: str, path: str, what: str) -> None:
    what = what.replace(":account", "/2010-04-01/Accounts/:AccountSid")
    assert unplayed(twilio.request(method, path)) == f"Twilio's {what}"


@pytest.mark.parametrize(
    "path",
    [
        f"{ACCOUNT}/Nowhere.json",
        f"{ACCOUNT}/",
        f"{ACCOUNT}/Messages/.json",
        "/2010-04-01/Accounts//Calls.json",
        f"/2010-04-01/Accounts/AC{'0' * 32}/Calls.json",
    ],
)
def test_a_path_that_twilio_has_not_is_its_own_404(twilio: httpx.Client, path: str) -> None:
    answer = twilio.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"To": "whatsapp:+15551230001"}, "channel whatsapp: in To"),
        ({"From": "messenger:4711"}, "channel messenger: in From"),
        ({"To": "54321"}, "short code in To"),
        ({"From": "543210"}, "short code in From"),
        ({"From": "My Shop"}, "alphanumeric sender ID in From"),
        ({"MediaUrl": "https://a.test/x.png"}, "parameter MediaUrl"),
        ({"MessagingServiceSid": "MG1"}, "parameter MessagingServiceSid"),
        ({"SmartEncoded": "true"}, "parameter SmartEncoded=true"),
    ],
)
def test_a_text_that_twilio_might_send_is_not_called_wrong(
    twilio: httpx.Client, sandbox: BackgroundSandbox, change: dict[str, str], what: str
) -> None:
    assert unplayed(twilio.post(MESSAGES, data=TEXT | change)) == f"Twilio's {what}"
    assert sandbox.summary()["messages"] == 0


def test_a_switch_that_is_off_is_played(twilio: httpx.Client) -> None:
    assert twilio.post(MESSAGES, data=TEXT | {"SmartEncoded": "false"}).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("PATCH", "/pis/v2/payments/x", "PATCH /pis/v2/payments/:id"),
        ("POST", "/pis/v2/refund", "POST /pis/v2/refund"),
        ("POST", "/oauth/refreshtoken", "POST /oauth/refreshtoken"),
        ("GET", "/ais/v1/customer/c/accounts", "GET /ais/v1/*"),
    ],
)
def test_a_path_that_fintecture_has(
    fintecture: httpx.Client, method: str, path: str, what: str
) -> None:
    assert unplayed(fintecture.request(method, path)) == f"Fintecture's {what}"


def test_what_fintecture_would_do_otherwise_is_not_done(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    def minted(**change: str) -> httpx.Response:
        return fintecture.post("/oauth/accesstoken", data=GRANT | change, auth=APP)

    assert unplayed(minted(scope="AIS")) == "Fintecture's scope AIS"
    grant = minted(grant_type="authorization_code")
    assert unplayed(grant) == "Fintecture's grant_type authorization_code"
    headers = {"Authorization": f"Bearer {minted().json()['access_token']}"}
    for name in ("filter[from]", "filter[to]", "page", "state"):
        listed = fintecture.get("/pis/v2/payments", params={name: "2026-11-21"}, headers=headers)
        assert unplayed(listed) == (
            "Fintecture's other parameters of GET /pis/v2/payments than filter[status]"
        )

    def opened(**attributes: str) -> httpx.Response:
        meta = {"psu_name": "Ada", "psu_email": "ada@shop.test"}
        body = {"meta": meta, "data": {"attributes": ORDER | attributes}}
        params = {"state": "s"}
        return fintecture.post("/pis/v2/connect", params=params, json=body, headers=headers)

    assert unplayed(opened(payment_method="bnpl")) == "Fintecture's payment method bnpl"
    assert unplayed(opened(end_to_end_id="e")) == "Fintecture's attribute end_to_end_id"
    assert sandbox.summary()["payments"] == 0
    assert opened(payment_method="immediate_transfer").status_code == 200


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"stream": True}, "parameter stream"),
        ({"tools": [{"name": "x"}]}, "parameter tools"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "content block of type image",
        ),
    ],
)
def test_what_anthropic_would_do_otherwise_is_not_done(
    anthropic: httpx.Client, sandbox: BackgroundSandbox, change: dict[str, Any], what: str
) -> None:
    answer = anthropic.post("/v1/messages", json=PROMPT | change)
    assert unplayed(answer) == f"Anthropic's {what}"
    assert sandbox.summary()["generations"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("POST", "/v1/messages/batches"), ("POST", "/v1/complete")],
)
def test_a_path_that_anthropic_has(anthropic: httpx.Client, method: str, path: str) -> None:
    assert unplayed(anthropic.request(method, path)) == f"Anthropic's {method} {path}"


def test_nobody_without_credentials_learns_what_is_played(sandbox: BackgroundSandbox) -> None:
    for path in ("/stripe/v1/charges", f"/twilio{ACCOUNT}/Calls.json", "/anthropic/v1/models"):
        assert httpx.get(f"{sandbox.url}{path}", trust_env=False).status_code == 401


def test_each_kind_is_logged_once_and_without_what_was_sent(
    stripe: httpx.Client, twilio: httpx.Client, sandbox: BackgroundSandbox, caplog: Any
) -> None:
    with caplog.at_level(logging.WARNING, logger="ops.sandbox"):
        for number in range(3):
            stripe.get(f"/v1/charges/ch_secret{number}")
            twilio.post(MESSAGES, data=TEXT | {"To": f"whatsapp:+1555867530{number}"})
        sandbox.reset()
        stripe.get("/v1/charges/ch_secret4")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("durazzo sandbox: Stripe's GET /v1/charges/:id is not played here.")
    assert said[1].startswith("durazzo sandbox: Twilio's channel whatsapp: in To is not played")
    assert not any(word in caplog.text for word in ("secret", "5867530", STRIPE_SECRET_KEY))


def played(sandbox: BackgroundSandbox) -> set[tuple[str, str]]:
    """Method and path of each line of the first page that names a call, without its names."""
    page = httpx.get(sandbox.url, trust_env=False).text
    lines = re.findall(
        r"^(GET|POST) +(/(?:stripe|twilio|fintecture|anthropic)/\S+)$", page, re.MULTILINE
    )
    return {(method, re.sub(r":[A-Za-z]+", "{}", path)) for method, path in lines}


def described() -> Iterator[tuple[str, str]]:
    """What the shipped descriptions describe."""
    for file in OPENAPI.glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        server: str = document["servers"][0]["url"]
        provider, base = re.fullmatch(r"https://[\w-]+\.(\w+)\.com(/.*)?", server).groups()  # type: ignore[union-attr]
        operations: Mapping[str, Mapping[str, object]] = document["paths"]
        for path, item in operations.items():
            for method in {"get", "post", "patch", "delete"} & set(item):
                called = re.sub(r"\{\w+\}", "{}", f"/{provider}{base or ''}{path}")
                yield method.upper(), called


def test_the_first_page_lists_what_is_played_and_all_of_it_is(
    sandbox: BackgroundSandbox,
    stripe: httpx.Client,
    twilio: httpx.Client,
    fintecture: httpx.Client,
    anthropic: httpx.Client,
) -> None:
    clients = {
        "stripe": stripe, "twilio": twilio, "fintecture": fintecture, "anthropic": anthropic,
    }  # fmt: skip
    listed = played(sandbox)
    assert {path.split("/")[1] for _, path in listed} == set(clients)
    for method, path in listed:
        _, provider, rest = path.split("/", 2)
        named = rest.replace("Accounts/{}", f"Accounts/{TWILIO_ACCOUNT_SID}").replace("{}", "x")
        answer = clients[provider].request(method, f"/{named}")
        assert answer.status_code != 501, (method, path)
        assert "Unrecognized request URL" not in answer.text, (method, path)


def test_all_that_the_shipped_descriptions_describe_is_played(sandbox: BackgroundSandbox) -> None:
    assert set(described()) <= played(sandbox)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", Found(endpoint="GET /a", names=())),
        ("/a/x", Found(endpoint="GET /a/:id", names=("x",))),
        ("/a/x.json", Found(endpoint="GET /a/:id", names=("x.json",))),
        ("/b/x.json", Found(endpoint="GET /b/:id.json", names=("x",))),
        ("/b/.json", None),
        ("/b/x", None),
        ("/a/", None),
        ("/c", None),
        ("/c/", None),
        ("/c/x", Found(endpoint="GET /c/*", names=())),
        ("/c/x/y", Found(endpoint="GET /c/*", names=())),
        ("/c/x/", None),
        ("/c//x", None),
        ("", None),
    ],
)
def test_a_pattern_fits_whole_segments(path: str, found: Found | None) -> None:
    paths = Paths("GET,POST /a", "GET /a/:id", "GET /b/:id.json", "GET /c/*")
    assert paths.find("GET", path) == found
    assert paths.find("PUT", path) is None

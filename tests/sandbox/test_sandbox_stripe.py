from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from ops.sandbox.clock import ManualClock
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import STRIPE_SECRET_KEY, Settings, StripeSettings

GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
DECLINED = GOOD | {"payment_method": "pm_card_visa_chargeDeclined"}
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, where the manual clock stands
INTENTS = "/v1/payment_intents"


def test_a_good_card_is_charged_and_looks_like_stripe(stripe: httpx.Client) -> None:
    answer = stripe.post(INTENTS, data=GOOD | {"metadata[run]": "r1", "description": "Shoes"})
    intent = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Request-Id"].startswith("req_")
    assert intent["object"] == "payment_intent"
    assert intent["id"].startswith("pi_")
    assert len(intent["id"]) == 27
    assert intent["amount"] == intent["amount_received"] == 2000
    assert (intent["currency"], intent["status"], intent["livemode"]) == ("usd", "succeeded", False)
    assert intent["latest_charge"].startswith("ch_")
    assert intent["payment_method"].startswith("pm_")
    assert intent["client_secret"].startswith(f"{intent['id']}_secret_")
    assert intent["metadata"] == {"run": "r1"}
    assert intent["description"] == "Shoes"
    assert intent["last_payment_error"] is None
    assert intent["next_action"] is None
    assert intent["created"] == int(NOON)


@pytest.mark.parametrize("card", ["pm_card_mastercard", "pm_card_amex", "pm_card_discover"])
def test_other_good_cards_are_charged(stripe: httpx.Client, card: str) -> None:
    assert stripe.post(INTENTS, data=GOOD | {"payment_method": card}).status_code == 200


def test_a_declined_card_is_a_402_with_everything_about_it(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    answer = stripe.post(INTENTS, data=DECLINED)
    error = answer.json()["error"]
    assert answer.status_code == 402
    assert answer.headers["Stripe-Should-Retry"] == "false"
    assert error["type"] == "card_error"
    assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
    assert (error["advice_code"], error["network_decline_code"]) == ("try_again_later", "01")
    assert error["message"] == "Your card was declined."
    assert error["doc_url"] == "https://stripe.com/docs/error-codes/card-declined"
    assert error["charge"] == error["payment_intent"]["latest_charge"]
    assert error["payment_method"]["card"]["last4"] == "0002"
    assert answer.headers["Request-Id"] in error["request_log_url"]
    intent = error["payment_intent"]
    assert (intent["status"], intent["payment_method"]) == ("requires_payment_method", None)
    assert intent["last_payment_error"]["decline_code"] == "generic_decline"
    assert intent["last_payment_error"]["payment_method"]["id"] == error["payment_method"]["id"]
    assert sandbox.ledger()["charges"] == []


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        (
            "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_each_declining_card_says_why(
    stripe: httpx.Client, card: str, code: str, decline_code: str | None
) -> None:
    answer = stripe.post(INTENTS, data=GOOD | {"payment_method": card})
    error = answer.json()["error"]
    assert answer.status_code == 402
    assert (error["code"], error.get("decline_code")) == (code, decline_code)


def test_3d_secure_waits_for_the_customer_and_then_takes_the_money(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    card = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.test/"}
    answer = stripe.post(INTENTS, data=GOOD | card, headers={"Idempotency-Key": "k"})
    intent = answer.json()
    assert (answer.status_code, intent["status"]) == (200, "requires_action")
    assert intent["next_action"]["type"] == "redirect_to_url"
    assert sandbox.ledger()["charges"] == []
    httpx.get(intent["next_action"]["redirect_to_url"]["url"], trust_env=False)
    assert stripe.get(f"{INTENTS}/{intent['id']}").json()["status"] == "succeeded"
    assert [charge["key"] for charge in sandbox.ledger()["charges"]] == ["k"]


def test_3d_secure_that_the_customer_fails_takes_nothing(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    card = {"payment_method": "pm_card_authenticationRequired"}
    intent = stripe.post(INTENTS, data=GOOD | card).json()
    assert intent["next_action"]["type"] == "use_stripe_sdk"
    page = intent["next_action"]["use_stripe_sdk"]["stripe_js"]
    httpx.get(page, params={"outcome": "fail"}, trust_env=False)
    failed = stripe.get(f"{INTENTS}/{intent['id']}").json()
    assert failed["status"] == "requires_payment_method"
    assert failed["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert sandbox.ledger()["charges"] == []


@pytest.mark.parametrize("how", [{"off_session": "true"}, {"error_on_requires_action": "true"}])
def test_3d_secure_without_the_customer_is_declined(
    stripe: httpx.Client, how: dict[str, str]
) -> None:
    card = {"payment_method": "pm_card_threeDSecure2Required"}
    answer = stripe.post(INTENTS, data=GOOD | card | how)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (402, "authentication_required")
    assert error["payment_intent"]["status"] == "requires_payment_method"


def test_a_payment_is_made_confirmed_and_never_confirmed_twice(stripe: httpx.Client) -> None:
    bare = stripe.post(INTENTS, data={"amount": "2000", "currency": "USD"}).json()
    assert (bare["status"], bare["currency"]) == ("requires_payment_method", "usd")
    confirm = f"{INTENTS}/{bare['id']}/confirm"
    assert stripe.post(confirm).json()["error"]["code"] == "payment_intent_unexpected_state"
    assert stripe.post(confirm, data={"payment_method": "pm_card_visa"}).json()["status"] == (
        "succeeded"
    )
    again = stripe.post(confirm, data={"payment_method": "pm_card_visa"})
    error = again.json()["error"]
    assert (again.status_code, error["code"]) == (400, "payment_intent_unexpected_state")
    assert error["message"] == (
        "You cannot confirm this PaymentIntent because it has already succeeded after being "
        "previously confirmed."
    )
    assert error["payment_intent"]["status"] == "succeeded"


def test_with_a_payment_method_only_the_confirmation_is_missing(stripe: httpx.Client) -> None:
    intent = stripe.post(INTENTS, data=GOOD | {"confirm": "false"}).json()
    assert intent["status"] == "requires_confirmation"
    assert stripe.post(f"{INTENTS}/{intent['id']}/confirm").json()["status"] == "succeeded"


def test_a_declined_payment_is_paid_with_another_card(
    stripe: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    declined = stripe.post(INTENTS, data=DECLINED).json()["error"]["payment_intent"]
    paid = stripe.post(
        f"{INTENTS}/{declined['id']}/confirm", data={"payment_method": "pm_card_visa"}
    )
    assert paid.json()["status"] == "succeeded"
    assert paid.json()["last_payment_error"] is None
    assert [c["payment_intent"] for c in sandbox.ledger()["charges"]] == [declined["id"]]


def test_a_payment_method_of_an_earlier_payment_can_be_named(stripe: httpx.Client) -> None:
    method = stripe.post(INTENTS, data=GOOD).json()["payment_method"]
    assert stripe.post(INTENTS, data=GOOD | {"payment_method": method}).status_code == 200


def test_a_canceled_payment_stays_canceled(stripe: httpx.Client) -> None:
    intent = stripe.post(INTENTS, data={"amount": "50", "currency": "usd"}).json()
    reason = {"cancellation_reason": "abandoned"}
    canceled = stripe.post(f"{INTENTS}/{intent['id']}/cancel", data=reason).json()
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "abandoned")
    assert canceled["canceled_at"] == int(NOON)
    for verb in ("cancel", "confirm"):
        answer = stripe.post(f"{INTENTS}/{intent['id']}/{verb}")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "payment_intent_unexpected_state"


def test_customers_are_made_and_fetched(stripe: httpx.Client) -> None:
    answer = stripe.post(
        "/v1/customers",
        data={"email": "user@example.com", "name": "John Doe", "metadata[ref]": "c-1"},
    )
    customer = answer.json()
    assert customer["id"].startswith("cus_")
    assert (customer["email"], customer["name"]) == ("user@example.com", "John Doe")
    assert customer["metadata"] == {"ref": "c-1"}
    assert stripe.get(f"/v1/customers/{customer['id']}").json() == customer
    assert stripe.get("/v1/customers/cus_x").status_code == 404
    paid = stripe.post(INTENTS, data=GOOD | {"customer": customer["id"]})
    assert paid.json()["customer"] == customer["id"]


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        ({}, "You did not provide an API key."),
        ({"Authorization": "Digest x"}, "You did not provide an API key."),
        ({"Authorization": "Bearer sk_test_wrong"}, "Invalid API Key provided: sk_test_"),
        ({"Authorization": "Bearer sk_live_51HoldYourHorses"}, "LIVE key"),
    ],
)
def test_wrong_credentials_are_refused(
    sandbox: BackgroundSandbox, credentials: dict[str, str], says: str
) -> None:
    answer = httpx.post(
        f"{sandbox.url}/stripe{INTENTS}", data=GOOD, headers=credentials, trust_env=False
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert says in answer.json()["error"]["message"]
    assert "HoldYourHorses" not in answer.text
    assert sandbox.ledger()["charges"] == []


def test_the_key_may_come_as_the_user_of_basic(sandbox: BackgroundSandbox) -> None:
    url = f"{sandbox.url}/stripe{INTENTS}"
    with httpx.Client(trust_env=False, auth=(STRIPE_SECRET_KEY, "")) as client:
        assert client.post(url, data=GOOD).status_code == 200


def test_json_is_refused_as_stripe_refuses_it(stripe: httpx.Client) -> None:
    answer = stripe.post(INTENTS, json=GOOD)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(
        "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."
    )


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"currency": None}, "parameter_missing", "Missing required param: currency."),
        ({"amount": None}, "parameter_missing", "Missing required param: amount."),
        ({"foo": "1"}, "parameter_unknown", "Received unknown parameter: foo"),
        ({"AccountSid": "AC"}, "parameter_unknown", "unknown parameter: AccountSid"),
        ({"amount": "2000.0"}, "parameter_invalid_integer", "Invalid integer: 2000.0"),
        ({"amount": "null"}, "parameter_invalid_integer", "Invalid integer: null"),
        ({"amount": "0"}, "parameter_invalid_integer", "greater than or equal to 1"),
        ({"amount": "-5"}, "parameter_invalid_integer", "greater than or equal to 1"),
        ({"amount": ""}, "parameter_invalid_empty", "You passed an empty string"),
        ({"customer": ""}, "parameter_invalid_empty", "You passed an empty string"),
        ({"confirm": "True"}, None, "Invalid boolean: True"),
        ({"off_session": "True"}, None, "Invalid off_session"),
        ({"currency": "dollars"}, None, "Invalid currency: dollars"),
        ({"metadata": "x"}, None, "Invalid object"),
        ({"payment_method_types": "card"}, None, "Invalid array"),
        (
            {"automatic_payment_methods[foo]": "1"},
            "parameter_unknown",
            "Received unknown parameter",
        ),
        (
            {"automatic_payment_methods[enabled]": "True"},
            None,
            "Invalid boolean: True",
        ),
        ({"capture_method": "by_hand"}, None, "Invalid capture_method"),
        ({"setup_future_usage": "never"}, None, "Invalid setup_future_usage"),
        (
            {"payment_method_types[]": "shells"},
            None,
            "The payment method type provided: shells is invalid.",
        ),
        (
            {"payment_method": "pm_x"},
            "resource_missing",
            "No such PaymentMethod: 'pm_x'",
        ),
        ({"customer": "cus_x"}, "resource_missing", "No such customer: 'cus_x'"),
    ],
)
def test_wrong_parameters_are_named_and_nothing_is_charged(
    stripe: httpx.Client,
    sandbox: BackgroundSandbox,
    change: dict[str, str | None],
    code: str | None,
    message: str,
) -> None:
    param = next(iter(change)).removesuffix("[]")
    form = {name: value for name, value in (GOOD | change).items() if value is not None}
    answer = stripe.post(INTENTS, data=form)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error.get("code"), error["param"]) == (code, param)
    assert message in error["message"]
    assert sandbox.summary()["charges"] == 0


def test_several_unknown_parameters_are_named_together(stripe: httpx.Client) -> None:
    intent = stripe.post(INTENTS, data={"amount": "50", "currency": "usd"}).json()
    answer = stripe.post(f"{INTENTS}/{intent['id']}/cancel", data={"amount": "1", "x": "y"})
    assert answer.json()["error"]["message"] == "Received unknown parameters: amount, x"


@pytest.mark.parametrize(
    "form",
    [
        b"metadata[run]=r1&metadata[note]=a%26b+c&payment_method_types[]=card",
        b"metadata%5Brun%5D=r1&metadata%5Bnote%5D=a%26b%20c&payment_method_types%5B0%5D=card",
    ],
)
def test_brackets_are_read_in_either_spelling(stripe: httpx.Client, form: bytes) -> None:
    answer = stripe.post(
        INTENTS,
        content=b"amount=2000&currency=usd&" + form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    intent = answer.json()
    assert intent["metadata"] == {"run": "r1", "note": "a&b c"}
    assert intent["payment_method_types"] == ["card"]
    assert intent["automatic_payment_methods"] is None


def test_what_is_not_there_is_404(stripe: httpx.Client) -> None:
    answer = stripe.get(f"{INTENTS}/pi_x")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "resource_missing"
    assert answer.json()["error"]["message"] == "No such payment_intent: 'pi_x'"
    assert stripe.post(f"{INTENTS}/pi_x/confirm").status_code == 404
    for path in ("/v1/charge", f"{INTENTS}/", "/v1//payment_intents", f"{INTENTS}/pi_x/pay"):
        unknown = stripe.post(path)
        assert unknown.status_code == 404
        message = unknown.json()["error"]["message"]
        assert message.startswith(f"Unrecognized request URL (POST: {path}).")


def test_payments_are_listed_newest_first_in_pages(
    stripe: httpx.Client, clock: ManualClock
) -> None:
    customer = stripe.post("/v1/customers").json()["id"]
    made = []
    for number in range(5):
        clock.now = NOON + number
        whose = {"customer": customer} if number % 2 else {}
        made.append(stripe.post(INTENTS, data=GOOD | whose).json()["id"])
    newest_first = made[::-1]

    def listed(**query: str | int) -> tuple[list[str], bool]:
        page = stripe.get(INTENTS, params=query).json()
        assert (page["object"], page["url"]) == ("list", INTENTS)
        return [intent["id"] for intent in page["data"]], page["has_more"]

    assert listed() == (newest_first, False)
    assert listed(limit=2) == (newest_first[:2], True)
    assert listed(limit=3, starting_after=newest_first[1]) == (newest_first[2:], False)
    assert listed(customer=customer) == ([made[3], made[1]], False)
    assert listed(**{"created[gte]": int(NOON) + 3}) == (newest_first[:2], False)
    assert listed(**{"created[gt]": int(NOON) + 3}) == (newest_first[:1], False)
    assert listed(**{"created[lt]": int(NOON) + 2}) == (newest_first[3:], False)
    assert listed(created=int(NOON) + 2) == ([made[2]], False)
    assert stripe.get(INTENTS, params={"limit": 101}).status_code == 400
    assert stripe.get(INTENTS, params={"starting_after": "pi_x"}).status_code == 400


def test_payments_are_found_by_metadata(stripe: httpx.Client) -> None:
    first = stripe.post(INTENTS, data=GOOD | {"metadata[run]": "r1"}).json()["id"]
    stripe.post(INTENTS, data=GOOD | {"metadata[run]": "r2"})
    query = "metadata['run']:'r1' AND status:'succeeded'"
    found = stripe.get(f"{INTENTS}/search", params={"query": query}).json()
    assert found["object"] == "search_result"
    assert [intent["id"] for intent in found["data"]] == [first]
    same = stripe.get(f"{INTENTS}/search", params={"query": 'metadata["run"]:"r1"'})
    assert [intent["id"] for intent in same.json()["data"]] == [first]
    bad = stripe.get(f"{INTENTS}/search", params={"query": "whatever there is"})
    assert bad.status_code == 400


@pytest.fixture
def redirecting() -> BackgroundSandbox:
    return BackgroundSandbox(Settings(stripe=StripeSettings(redirect_methods=True)))


@pytest.mark.parametrize(
    ("extra", "version", "status"),
    [
        ({}, None, 400),
        ({}, "2025-11-17.clover", 400),
        ({"automatic_payment_methods[enabled]": "true"}, "2022-11-15", 400),
        ({}, "2022-11-15", 200),
        ({"return_url": "https://shop.test/"}, None, 200),
        ({"payment_method_types[]": "card"}, None, 200),
        (
            {
                "automatic_payment_methods[enabled]": "true",
                "automatic_payment_methods[allow_redirects]": "never",
            },
            None,
            200,
        ),
    ],
)
def test_redirecting_payment_methods_want_a_return_url(
    redirecting: BackgroundSandbox,
    extra: dict[str, str],
    version: str | None,
    status: int,
    stripe_of: Callable[[BackgroundSandbox], httpx.Client],
) -> None:
    headers = {} if version is None else {"Stripe-Version": version}
    with redirecting as sandbox, stripe_of(sandbox) as client:
        answer = client.post(INTENTS, data=GOOD | extra, headers=headers)
        assert answer.status_code == status
        if status == 400:
            error = answer.json()["error"]
            assert "you must provide a `return_url`" in error["message"]
            assert "code" not in error
            assert error["payment_intent"]["status"] == "requires_payment_method"
            assert sandbox.summary()["charges"] == 0


def test_beyond_the_rate_comes_429_and_the_key_stays_free(
    clock: ManualClock, stripe_of: Callable[[BackgroundSandbox], httpx.Client]
) -> None:
    settings = Settings(stripe=StripeSettings(rate=2))
    with BackgroundSandbox(settings, clock=clock) as sandbox, stripe_of(sandbox) as client:

        def charge(key: str) -> httpx.Response:
            return client.post(INTENTS, data=GOOD, headers={"Idempotency-Key": key})

        assert [charge(key).status_code for key in "abc"] == [200, 200, 429]
        limited = charge("c")
        assert limited.json()["error"]["code"] == "rate_limit"
        assert limited.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
        assert client.get(INTENTS).status_code == 200, "another endpoint has a rate of its own"
        clock.now += 1
        late = charge("c")
        assert late.status_code == 200
        assert "Idempotent-Replayed" not in late.headers


def test_an_accounts_rate_counts_all_endpoints_and_says_which_rate_it_was(
    clock: ManualClock, stripe_of: Callable[[BackgroundSandbox], httpx.Client]
) -> None:
    settings = Settings(stripe=StripeSettings(rate=2, account_rate=3))
    with BackgroundSandbox(settings, clock=clock) as sandbox, stripe_of(sandbox) as client:
        calls = [
            client.get(path)
            for path in (INTENTS, INTENTS, "/v1/customers", "/v1/customers", INTENTS)
        ]
        assert [call.status_code for call in calls] == [200, 200, 200, 429, 429]
        reasons = [call.headers.get("Stripe-Rate-Limited-Reason") for call in calls]
        assert reasons[3:] == ["global-rate", "endpoint-rate"]


def test_a_strict_rate_has_no_second_with_more_wherever_it_begins(
    clock: ManualClock, stripe_of: Callable[[BackgroundSandbox], httpx.Client]
) -> None:
    settings = Settings(stripe=StripeSettings(rate=2, strict=True))
    with BackgroundSandbox(settings, clock=clock) as sandbox, stripe_of(sandbox) as client:
        found = []
        for at in (0.0, 0.9, 0.95, 1.0, 1.5, 1.9):
            clock.now = NOON + at
            found.append(client.get(INTENTS).status_code)
        assert found == [200, 200, 429, 200, 429, 200]


def test_customers_are_listed_newest_first_by_email_and_time(
    stripe: httpx.Client, clock: ManualClock
) -> None:
    made = []
    for number, email in enumerate(["a@shop.test", "b@shop.test", "a@shop.test", ""]):
        clock.now = NOON + number
        made.append(stripe.post("/v1/customers", data={"email": email}).json()["id"])

    def listed(**query: str | int) -> tuple[list[str], bool]:
        page = stripe.get("/v1/customers", params=query).json()
        assert (page["object"], page["url"]) == ("list", "/v1/customers")
        assert all(customer["object"] == "customer" for customer in page["data"])
        return [customer["id"] for customer in page["data"]], page["has_more"]

    assert listed() == (made[::-1], False)
    assert listed(email="a@shop.test") == ([made[2], made[0]], False)
    assert listed(email="A@shop.test") == ([], False), "case counts"
    assert listed(email="a@shop.test", **{"created[gte]": int(NOON) + 1}) == ([made[2]], False)
    assert listed(limit=1) == (made[-1:], True)
    assert listed(limit=3, starting_after=made[-1]) == (made[2::-1], False)
    unknown = stripe.get("/v1/customers", params={"starting_after": "cus_x"})
    assert unknown.json()["error"]["message"] == "No such customer: 'cus_x'"
    assert stripe.get("/v1/customers", params={"name": "x"}).status_code == 400

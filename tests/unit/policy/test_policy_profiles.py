from __future__ import annotations

import pytest

from orchestrator.expressions.nodes import Json
from orchestrator.formats.endpoints import Endpoints, Provider
from orchestrator.policy.profiles import Basic, Bearer, captures, check, parse
from orchestrator.policy.table import ProfileRefused
from tests.unit.policy.shipped import NAMES, document, profile, schema


def test_the_shipped_profiles_are_these() -> None:
    assert NAMES == ["anthropic", "fintecture", "generic", "stripe", "twilio"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_passes_its_schema_and_parses_under_its_file_name(name: str) -> None:
    assert check(document(name), schema()) == []
    assert profile(name).name == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ["api.stripe.com"]),
        ("credential", {"kind": "bearer", "secret": "STRIPE_SECRET_KEY", "user": "x"}),
        ("credential", {"kind": "bearer", "secret": "sk_test_pasted_here"}),
        ("rules", [{"kind": "fatal", "status": [500]}]),
        ("rules", [{"kind": "final"}]),
        ("rules", [{"kind": "final", "status": ["6xx"]}]),
        ("rules", [{"kind": "transient", "stage": "sent", "status": [500]}]),
        ("rules", [{"kind": "final", "body": [{"pointer": "error", "one_of": ["x"]}]}]),
        ("limits", [{"name": "x", "per_second": 0, "burst": 1}]),
        ("hosts", ["https://api.stripe.com"]),
    ],
)
def test_a_typo_in_a_profile_is_found_by_its_schema(field: str, value: Json) -> None:
    assert check(document("stripe") | {field: value}, schema())


def test_every_finding_names_its_place() -> None:
    broken = document("stripe") | {"hosts": [1], "nonsense": True}
    found = check(broken, schema())
    assert len(found) == 2
    assert any(message.startswith("/hosts/0: ") for message in found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1),
        ("hosts", "api.stripe.com"),
        ("hosts", [1]),
        ("form_style", "multipart"),
        ("credential", {"kind": "digest"}),
        ("deadline_ms", True),
        ("rules", [{"kind": "final", "keyed": "yes"}]),
        ("rules", [{"kind": "final", "status": [None]}]),
        ("rules", ["final"]),
        ("retry", {"max_attempts": 1, "base_ms": 1, "factor": "2"}),
    ],
)
def test_parse_refuses_what_the_schema_would_and_names_the_field(field: str, value: Json) -> None:
    with pytest.raises(ProfileRefused, match=f"^/{field}"):
        parse(document("stripe") | {field: value})


def test_a_document_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProfileRefused):
        parse([])


def test_stripe_knows_its_credential_its_key_window_and_its_forms() -> None:
    stripe = profile("stripe")
    assert stripe.credential == Bearer(secret="STRIPE_SECRET_KEY")
    assert stripe.idempotency is not None
    assert stripe.idempotency.window_ms == 23 * 3600 * 1000
    assert (stripe.form_style, stripe.default_encoding) == ("form-brackets", "form")
    assert stripe.keys("post")
    assert not stripe.keys("GET")
    assert stripe.live_key_prefixes == ("sk_live_", "rk_live_")


def test_twilio_has_a_basic_credential_and_no_idempotency() -> None:
    twilio = profile("twilio")
    assert twilio.credential == Basic(
        user_secret="TWILIO_ACCOUNT_SID", password_secret="TWILIO_AUTH_TOKEN"
    )
    assert twilio.idempotency is None
    assert not twilio.keys("POST")


def test_a_host_finds_its_profile_and_any_other_host_the_generic_one() -> None:
    profiles = [profile(name) for name in NAMES]
    known = [Provider(name=profile.name, hosts=profile.hosts) for profile in profiles]
    at = Endpoints(providers=known)
    assert at.provider("https://api.stripe.com/v1/x").name == "stripe"
    assert at.provider("https://API.twilio.com:443").name == "twilio"
    assert at.provider("https://api.stripe.com.evil.example").name == "generic"


def test_an_endpoint_has_its_own_limit_beside_the_accounts() -> None:
    limits = profile("stripe").limits
    applied = [x.name for x in limits if x.applies("post", "/v1/payment_intents/pi_1/confirm")]
    assert applied == ["account", "payment-intents-confirm"]


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("/v1/payment_intents/*/confirm", "/v1/payment_intents/pi_1/confirm", ("pi_1",)),
        ("/v1/payment_intents/*", "/v1/payment_intents/pi_1/confirm", None),
        ("/v1/payment_intents", "/v1/payment_intents", ()),
        ("/v1/payment_intents", "/v1/customers", None),
    ],
)
def test_a_star_stands_for_one_segment(
    pattern: str, path: str, found: tuple[str, ...] | None
) -> None:
    assert captures(pattern, path) == found


def test_a_lost_text_is_looked_up_by_who_and_what_and_never_by_date_sent() -> None:
    look_up = profile("twilio").look_up("POST", "/2010-04-01/Accounts/AC1/Messages.json")
    assert look_up is not None
    assert look_up.query == (("To", "To"), ("From", "From"))
    assert ("/body", "Body") in look_up.match
    assert look_up.created_format == "rfc2822"
    assert profile("twilio").look_up("GET", "/2010-04-01/Accounts/AC1/Messages.json") is None


def test_a_lost_confirm_is_looked_up_at_its_own_intent() -> None:
    look_up = profile("stripe").look_up("POST", "/v1/payment_intents/pi_1/confirm")
    assert look_up is not None
    assert look_up.ask == "/v1/payment_intents/{1}"
    assert look_up.items is None

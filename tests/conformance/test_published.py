"""Documents that others published run as published, or say why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.expressions.nodes import Constant, Input, Output, Text
from orchestrator.formats.load import FileSources
from orchestrator.plan.codec import decode, encode
from tests.unit.formats.loading import codes, loaded, published, refused, shipped_sources

CHARGE = "geo-stripe-payment-twilio-sms-confirm.yml"
DUNNING = "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
FINTECTURE = "fintecture-token-then-payment-workflow.yml"
OSOP = "ex-sop-stripe-payment.osop.yaml"

DUNNING_CODES = [
    "arazzo-double-quoted-string",
    "arazzo-path-parameter-in-payload",
    "arazzo-bare-expression",
]
FINTECTURE_CODES = [
    "arazzo-unqualified-operation",
    "arazzo-unqualified-operation",
    "arazzo-bare-expression",
    "arazzo-unqualified-operation",
    "arazzo-bare-expression",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (CHARGE, ["arazzo-double-quoted-string"]),
        (DUNNING, DUNNING_CODES),
        (FINTECTURE, FINTECTURE_CODES),
        (OSOP, []),
    ],
)
def test_a_published_document_loads_with_these_warnings(name: str, expected: list[str]) -> None:
    found = loaded(published(name), sources=shipped_sources())
    assert codes(found.diagnostics) == expected
    assert decode(encode(found.plan)) == found.plan


@pytest.mark.parametrize("name", [CHARGE, DUNNING, FINTECTURE])
def test_a_strict_reader_refuses_what_leans_on_leniency(name: str) -> None:
    lenient = loaded(published(name), sources=shipped_sources()).diagnostics
    strict = refused(published(name), sources=shipped_sources(), strict=True)
    assert codes(strict) == codes(lenient)


def test_the_dunning_text_has_the_payments_id_and_the_account_is_in_the_path() -> None:
    step = loaded(published(DUNNING), sources=shipped_sources()).plan.step("dunning-sms")
    assert step.call.server == "https://api.twilio.com/2010-04-01"
    assert step.call.path == (
        Constant("/Accounts/"),
        Input("accountSid"),
        Constant("/Messages.json"),
    )
    assert step.call.body is not None
    assert "AccountSid" not in str(step.call.body.value)
    assert str(Output("attempt-payment", "paymentId")) in str(step.call.body.value)


def test_the_bearer_token_is_put_together() -> None:
    step = loaded(published(FINTECTURE), sources=shipped_sources()).plan.step("getPayment")
    token = Output("mintToken", "accessToken")
    assert dict(step.call.headers)["Authorization"] == Text((Constant("Bearer "), token))


PUBLISHED_SOURCES = {
    CHARGE: {
        "stripeApi": "stripe-payment-intents-api-openapi.yml",
        "twilioMessagingApi": "twilio-messaging-openapi.yml",
    },
    DUNNING: {
        "stripeApi": "stripe-payment-intents-api-openapi.yml",
        "twilioApi": "twilio-messaging-openapi.yml",
    },
    FINTECTURE: {
        "oauthApi": "fintecture-oauth-api-openapi.yml",
        "pisApi": "fintecture-pis-api-openapi.yml",
    },
}


@pytest.mark.parametrize("name", PUBLISHED_SOURCES)
def test_the_published_descriptions_link_to_the_same_plan(name: str) -> None:
    """They dangle by the dozen, and name required headers that no seed sends."""
    folder = os.environ.get("DURAZZO_PUBLISHED_OPENAPI")
    if not folder:
        pytest.skip("DURAZZO_PUBLISHED_OPENAPI names no folder")
    given = {source: Path(folder) / file for source, file in PUBLISHED_SOURCES[name].items()}
    found = loaded(published(name), sources=FileSources(given=given))
    assert found.plan == loaded(published(name), sources=shipped_sources()).plan
    assert {d.severity for d in found.diagnostics} == {"warning"}

"""What sounds like a secret, or is made of one, is known by name."""

from __future__ import annotations

import pytest

from orchestrator.expressions.nodes import Constant, Input, Node, Output, ResponseBody, Text
from orchestrator.plan.secrets import is_secret, secret_outputs, sounds_secret
from tests.unit.formats.loading import loaded, published, shipped_sources


@pytest.mark.parametrize(
    "name",
    [
        "client_secret", "clientSecret", "accessToken", "access_token", "API-Key", "apiKey",
        "apikey", "secretKey", "PASSWORD", "Authorization", "X-Auth-Token", "signingKey",
    ],
)  # fmt: skip
def test_these_names_are_of_secrets(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize(
    "name",
    ["paymentId", "idempotencyKey", "key", "max_tokens", "monkey", "secretary", "status", ""],
)
def test_these_names_are_not(name: str) -> None:
    assert not sounds_secret(name)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (ResponseBody("/client_secret"), True),
        (ResponseBody("/data/tokens/0/access_token"), True),
        (Text((Constant("Bearer "), Input("accessToken"))), True),
        (Output("pay", "cs"), True),
        (Output("pay", "id"), False),
        (ResponseBody("/id"), False),
    ],
)
def test_a_value_is_a_secret_by_where_it_comes_from(node: Node, expected: bool) -> None:
    outputs = {"pay": {"cs": ResponseBody("/client_secret"), "id": ResponseBody("/id")}}
    assert is_secret(node, outputs) is expected


def test_of_the_published_token_flow_only_the_token_is_hidden() -> None:
    text = published("fintecture-token-then-payment-workflow.yml")
    plan = loaded(text, sources=shipped_sources()).plan
    assert secret_outputs(plan) == {"accessToken"}

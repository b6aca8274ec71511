"""The published OSOP payment against localstripe, as far as it can play it.

localstripe 1.15 takes no ``payment_method`` with a confirmation (500, "Not implemented"), and an
intent without one it does not confirm. Nobody plays Anthropic: the receipt is asked of Prism,
which has no such path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.formats.load import specs_folder
from tests.foreign.conftest import Durazzo
from tests.foreign.servers import LocalStripe

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(900)]

SEED = specs_folder() / "published" / "ex-sop-stripe-payment.osop.yaml"


def servers(durazzo: Durazzo) -> list[str]:
    return [
        "--server", f"https://api.stripe.com={durazzo.stripe}",
        "--server", f"https://api.anthropic.com={durazzo.twilio}",
    ]  # fmt: skip


def with_the_card_at_the_intent(folder: Path) -> Path:
    """The seed, its payment method named one step earlier."""
    document = yaml.safe_load(SEED.read_text())
    requests: dict[str, Any] = {node["id"]: node["runtime"] for node in document["nodes"]}
    card = requests["confirm_payment"].pop("body")
    requests["create_intent"]["body"] |= card
    file = folder / "payment.osop.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_a_confirmation_that_nobody_understands_is_unknown_and_starts_no_other_payment(
    durazzo: Durazzo, localstripe: LocalStripe
) -> None:
    """As published: 500s until the attempts are used up; the fallback edge is not taken."""
    done = durazzo("run", str(SEED), *servers(durazzo), "--json")
    assert done.code == 6, done.err
    assert done.steps() == [
        ("create_customer", "succeeded", 200),
        ("create_intent", "succeeded", 200),
        ("confirm_payment", "unknown", 500),
    ]
    (customer,) = localstripe.listed("customers")
    (intent,) = localstripe.listed("payment_intents")
    assert (intent["customer"], intent["status"]) == (customer["id"], "requires_payment_method")
    assert localstripe.listed("charges") == []


def test_the_payment_goes_as_far_as_the_receipt(
    durazzo: Durazzo, localstripe: LocalStripe, tmp_path: Path
) -> None:
    """One customer, one intent, one charge of it; the status is read before the receipt."""
    file = with_the_card_at_the_intent(tmp_path)
    done = durazzo("run", str(file), *servers(durazzo), "--json")
    assert done.code == 1, done.err
    assert done.steps() == [
        ("create_customer", "succeeded", 200),
        ("create_intent", "succeeded", 200),
        ("confirm_payment", "succeeded", 200),
        ("check_status", "succeeded", 200),
        ("send_receipt", "failed", 404),
    ]
    (customer,) = localstripe.listed("customers")
    assert (customer["email"], customer["name"]) == ("user@example.com", "John Doe")
    (intent,) = localstripe.listed("payment_intents")
    assert (intent["customer"], intent["status"]) == (customer["id"], "succeeded")
    assert localstripe.paid() == [(intent["id"], 2000)]

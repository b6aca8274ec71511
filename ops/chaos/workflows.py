"""The published workflows that a storm runs, and what of them moves money or texts somebody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.chaos.schedule import Customer
from ops.sandbox.settings import TWILIO_ACCOUNT_SID
from orchestrator.expressions.nodes import Json
from orchestrator.formats.load import specs_folder
from orchestrator.plan.model import Plan
from orchestrator.service import validate
from orchestrator.wiring import load_profiles

#: A number that Twilio itself gives to tests.
SENDER: Final = "+15005550006"
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    name: str
    document: str
    #: Gives every customer an order of their own.
    overlay: Path
    inputs: Callable[[Customer], Mapping[str, Json]]
    #: The step that takes the money.
    charges: str
    #: The step that sends the text, "" for none, and its words.
    texts: str = ""
    words: str = ""

    def plan(self) -> Plan:
        """Raises DocumentRefused."""
        file = specs_folder() / "published" / self.document
        return validate(file, load_profiles().values(), overlays=[self.overlay]).plan


def _charge_and_text(customer: Customer) -> dict[str, Json]:
    return {
        "amount": customer.amount,
        "currency": "usd",
        "paymentMethod": customer.card,
        "accountSid": TWILIO_ACCOUNT_SID,
        "toPhone": customer.phone,
        "fromPhone": SENDER,
        "order": customer.key,
    }


def _osop(customer: Customer) -> dict[str, Json]:
    return {
        "amount": customer.amount,
        "paymentMethod": customer.card,
        "email": f"{customer.key}@example.com",
        "order": customer.key,
    }


WORKFLOWS: Final[Mapping[str, Workflow]] = {
    "charge-and-text": Workflow(
        name="charge-and-text",
        document="geo-stripe-payment-twilio-sms-confirm.yml",
        overlay=_HERE / "charge-and-text.overlay.yaml",
        inputs=_charge_and_text,
        charges="create-payment",
        texts="send-confirmation",
        words="Your payment was received. Thank you for your order.",
    ),
    "osop": Workflow(
        name="osop",
        document="ex-sop-stripe-payment.osop.yaml",
        overlay=_HERE / "osop.overlay.yaml",
        inputs=_osop,
        charges="confirm_payment",
    ),
}

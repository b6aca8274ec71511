"""The acts as data: a document, its inputs, what goes wrong meanwhile, and what must come of it.

Each act's customer has a number of their own: the books call a second text with the same
words to one number a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.sandbox.settings import FINTECTURE_APP_ID, FINTECTURE_APP_SECRET, TWILIO_ACCOUNT_SID
from orchestrator.engine.state import Status
from orchestrator.expressions.nodes import Json
from orchestrator.formats.load import shipped, specs_folder

_CONFIRMATION: Final = "geo-stripe-payment-twilio-sms-confirm.yml"
_OSOP: Final = "ex-sop-stripe-payment.osop.yaml"
_BANK: Final = "fintecture-token-then-payment-workflow.yml"
_DUNNING: Final = "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
_BROKE: Final = "pm_card_visa_chargeDeclinedInsufficientFunds"
#: A number that Twilio itself gives to tests.
_SENDER: Final = "+15005550006"
_CHARGE: Final = "POST /stripe/v1/payment_intents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    name: str
    title: str
    #: What to look at, in a sentence.
    shows: str
    document: str
    inputs: Mapping[str, Json]
    #: By the name of a shipped one.
    overlay: str = ""
    #: For the sandbox, before the run is submitted.
    faults: tuple[Mapping[str, Any], ...] = ()
    #: The step and its output that hold a text which is worth reading.
    writes: tuple[str, str] | None = None
    #: In this step's call, once the provider has charged, the worker is killed.
    kill: str = ""
    state: Status = Status.SUCCEEDED
    charges: int = 0
    texts: int = 0
    #: Opened at a bank, for the payer to confirm.
    payments: int = 0
    #: That reach the providers, those without an answer as well.
    requests: int

    @property
    def file(self) -> Path:
        return specs_folder() / "published" / self.document

    @property
    def overlays(self) -> tuple[Path, ...]:
        return (shipped(specs_folder())[self.overlay],) if self.overlay else ()


def _confirmation(phone: str, card: str = "pm_card_visa", amount: int = 2000) -> dict[str, Json]:
    return {
        "amount": amount,
        "currency": "usd",
        "paymentMethod": card,
        "accountSid": TWILIO_ACCOUNT_SID,
        "toPhone": phone,
        "fromPhone": _SENDER,
    }


ACTS: Final = (
    Act(
        name="confirmation",
        title="Charge a card, then text the customer",
        shows="An Arazzo document as it was published: Stripe, then Twilio.",
        document=_CONFIRMATION,
        inputs=_confirmation("+15558675301"),
        charges=1,
        texts=1,
        requests=2,
    ),
    Act(
        name="receipt",
        title="The same kind of flow in OSOP, and a model that writes the receipt",
        shows="Customer, payment, confirmation, status; the prompt holds no secret.",
        document=_OSOP,
        inputs={},
        writes=("send_receipt", "text"),
        charges=1,
        requests=5,
    ),
    Act(
        name="bank-payment",
        title="A bank payment with Fintecture",
        shows="Fintecture refuses it as published: --overlay token-then-payment-real.",
        document=_BANK,
        overlay="token-then-payment-real",
        inputs={
            "clientId": FINTECTURE_APP_ID,
            "clientSecret": FINTECTURE_APP_SECRET,
            "amount": "25.00",
            "currency": "EUR",
            "communication": "Order 1042",
            "requestId": "7a1e5f0c-52c4-4d0b-9d57-0d7a3f1c9b10",
            "psuName": "Ada Example",
            "psuEmail": "ada@example.com",
            "state": "order-1042",
        },
        payments=1,
        requests=3,
    ),
    Act(
        name="dunning",
        title="A declined card, and the reminder that follows",
        shows="Stripe declines with HTTP 402: --overlay failed-payment-dunning-real.",
        document=_DUNNING,
        overlay="failed-payment-dunning-real",
        inputs={
            "amount": 2000,
            "currency": "usd",
            "paymentMethod": _BROKE,
            "accountSid": TWILIO_ACCOUNT_SID,
            "toNumber": "+15558675304",
            "fromNumber": _SENDER,
        },
        texts=1,
        requests=2,
    ),
    Act(
        name="decline",
        title="A card without money",
        shows="The run fails with the provider's own code, and nobody is texted.",
        document=_CONFIRMATION,
        inputs=_confirmation("+15558675305", card=_BROKE),
        state=Status.FAILED,
        requests=1,
    ),
    Act(
        name="outage",
        title="Stripe has an outage",
        shows="A 503, an answer that is lost after the charge, another 503; then it is back.",
        document=_CONFIRMATION,
        inputs=_confirmation("+15558675306", amount=3000),
        faults=(
            {"match": _CHARGE, "do": "status", "status": 503},
            {"match": _CHARGE, "do": "drop_after"},
            {"match": _CHARGE, "do": "status", "status": 503},
        ),
        charges=1,
        texts=1,
        requests=5,
    ),
    Act(
        name="kill",
        title="A worker is killed in the middle of a charge",
        shows="Stripe has charged, the answer never arrives: another worker carries on.",
        document=_CONFIRMATION,
        inputs=_confirmation("+15558675307", amount=4000),
        faults=({"match": _CHARGE, "do": "latency", "ms": 20_000, "after": True},),
        kill="create-payment",
        charges=1,
        texts=1,
        requests=3,
    ),
)

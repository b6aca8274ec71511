"""A PaymentIntent: its states, what a confirmation makes of it, and how it looks as JSON.

requires_payment_method ──► requires_confirmation ──► succeeded
          ▲    (declined)           │        ▲
          └─────────────────────────┤        │ (customer authenticates)
                                    └► requires_action
any of the three "requires": ──► canceled
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from ops.sandbox.stripe.cards import AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, Card, Decline


class Status(StrEnum):
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


CANCELABLE: Final = frozenset(Status) - {Status.SUCCEEDED, Status.CANCELED}


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method: one card under its own `pm_` name."""

    id: str
    card: Card
    created: float

    def body(self) -> dict[str, object]:
        return {
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None},
            "card": {
                "brand": self.card.brand,
                "checks": {"cvc_check": "pass"},
                "country": "US",
                "exp_month": 12,
                "exp_year": 2034,
                "funding": "credit",
                "last4": self.card.last4,
            },
            "created": int(self.created),
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A payment that was tried in vain."""

    decline: Decline
    charge: str | None
    method: Method

    def members(self) -> dict[str, object]:
        charge = {} if self.charge is None else {"charge": self.charge}
        return self.decline.members() | charge | {"payment_method": self.method.body()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the caller said about one confirmation."""

    method: Method
    off_session: bool = False
    #: Ask for no action of the customer: decline instead.
    error_on_action: bool = False
    return_url: str | None = None
    #: The idempotency key of the call.
    key: str | None = None
    #: Where the customer would authenticate.
    authentication_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    id: str
    client_secret: str
    amount: int
    currency: str
    created: float
    status: Status
    customer: str | None
    metadata: Mapping[str, str]
    method: Method | None
    method_types: tuple[str, ...]
    #: `always` or `never`; None when the caller named the payment method types instead.
    allow_redirects: str | None
    #: Members that are kept as they were said: `description`, `receipt_email`, …
    remarks: Mapping[str, str] = field(default_factory=dict)
    latest_charge: str | None = None
    failure: Failure | None = None
    #: The confirmation that waits for the customer.
    pending: Terms | None = None
    canceled_at: float | None = None
    cancellation_reason: str | None = None

    def body(self) -> dict[str, object]:
        paid = self.status is Status.SUCCEEDED
        remark = self.remarks.get
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": self.amount if paid else 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None
            if self.allow_redirects is None
            else {"allow_redirects": self.allow_redirects, "enabled": True},
            "canceled_at": None if self.canceled_at is None else int(self.canceled_at),
            "cancellation_reason": self.cancellation_reason,
            "capture_method": remark("capture_method", "automatic_async"),
            "client_secret": self.client_secret,
            "confirmation_method": "automatic",
            "created": int(self.created),
            "currency": self.currency,
            "customer": self.customer,
            "description": remark("description"),
            "last_payment_error": None if self.failure is None else self.failure.members(),
            "latest_charge": self.latest_charge,
            "livemode": False,
            "metadata": dict(self.metadata),
            "next_action": None if self.pending is None else _next_action(self.pending),
            "on_behalf_of": None,
            "payment_method": None if self.method is None else self.method.id,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": self.method_types,
            "processing": None,
            "receipt_email": remark("receipt_email"),
            "review": None,
            "setup_future_usage": remark("setup_future_usage"),
            "shipping": None,
            "source": None,
            "statement_descriptor": remark("statement_descriptor"),
            "statement_descriptor_suffix": remark("statement_descriptor_suffix"),
            "status": self.status.value,
            "transfer_data": None,
            "transfer_group": remark("transfer_group"),
        }


def with_method(intent: Intent, method: Method | None) -> Intent:
    ready = Status.REQUIRES_PAYMENT_METHOD if method is None else Status.REQUIRES_CONFIRMATION
    return replace(intent, status=ready, method=method, pending=None)


def confirmed(intent: Intent, terms: Terms, charge: str) -> Intent:
    """The intent after a confirmation. It took money exactly if it has succeeded."""
    if terms.method.card.authenticates:
        return _authenticating(intent, terms, charge)
    if (decline := terms.method.card.decline) is not None:
        return _declined(intent, Failure(decline, charge, terms.method))
    return _paid(intent, terms.method, charge)


def authenticated(intent: Intent, terms: Terms, charge: str, *, success: bool) -> Intent:
    """The intent after the customer came back from authentication."""
    if success:
        return _paid(intent, terms.method, charge)
    return _declined(intent, Failure(AUTHENTICATION_FAILED, None, terms.method))


def canceled(intent: Intent, reason: str | None, now: float) -> Intent:
    return replace(
        intent,
        status=Status.CANCELED,
        canceled_at=now,
        cancellation_reason=reason,
        pending=None,
    )


def _authenticating(intent: Intent, terms: Terms, charge: str) -> Intent:
    if terms.off_session or terms.error_on_action:
        return _declined(intent, Failure(AUTHENTICATION_REQUIRED, charge, terms.method))
    return replace(
        intent,
        status=Status.REQUIRES_ACTION,
        method=terms.method,
        failure=None,
        pending=terms,
    )


def _paid(intent: Intent, method: Method, charge: str) -> Intent:
    return replace(
        intent,
        status=Status.SUCCEEDED,
        method=method,
        latest_charge=charge,
        failure=None,
        pending=None,
    )


def _declined(intent: Intent, failure: Failure) -> Intent:
    return replace(
        intent,
        status=Status.REQUIRES_PAYMENT_METHOD,
        method=None,
        latest_charge=failure.charge or intent.latest_charge,
        failure=failure,
        pending=None,
    )


def _next_action(terms: Terms) -> dict[str, object]:
    if terms.return_url is None:
        return {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {
                "type": "three_d_secure_redirect",
                "stripe_js": terms.authentication_url,
            },
        }
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": terms.return_url, "url": terms.authentication_url},
    }

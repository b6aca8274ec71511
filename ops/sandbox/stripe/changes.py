"""What a call changes of a payment intent that is there, without confirming it.

That a change of amount, currency or payment method takes back a confirmation that waits for the
customer is this sandbox's reading of "might need to confirm the PaymentIntent again".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ops.sandbox.stripe import money
from ops.sandbox.stripe.errors import refusal, unplayed
from ops.sandbox.stripe.intents import CANCELABLE, Intent, Status, with_method
from ops.sandbox.stripe.known import METHOD_TYPES
from ops.sandbox.stripe.params import Params

_CLEARABLE: Final = (
    "description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix",
    "transfer_group",
)  # fmt: skip
REMARKS: Final = frozenset({*_CLEARABLE, "capture_method", "setup_future_usage"})
PLAYED: Final = REMARKS | {
    "amount", "currency", "customer", "metadata", "payment_method", "payment_method_types",
}  # fmt: skip
#: What a payment that is over keeps. Of the others, notes may be written on it still.
_SETTLED: Final = (
    "amount", "capture_method", "currency", "customer", "payment_method", "payment_method_types",
    "setup_future_usage", "statement_descriptor", "statement_descriptor_suffix",
)  # fmt: skip
#: What the customer would be asked to authenticate.
_TERMS: Final = ("amount", "currency", "payment_method_types")


def changed(intent: Intent, params: Params) -> Intent:
    """The intent with all but the payment method that the call names."""
    code = params.text("currency")
    code = intent.currency if code is None else money.currency(code)
    amount = params.integer("amount", low=1) or intent.amount
    if "amount" in params or "currency" in params:
        money.check_amount(amount, code)
    after = replace(
        intent,
        amount=amount,
        currency=code,
        customer=_customer(intent, params),
        metadata=params.metadata(intent.metadata),
        method_types=method_types(params) or intent.method_types,
        remarks={
            **{name: text for name, text in intent.remarks.items() if not params.clears(name)},
            **remarks(params),
        },
    )
    again = intent.status is Status.REQUIRES_ACTION and any(name in params for name in _TERMS)
    return with_method(after, after.method) if again else after


def too_late(intent: Intent, params: Params) -> str | None:
    """Stripe's words when the payment is over and the call would change what was paid."""
    late = next((name for name in _SETTLED if name in params), None)
    if intent.status in CANCELABLE or late is None:
        return None
    return (
        f"This PaymentIntent's {late} could not be updated because it has a status of "
        f"{intent.status.value}. You may only update the {late} of a PaymentIntent with one of the "
        "following statuses: requires_payment_method, requires_confirmation, requires_action."
    )


def remarks(params: Params) -> Mapping[str, str]:
    """What is kept as it was said."""
    said = {name: params.clearable_text(name) for name in _CLEARABLE}
    usage = "setup_future_usage"
    if not params.clears(usage):
        said[usage] = params.choice(usage, ("off_session", "on_session"))
    capture = params.choice("capture_method", ("automatic", "automatic_async", "manual"))
    if capture == "manual":
        raise unplayed("parameter capture_method=manual")
    said["capture_method"] = capture
    return {name: text for name, text in said.items() if text is not None}


def method_types(params: Params) -> tuple[str, ...] | None:
    types = params.items("payment_method_types")
    for each in types or ():
        if each in METHOD_TYPES:
            raise unplayed(f"payment method type {each}")
        if each != "card":
            raise refusal(
                f"The payment method type provided: {each} is invalid. Please ensure the provided "
                "type is activated in your dashboard "
                "(https://dashboard.stripe.com/account/payments/settings) and your account is "
                "enabled for any preview features that you are trying to use.",
                param="payment_method_types",
            )
    return types


def _customer(intent: Intent, params: Params) -> str | None:
    """Even the same customer is not said twice."""
    customer = params.text("customer")
    if customer is not None and intent.customer is not None:
        raise refusal(
            "You cannot modify `customer` on a PaymentIntent once it already has been set. To "
            "fulfill a payment with a different Customer, cancel this PaymentIntent and create a "
            "new one.",
            param="customer",
        )
    return customer or intent.customer

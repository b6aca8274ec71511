"""Stripe's test payment methods and what becomes of a payment with each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is refused. Absent members are left out of the error, as Stripe does."""

    code: str
    message: str
    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None

    def members(self) -> dict[str, object]:
        said: dict[str, str | None] = {
            "advice_code": self.advice_code,
            "decline_code": self.decline_code,
            "network_decline_code": self.network_decline_code,
        }
        page = self.code.replace("_", "-")
        always: dict[str, object] = {
            "code": self.code,
            "doc_url": f"https://stripe.com/docs/error-codes/{page}",
            "message": self.message,
            "type": "card_error",
        }
        return always | {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Card:
    brand: str
    last4: str
    #: None for a good card.
    decline: Decline | None = None
    #: Whether the customer has to prove who they are first (3-D Secure).
    authenticates: bool = False


AUTHENTICATION_REQUIRED: Final = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AUTHENTICATION_FAILED: Final = Decline(
    "payment_intent_authentication_failure",
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or "
    "a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
)


def _declined(reason: str, advice: str, network: str | None, message: str | None = None) -> Decline:
    return Decline("card_declined", message or "Your card was declined.", reason, advice, network)


# The last digits are those of Stripe's test numbers. Reason, advice and network code of the generic
# decline are recorded; the other advice and network codes are this sandbox's reading of the docs.
_DECLINES: Final = {
    "chargeDeclined": ("0002", _declined("generic_decline", "try_again_later", "01")),
    "chargeDeclinedInsufficientFunds": (
        "9995",
        _declined(
            "insufficient_funds", "try_again_later", "51", "Your card has insufficient funds."
        ),
    ),
    "chargeDeclinedLostCard": ("9987", _declined("lost_card", "do_not_try_again", "41")),
    "chargeDeclinedStolenCard": ("9979", _declined("stolen_card", "do_not_try_again", "43")),
    "chargeDeclinedFraudulent": ("0019", _declined("fraudulent", "do_not_try_again", None)),
    "chargeDeclinedVelocityLimitExceeded": (
        "6975",
        _declined("card_velocity_exceeded", "try_again_later", "65"),
    ),
    "chargeDeclinedExpiredCard": (
        "0069",
        Decline("expired_card", "Your card has expired.", advice_code="confirm_card_data"),
    ),
    "chargeDeclinedIncorrectCvc": (
        "0127",
        Decline(
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            advice_code="confirm_card_data",
        ),
    ),
    "chargeDeclinedProcessingError": (
        "0119",
        Decline(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            advice_code="try_again_later",
        ),
    ),
    "chargeCustomerFail": ("0341", _declined("generic_decline", "try_again_later", "01")),
}


def _declining() -> Iterable[tuple[str, Card]]:
    """Each decline under both spellings that Stripe's pages use for one or the other."""
    for name, (last4, decline) in _DECLINES.items():
        card = Card("visa", last4, decline)
        yield f"pm_card_{name}", card
        yield f"pm_card_visa_{name}", card


TEST_CARDS: Final[dict[str, Card]] = {
    "pm_card_visa": Card("visa", "4242"),
    "pm_card_visa_debit": Card("visa", "5556"),
    "pm_card_mastercard": Card("mastercard", "4444"),
    "pm_card_mastercard_debit": Card("mastercard", "8210"),
    "pm_card_mastercard_prepaid": Card("mastercard", "5100"),
    "pm_card_amex": Card("amex", "8431"),
    "pm_card_discover": Card("discover", "1117"),
    "pm_card_diners": Card("diners", "0004"),
    "pm_card_jcb": Card("jcb", "0505"),
    "pm_card_unionpay": Card("unionpay", "0005"),
    "pm_card_threeDSecure2Required": Card("visa", "3220", authenticates=True),
    "pm_card_authenticationRequired": Card("visa", "3184", authenticates=True),
    **dict(_declining()),
}

# Other tokens of Stripe's page on testing: general knowledge, and not all of them.
_COUNTRIES: Final = (
    "ae", "ar", "at", "au", "be", "bg", "br", "by", "ca", "ch", "cl", "cn", "co", "cr", "cy", "cz",
    "de", "dk", "ec", "ee", "es", "fi", "fr", "gb", "gi", "gr", "hk", "hr", "hu", "ie", "in", "it",
    "jp", "li", "lt", "lu", "lv", "mt", "mx", "my", "nl", "no", "nz", "pa", "pe", "pl", "pt", "py",
    "ro", "sa", "se", "sg", "si", "sk", "th", "tr", "tw", "us", "uy",
)  # fmt: skip
_BEHAVIOURS: Final = (
    "authenticationRequiredChargeDeclinedInsufficientFunds", "authenticationRequiredOnSetup",
    "authenticationRequiredSetupForOffSession", "avsFail", "avsLine1Fail", "avsUnchecked",
    "avsZipFail", "bypassPending", "bypassPendingInternational", "createDispute",
    "createDisputeInquiry", "createDisputeProductNotReceived", "createMultipleDisputes",
    "cvcCheckFail", "pendingRefund", "radarBlock", "refundFail", "riskLevelElevated",
    "riskLevelHighest", "threeDSecureOptional",
)  # fmt: skip
_BANKS: Final = ("acssDebit", "auBecsDebit", "bacsDebit", "sepaDebit", "usBankAccount")
#: Stripe has test payment methods of these names, and they are not played.
UNPLAYED_TOKENS: Final = frozenset({
    *(f"pm_card_{name}" for name in (*_COUNTRIES, *_BEHAVIOURS)),
    *(f"pm_{bank}{rest}" for bank in _BANKS for rest in ("", "_success")),
})

"""Twilio's errors, in Twilio's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ops.sandbox.exchange import Answer, RefusedError
from ops.sandbox.unplayed import NotPlayedError

_BARE: Final[Mapping[int, tuple[int, str]]] = {
    401: (20003, "Authenticate"),
    404: (20404, "The requested resource was not found"),
    429: (20429, "Too Many Requests"),
    500: (20500, "An internal server error has occurred"),
    503: (20503, "Service unavailable"),
}


def problem(code: int, message: str, *, status: int = 400) -> Answer:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Answer(status=status, body=body)


def refusal(code: int, message: str, *, status: int = 400) -> RefusedError:
    return RefusedError(problem(code, message, status=status))


def failure(status: int) -> Answer:
    """What Twilio says with a bare status."""
    code, message = _BARE.get(status, (20001, "The sandbox was told to answer this"))
    return problem(code, message, status=status)


def unauthenticated() -> RefusedError:
    return RefusedError(failure(401))


def too_many() -> RefusedError:
    return RefusedError(failure(429))


def not_found(path: str) -> RefusedError:
    return refusal(20404, f"The requested resource {path} was not found", status=404)


def not_a_form() -> RefusedError:
    return refusal(20415, "Unsupported media type", status=415)


def unplayed(what: str) -> NotPlayedError:
    """Twilio has it and the sandbox has not."""
    return NotPlayedError(f"Twilio's {what}")


# Numbers

_MAGIC_SENDERS: Final[Mapping[str, int]] = {
    "+15005550001": 21212,
    "+15005550007": 21606,
    "+15005550008": 21611,
}
_MAGIC_RECIPIENTS: Final[Mapping[str, int]] = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
_ABOUT_NUMBERS: Final[Mapping[int, str]] = {
    21211: "The 'To' number {to} is not a valid phone number.",
    21212: "The 'From' number {sender} is not a valid phone number, shortcode, or alphanumeric "
    "sender ID.",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' "
    "number: {to}.",
    21606: "The From phone number {sender} is not a valid, SMS-capable inbound phone number or "
    "short code for your account.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "SMS queue is full.",
    21612: "The 'To' phone number: {to}, is not currently reachable using the 'From' phone number: "
    "{sender} via SMS.",
    21614: "To number: {to}, is not a mobile number",
}


def about_numbers(code: int, *, sender: str, to: str) -> RefusedError:
    return refusal(code, _ABOUT_NUMBERS[code].format(sender=sender, to=to))


def magic(*, sender: str, to: str) -> RefusedError | None:
    """What Twilio's magic numbers for test credentials stand for."""
    code = _MAGIC_SENDERS.get(sender) or _MAGIC_RECIPIENTS.get(to)
    return None if code is None else about_numbers(code, sender=sender, to=to)

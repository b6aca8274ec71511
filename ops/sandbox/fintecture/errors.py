"""Fintecture's errors, in Fintecture's shape.

Status, code, and the codes in `errors` are Fintecture's; which of them a case gets where its pages
do not say, and all titles and messages, are this sandbox's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ops.sandbox.exchange import Answer, RefusedError
from ops.sandbox.unplayed import NotPlayedError

_CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    429: "too_many_requests",
    500: "internal_server_error",
    503: "service_unavailable",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with a call."""

    code: str
    message: str

    def body(self) -> dict[str, object]:
        title = self.code.replace("_", " ").capitalize()
        return {"code": self.code, "title": title, "message": self.message}


def problem(status: int, *flaws: Flaw) -> Answer:
    body = {
        "status": str(status),
        "code": _CODES.get(status, "sandbox"),
        "errors": [flaw.body() for flaw in flaws],
    }
    return Answer(status=status, body=body)


def refusal(status: int, *flaws: Flaw) -> RefusedError:
    return RefusedError(problem(status, *flaws))


def failure(status: int) -> Answer:
    """What Fintecture says with a bare status."""
    code = _CODES.get(status, "sandbox")
    return problem(status, Flaw(code, "The sandbox was told to answer this."))


def missing(field: str) -> Flaw:
    return Flaw("mandatory_field_missing", f"The field {field} is mandatory.")


def wrong(field: str, expected: str) -> Flaw:
    return Flaw("invalid_field", f"The field {field} must be {expected}.")


def unplayed(what: str) -> NotPlayedError:
    """Fintecture has it and the sandbox has not."""
    return NotPlayedError(f"Fintecture's {what}")


def unknown_app() -> RefusedError:
    return refusal(401, Flaw("invalid_app_id", "The app id or its secret is missing or wrong."))


def wrong_scope() -> RefusedError:
    return refusal(401, Flaw("invalid_scopes", "The scope is missing or unknown."))


def invalid_token() -> RefusedError:
    return refusal(401, Flaw("invalid_token", "The access token is missing, unknown or over."))


def too_many() -> RefusedError:
    return refusal(429, Flaw("too_many_requests", "Too many requests."))


def not_found(what: str) -> RefusedError:
    return refusal(404, Flaw("not_found", f"There is no {what}."))

"""Anthropic's errors, in Anthropic's shape."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from ops.sandbox.exchange import Answer, RefusedError
from ops.sandbox.unplayed import NotPlayedError

_KINDS: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES: Final[Mapping[int, str]] = {
    413: "Request exceeds the maximum size",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


def problem(status: int, message: str) -> Answer:
    usual = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _KINDS[400]
    error = {"type": _KINDS.get(status, usual), "message": message}
    headers = {"retry-after": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    return Answer(status=status, body={"type": "error", "error": error}, headers=headers)


def failure(status: int) -> Answer:
    """What Anthropic says with a bare status."""
    return problem(status, _MESSAGES.get(status, "The sandbox was told to answer this"))


def invalid(message: str) -> RefusedError:
    return RefusedError(problem(400, message))


def unplayed(what: str) -> NotPlayedError:
    """Anthropic has it and the sandbox has not."""
    return NotPlayedError(f"Anthropic's {what}")


def no_key() -> RefusedError:
    return RefusedError(problem(401, "x-api-key header is required"))


def wrong_key() -> RefusedError:
    return RefusedError(problem(401, "invalid x-api-key"))


def not_found(what: str) -> RefusedError:
    return RefusedError(problem(404, what))


def too_fast() -> RefusedError:
    return RefusedError(failure(429))

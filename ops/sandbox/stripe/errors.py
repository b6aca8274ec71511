"""Stripe's answers and errors, in Stripe's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from ops.sandbox.exchange import Answer, RefusedError
from ops.sandbox.unplayed import NotPlayedError

INVALID: Final = "invalid_request_error"
_LIMITED: Final = "Stripe-Rate-Limited-Reason"
_NONE: Final[Mapping[str, str]] = {}


def problem(
    status: int,
    message: str,
    *,
    kind: str = INVALID,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] = _NONE,
    **more: object,
) -> Answer:
    """An error body: absent members are left out, as Stripe does."""
    error: dict[str, object] = {"message": message, "type": kind}
    if code is not None:
        page = code.replace("_", "-")
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{page}"}
    if param is not None:
        error["param"] = param
    return Answer(status=status, body={"error": error | more}, headers=headers)


def refusal(
    message: str,
    *,
    status: int = 400,
    code: str | None = None,
    param: str | None = None,
    kind: str = INVALID,
) -> RefusedError:
    """The idempotency key of the call stays free."""
    return RefusedError(problem(status, message, kind=kind, code=code, param=param))


def unplayed(what: str) -> NotPlayedError:
    """Stripe has it and the sandbox has not. The idempotency key stays free here as well."""
    return NotPlayedError(f"Stripe's {what}")


def no_key() -> RefusedError:
    return refusal(
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for details, or we can help at "
        "https://support.stripe.com/.",
        status=401,
    )


def wrong_key(key: str) -> RefusedError:
    masked = key[:8] + "*" * max(4, len(key) - 12) + key[-4:]
    return refusal(f"Invalid API Key provided: {masked}", status=401)


def live_key() -> RefusedError:
    return refusal(
        "This is a sandbox, not Stripe, and it was sent a LIVE key. Nothing was done. Take the key "
        "out of whatever sent it here, and use the sandbox's own test key.",
        status=401,
    )


def not_a_form() -> RefusedError:
    return refusal(
        "Invalid request (check that your POST content type is application/x-www-form-urlencoded). "
        "If you have any questions, we can help at https://support.stripe.com/."
    )


def unrecognized(method: str, path: str) -> RefusedError:
    return refusal(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
        status=404,
    )


def too_fast(reason: str) -> RefusedError:
    """`reason`: as Stripe names it, `endpoint-rate` or `global-rate`."""
    answer = failure(429)
    return RefusedError(replace(answer, headers={_LIMITED: reason}))


def locked() -> RefusedError:
    return refusal(
        "This object cannot be accessed right now because another API request or Stripe process is "
        "currently accessing it. If you see this error intermittently, retry the request. If you "
        "see this error frequently and are making multiple concurrent requests to a single object, "
        "make your requests serially or at a lower rate.",
        status=429,
        code="lock_timeout",
    )


def key_in_use(key: str) -> RefusedError:
    return refusal(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        status=409,
        code="idempotency_key_in_use",
    )


def other_params(key: str) -> RefusedError:
    return refusal(
        "Keys for idempotent requests can only be used with the same parameters they were first "
        f"used with. Try using a key other than '{key}' if you meant to execute a different "
        "request.",
        kind="idempotency_error",
    )


def other_path(key: str, first: str, now: str) -> RefusedError:
    return refusal(
        "Keys for idempotent requests can only be used for the same endpoint they were first used "
        f"for ('{now}' vs '{first}'). Try using a key other than '{key}' if you meant to execute "
        "a different request.",
        kind="idempotency_error",
    )


def missing(what: str, name: str, *, status: int, param: str) -> Answer:
    return problem(status, f"No such {what}: '{name}'", code="resource_missing", param=param)


def failure(status: int) -> Answer:
    """What Stripe says with a bare status."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return problem(
            429,
            "Request rate limit exceeded. Learn more about rate limits here "
            "https://stripe.com/docs/rate-limits.",
            code="rate_limit",
            headers={_LIMITED: "endpoint-rate"},
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(
            status,
            "An unknown error occurred. If the problem persists, let us know at "
            "https://support.stripe.com/.",
            kind="api_error",
        )
    return problem(status, "The sandbox was told to answer this.")

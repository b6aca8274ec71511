"""Stripe's face: credentials, limits, paths, idempotency, and the headers of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from ops.sandbox.books import Books
from ops.sandbox.exchange import (
    FORM,
    Answer,
    Call,
    Ids,
    RefusedError,
    Reply,
    basic_credentials,
    bearer_token,
    media_type,
    own_url,
)
from ops.sandbox.paths import Paths
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import StripeSettings
from ops.sandbox.stripe import errors, known
from ops.sandbox.stripe.customers import Customers
from ops.sandbox.stripe.idempotency import Busy, Fresh, Keys, Mismatch, Outcome
from ops.sandbox.stripe.listing import listed, searched
from ops.sandbox.stripe.params import Params
from ops.sandbox.stripe.payments import Circumstances, Payments

_VERSION: Final = "2025-11-17.clover"
_MAX_KEY: Final = 255

#: Given the name in the path, "" where there is none.
_Run = Callable[[str, Params, Circumstances], Answer]


@dataclass(frozen=True, slots=True)
class _Operation:
    #: What the rate limit counts: `POST /v1/payment_intents/:id/confirm`.
    endpoint: str
    run: Callable[[Params, Circumstances], Answer]
    #: The payment intent that is locked meanwhile.
    locks: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A call on its way through: what it is, and what is to happen to it."""

    call: Call
    request_id: str
    key: str | None
    pause: float
    instead: Reply | None


class Stripe:
    def __init__(
        self, *, settings: StripeSettings, books: Books, ids: Ids, documented: bool
    ) -> None:
        self._settings = settings
        self._ids = ids
        self._customers = Customers(ids)
        self._payments = Payments(
            books=books,
            ids=ids,
            customers=self._customers,
            redirect_methods=settings.redirect_methods,
            documented=documented,
        )
        self._keys = Keys()
        self._rate = RateLimit(settings.rate, strict=settings.strict)
        self._account_rate = RateLimit(settings.account_rate, strict=settings.strict)
        self._locked: set[str] = set()
        self._runs = _runs(self._customers, self._payments)
        self._paths = Paths(*self._runs)

    @property
    def played(self) -> Sequence[str]:
        return tuple(self._runs)

    def size(self) -> int:
        return len(self._customers) + self._payments.size() + len(self._keys)

    def failure(self, status: int) -> Reply:
        return self._stamped(errors.failure(status), self._ids.letters("req_", 14), None)

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        request_id = self._ids.letters("req_", 14)
        key = None
        try:
            key = _key(call)
            attempt = _Attempt(
                call=call, request_id=request_id, key=key, pause=pause, instead=instead
            )
            return await self._answer(attempt)
        except RefusedError as refused:
            return self._stamped(refused.answer, request_id, key)

    async def _answer(self, attempt: _Attempt) -> Reply:
        call = attempt.call
        if (customer := _authenticating(call)) is not None:
            return self._authenticate(customer, attempt)
        self._check_credentials(call)
        operation = self._operation(call)
        if not self._rate.admits(operation.endpoint, call.at):
            raise errors.too_fast("endpoint-rate")
        if not self._account_rate.admits("", call.at):
            raise errors.too_fast("global-rate")
        params = _params(call)
        if attempt.key is None:
            return await self._carry_out(operation, params, attempt)
        return await self._once(attempt.key, operation, params, attempt)

    async def _once(
        self, key: str, operation: _Operation, params: Params, attempt: _Attempt
    ) -> Reply:
        """Carries out, unless a call with this key already was: then its answer, word for word."""
        call = attempt.call
        match self._keys.claim(key, path=call.path, params=params.fingerprint(), now=call.at):
            case Outcome() as outcome:
                return _replayed(outcome, attempt)
            case Busy():
                raise errors.key_in_use(key)
            case Mismatch(first_path) if first_path != call.path:
                raise errors.other_path(key, first_path, call.path)
            case Mismatch():
                raise errors.other_params(key)
            case Fresh():
                return await self._first(key, operation, params, attempt)

    async def _first(
        self, key: str, operation: _Operation, params: Params, attempt: _Attempt
    ) -> Reply:
        outcome = None
        try:
            reply = await self._carry_out(operation, params, attempt)
            outcome = Outcome(
                status=reply.status,
                body=reply.body,
                headers=dict(reply.headers),
                request_id=attempt.request_id,
            )
        finally:
            self._keys.settle(key, outcome)
        return reply

    async def _carry_out(self, operation: _Operation, params: Params, attempt: _Attempt) -> Reply:
        call = attempt.call
        with self._lock(operation.locks):
            if attempt.pause:
                await asyncio.sleep(attempt.pause)
            if attempt.instead is not None:
                return self._with_ids(attempt.instead, attempt.request_id, attempt.key)
            answer = operation.run(params, _circumstances(call, attempt.key))
        return self._stamped(answer, attempt.request_id, attempt.key, executed=True)

    @contextmanager
    def _lock(self, name: str | None) -> Iterator[None]:
        """Two writes on one object never overlap. Stripe would wait for a while first."""
        if name is None:
            yield
            return
        if name in self._locked:
            raise errors.locked()
        self._locked.add(name)
        try:
            yield
        finally:
            self._locked.discard(name)

    def _authenticate(self, name: str, attempt: _Attempt) -> Reply:
        """The page where the customer of a 3-D Secure payment would say yes, or `?outcome=fail`."""
        call = attempt.call
        success = call.query != "outcome=fail"
        answer = self._payments.authenticate(name, success=success, now=call.at)
        return self._stamped(answer, attempt.request_id, None, executed=True)

    def _check_credentials(self, call: Call) -> None:
        key = _api_key(call)
        if not key:
            raise errors.no_key()
        if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
            raise errors.live_key()
        if key != self._settings.secret_key:
            raise errors.wrong_key(key)

    def _operation(self, call: Call) -> _Operation:
        found = self._paths.find(call.method, call.path)
        if found is None:
            real = known.PATHS.find(call.method, call.path)
            if real is not None:
                raise errors.unplayed(real.endpoint)
            raise errors.unrecognized(call.method, call.path)
        run = self._runs[found.endpoint]
        name = "".join(found.names)
        return _Operation(
            found.endpoint,
            lambda params, at: run(name, params, at),
            locks=name if call.method == "POST" and name else None,
        )

    def _stamped(
        self, answer: Answer, request_id: str, key: str | None, *, executed: bool = False
    ) -> Reply:
        error = answer.body.get("error")
        if isinstance(error, dict):
            log = f"https://dashboard.stripe.com/test/logs/{request_id}"
            answer = replace(answer, body={"error": error | {"request_log_url": log}})
        return self._with_ids(answer.reply(executed=executed), request_id, key)

    def _with_ids(self, reply: Reply, request_id: str, key: str | None) -> Reply:
        headers = {
            "Content-Type": "application/json",
            **reply.headers,
            "Request-Id": request_id,
            "Stripe-Version": _VERSION,
        }
        if key is not None:
            headers |= {"Idempotency-Key": key, "Original-Request": request_id}
        return replace(reply, headers=headers)


def _runs(customers: Customers, payments: Payments) -> Mapping[str, _Run]:
    """By method and path. The order counts: a search is not the intent of that name."""
    intents = payments.intents
    customer_of = {"customer": lambda intent: intent.customer}
    return {
        "GET /v1/customers": lambda _, p, _at: customers.page(p),
        "POST /v1/customers": lambda _, p, at: customers.create(p, at.now),
        "GET /v1/customers/:id": lambda name, p, _at: customers.get(name, p),
        "GET /v1/payment_intents": lambda _, p, _at: listed(intents, p, customer_of),
        "POST /v1/payment_intents": lambda _, p, at: payments.create(p, at),
        "GET /v1/payment_intents/search": lambda _, p, _at: searched(intents, p),
        "GET /v1/payment_intents/:id": lambda name, p, _at: payments.get(name, p),
        "POST /v1/payment_intents/:id": payments.update,
        "POST /v1/payment_intents/:id/cancel": lambda name, p, at: payments.cancel(name, p, at.now),
        "POST /v1/payment_intents/:id/confirm": payments.confirm,
    }


def _replayed(outcome: Outcome, attempt: _Attempt) -> Reply:
    headers = outcome.headers | {
        "Request-Id": attempt.request_id,
        "Original-Request": outcome.request_id,
        "Idempotent-Replayed": "true",
    }
    return Reply(status=outcome.status, body=outcome.body, headers=headers)


def _key(call: Call) -> str | None:
    """The idempotency key. On a GET it has no effect."""
    key = call.headers.get("Idempotency-Key", "")
    if call.method != "POST" or not key:
        return None
    if len(key) > _MAX_KEY or not key.isascii():
        raise errors.refusal(f"Idempotency keys are ASCII, of {_MAX_KEY} characters at most.")
    return key


def _api_key(call: Call) -> str | None:
    if (token := bearer_token(call)) is not None:
        return token
    credentials = basic_credentials(call)
    return None if credentials is None else credentials[0]


def _authenticating(call: Call) -> str | None:
    prefix = "/authenticate/"
    asked = call.method == "GET" and call.path.startswith(prefix)
    return call.path.removeprefix(prefix) if asked else None


def _params(call: Call) -> Params:
    if call.method != "POST":
        return Params(call.query)
    if call.body and media_type(call) != FORM:
        raise errors.not_a_form()
    return Params(call.body.decode("utf-8", "replace"))


def _circumstances(call: Call, key: str | None) -> Circumstances:
    return Circumstances(
        now=call.at,
        key=key,
        version=call.headers.get("Stripe-Version"),
        base_url=own_url(call, "stripe"),
    )

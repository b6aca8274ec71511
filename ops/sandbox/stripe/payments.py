"""What can be done with payment intents.

Operations run to their end without waiting, so on one event loop each is atomic, and money that is
taken is in the books before the answer exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.sandbox.books import Books, Charge
from ops.sandbox.exchange import Answer, Ids, ok
from ops.sandbox.stripe import changes, known, money
from ops.sandbox.stripe.cards import TEST_CARDS, UNPLAYED_TOKENS
from ops.sandbox.stripe.customers import Customers
from ops.sandbox.stripe.errors import missing, problem, refusal, unplayed
from ops.sandbox.stripe.intents import (
    CANCELABLE,
    Failure,
    Intent,
    Method,
    Status,
    Terms,
    authenticated,
    canceled,
    confirmed,
    with_method,
)
from ops.sandbox.stripe.listing import Objects
from ops.sandbox.stripe.params import Params

# Known to Stripe, without any effect that an answer of the sandbox could show.
_HARMLESS: Final = frozenset({"mandate_data", "radar_options"})
#: What only a confirmation has a use for: refused when there is none.
_WITH_CONFIRM: Final = (
    "error_on_requires_action", "mandate_data", "off_session", "return_url",
)  # fmt: skip
_TERMS: Final = _HARMLESS | {*_WITH_CONFIRM, "payment_method", "use_stripe_sdk"}
_CREATE: Final = changes.PLAYED | _TERMS | {"automatic_payment_methods", "confirm"}
_CONFIRM: Final = _TERMS | {"client_secret"}

_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
_OFF_SESSION: Final = ("true", "false", "one_off", "recurring")
#: Since this version a payment without `payment_method_types` takes what the dashboard has.
_AUTOMATIC_SINCE: Final = "2023-08-16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an operation has to know about the call beside its parameters."""

    now: float
    key: str | None
    version: str | None
    #: Where the customer's browser reaches the sandbox's Stripe.
    base_url: str


class Payments:
    def __init__(
        self,
        *,
        books: Books,
        ids: Ids,
        customers: Customers,
        redirect_methods: bool,
        documented: bool,
    ) -> None:
        self._books = books
        self._ids = ids
        self._customers = customers
        self._redirect_methods = redirect_methods
        self._documented = documented
        self._methods: dict[str, Method] = {}
        self.intents: Objects[Intent] = Objects("payment_intent")

    def size(self) -> int:
        return len(self.intents) + len(self._methods)

    def create(self, params: Params, at: Circumstances) -> Answer:
        params.must_be_among(_CREATE, real=known.CREATE)
        draft = self._draft(params, at)
        confirm = params.flag("confirm")
        _check_terms(params)
        if not confirm:
            _check_unconfirmed(params)
        if draft.customer is not None and draft.customer not in self._customers:
            return missing("customer", draft.customer, status=400, param="customer")
        given = self._given(draft, params, at)
        if isinstance(given, Answer):
            return given
        self.intents.keep(given)
        return self._confirm(given, params, at) if confirm else ok(given.body())

    def update(self, name: str, params: Params, at: Circumstances) -> Answer:
        params.must_be_among(changes.PLAYED, real=known.UPDATE)
        intent = self.intents.find(name)
        if intent is None:
            return _no_intent(name)
        if (late := changes.too_late(intent, params)) is not None:
            return _unexpected(intent, late)
        after = changes.changed(intent, params)
        if after.customer is not None and after.customer not in self._customers:
            return missing("customer", after.customer, status=400, param="customer")
        if params.clears("payment_method"):
            return ok(self.intents.keep(with_method(after, None)).body())
        given = self._given(after, params, at)
        return given if isinstance(given, Answer) else ok(self.intents.keep(given).body())

    def confirm(self, name: str, params: Params, at: Circumstances) -> Answer:
        params.must_be_among(_CONFIRM, real=known.CONFIRM)
        _check_terms(params)
        intent = self.intents.find(name)
        if intent is None:
            return _no_intent(name)
        if intent.status not in CANCELABLE:
            return _unexpected(intent, _cannot_confirm(intent))
        given = self._given(intent, params, at)
        return given if isinstance(given, Answer) else self._confirm(given, params, at)

    def cancel(self, name: str, params: Params, now: float) -> Answer:
        params.must_be_among({"cancellation_reason"}, real={"expand"})
        reason = params.choice("cancellation_reason", _REASONS)
        intent = self.intents.find(name)
        if intent is None:
            return _no_intent(name)
        if intent.status not in CANCELABLE:
            return _unexpected(intent, _cannot_cancel(intent))
        return ok(self.intents.keep(canceled(intent, reason, now)).body())

    def get(self, name: str, params: Params) -> Answer:
        params.must_be_among({"client_secret"}, real={"expand"})
        intent = self.intents.find(name)
        return _no_intent(name) if intent is None else ok(intent.body())

    def authenticate(self, name: str, *, success: bool, now: float) -> Answer:
        """The customer's part of a payment that requires action."""
        intent = self.intents.find(name)
        if intent is None or intent.pending is None:
            return problem(404, "There is no payment here that waits for authentication.")
        terms = intent.pending
        charge = self._ids.letters("ch_", 24)
        done = self.intents.keep(authenticated(intent, terms, charge, success=success))
        self._book(done, terms.key, now)
        return ok({"payment_intent": done.id, "status": done.status.value})

    def _draft(self, params: Params, at: Circumstances) -> Intent:
        name = self._ids.letters("pi_", 24)
        types = changes.method_types(params)
        amount = params.needed_integer("amount", low=1)
        currency = money.currency(params.needed_text("currency"))
        money.check_amount(amount, currency)
        return Intent(
            id=name,
            client_secret=self._ids.letters(f"{name}_secret_", 25),
            amount=amount,
            currency=currency,
            created=at.now,
            status=Status.REQUIRES_PAYMENT_METHOD,
            customer=params.text("customer"),
            metadata=params.metadata(),
            method=None,
            method_types=types or ("card",),
            allow_redirects=_allow_redirects(params, at.version, named_types=types is not None),
            remarks=changes.remarks(params),
        )

    def _given(self, intent: Intent, params: Params, at: Circumstances) -> Intent | Answer:
        """The intent with the payment method that the call names, if it names one."""
        token = params.text("payment_method")
        if token is None:
            return intent
        method = self._method(token, at.now)
        if method is None:
            return missing("PaymentMethod", token, status=400, param="payment_method")
        return with_method(intent, method)

    def _method(self, token: str, now: float) -> Method | None:
        """A new payment method for a test token, or one that an earlier payment made of it."""
        card = TEST_CARDS.get(token)
        if card is None:
            if token in UNPLAYED_TOKENS:
                raise unplayed(f"test payment method {token}")
            return self._methods.get(token)
        method = Method(self._ids.letters("pm_", 24), card, now)
        self._methods[method.id] = method
        return method

    def _confirm(self, intent: Intent, params: Params, at: Circumstances) -> Answer:
        if intent.method is None:
            return _unexpected(intent, _METHOD_MISSING)
        return_url = params.text("return_url")
        if self._redirect_methods and intent.allow_redirects == "always" and return_url is None:
            bare = self.intents.keep(with_method(intent, None))
            return problem(400, _RETURN_URL_MISSING, payment_intent=bare.body())
        terms = Terms(
            method=intent.method,
            off_session=params.text("off_session") not in {None, "false"},
            error_on_action=params.flag("error_on_requires_action"),
            return_url=return_url,
            key=at.key,
            authentication_url=f"{at.base_url}/authenticate/{intent.id}",
        )
        done = self.intents.keep(confirmed(intent, terms, self._ids.letters("ch_", 24)))
        self._book(done, at.key, at.now)
        # The published description has no 402: there a declined payment is one that wants a card.
        if done.failure is None or self._documented:
            return ok(done.body())
        return _card_error(done, done.failure)

    def _book(self, intent: Intent, key: str | None, now: float) -> None:
        if intent.status is not Status.SUCCEEDED or intent.latest_charge is None:
            return
        self._books.charged(
            Charge(
                payment_intent=intent.id,
                charge=intent.latest_charge,
                amount=intent.amount,
                currency=intent.currency,
                key=key,
                customer=intent.customer,
                metadata=intent.metadata,
                created=now,
            )
        )


_METHOD_MISSING: Final = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
    "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
    "directly with a payment method or ConfirmationToken."
)
_RETURN_URL_MISSING: Final = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because "
    "some of these payment methods might redirect your customer off of your page, you must provide "
    "a `return_url`. If you don't want to accept redirect-based payment methods, set "
    "`automatic_payment_methods[enabled]` to `true` and "
    "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
    "Payment Intents."
)


def _check_terms(params: Params) -> None:
    """Refuses wrong values before anything is done, whether or not they come to be used."""
    params.choice("off_session", _OFF_SESSION)
    params.flag("error_on_requires_action")
    params.flag("use_stripe_sdk")
    params.text("payment_method")
    params.text("return_url")


def _check_unconfirmed(params: Params) -> None:
    for name in _WITH_CONFIRM:
        if name in params:
            raise refusal(
                f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless "
                "`confirm` is set to true.",
                param=name,
            )


def _allow_redirects(params: Params, version: str | None, *, named_types: bool) -> str | None:
    automatic = params.object("automatic_payment_methods", ("allow_redirects", "enabled"))
    if automatic is None:
        by_default = version is None or version[:10] >= _AUTOMATIC_SINCE
        return "always" if by_default and not named_types else None
    enabled = params.flag_of("automatic_payment_methods", automatic, "enabled")
    redirects = automatic.get("allow_redirects", "always")
    if redirects not in {"always", "never"}:
        param = "automatic_payment_methods[allow_redirects]"
        raise refusal(f"Invalid {param}: must be one of always, never", param=param)
    return redirects if enabled else None


def _no_intent(name: str) -> Answer:
    return missing("payment_intent", name, status=404, param="intent")


def _unexpected(intent: Intent, message: str) -> Answer:
    code = "payment_intent_unexpected_state"
    return problem(400, message, code=code, payment_intent=intent.body())


def _cannot_confirm(intent: Intent) -> str:
    if intent.status is Status.SUCCEEDED:
        return (
            "You cannot confirm this PaymentIntent because it has already succeeded after being "
            "previously confirmed."
        )
    return (
        f"You cannot confirm this PaymentIntent because it has a status of {intent.status.value}. "
        "Only a PaymentIntent with one of the following statuses may be confirmed: "
        "requires_confirmation, requires_action."
    )


def _cannot_cancel(intent: Intent) -> str:
    return (
        f"You cannot cancel this PaymentIntent because it has a status of {intent.status.value}. "
        "Only a PaymentIntent with one of the following statuses may be canceled: "
        "requires_payment_method, requires_capture, requires_reauthorization, "
        "requires_confirmation, requires_action, processing."
    )


def _card_error(intent: Intent, failure: Failure) -> Answer:
    error = failure.members() | {"payment_intent": intent.body()}
    return Answer(status=402, body={"error": error}, headers={"Stripe-Should-Retry": "false"})

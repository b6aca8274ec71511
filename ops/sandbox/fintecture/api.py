"""Fintecture's face: credentials, limits, paths.

- `POST /oauth/accesstoken`: Basic `app_id:app_secret` for a token of an hour.
- `POST /pis/v2/connect`: opens a payment session. Nothing is idempotent here: `x-request-id` is for
  tracing, and each call opens another session.
- `GET /pis/v2/payments/{session_id}`, and `GET /pis/v2/payments` for the latest of them, or for the
  latest of one status (`filter[status]`). No other filter is played, and no second page.
- `GET /connect/{session_id}`: the payer's page, which says yes, or no with `?outcome=fail`.

Inferred, for want of a recorded answer: which error code a wrong grant gets, that a list is of the
latest hundred, and what `orders`, `shapes` and `errors` name. Signatures are not asked for, as in
Fintecture's own sandbox. In the documented world a token is minted for `client_id` and
`client_secret` in the form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ops.sandbox.books import Books, Payment
from ops.sandbox.exchange import (
    FORM,
    Answer,
    Call,
    Ids,
    RefusedError,
    Reply,
    basic_credentials,
    bearer_token,
    carried_out,
    form_pairs,
    media_type,
    ok,
    own_url,
)
from ops.sandbox.fintecture import errors, known
from ops.sandbox.fintecture.orders import read_order
from ops.sandbox.fintecture.sessions import Session, Sessions, Stage
from ops.sandbox.fintecture.shapes import Documented, Real, Shape
from ops.sandbox.fintecture.tokens import Tokens
from ops.sandbox.paths import Paths
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import FintectureSettings

_SCOPE: Final = "PIS"
_GRANT: Final = "client_credentials"
_LISTED: Final = 100
_MINT: Final = "POST /oauth/accesstoken"
#: The payer's: this one is the sandbox's own.
_PAGE: Final = Paths("GET /connect/:id")

#: Given the name in the path, "" where there is none.
_Run = Callable[[str, Call], Answer]


@dataclass(frozen=True, slots=True)
class _Operation:
    #: What the rate limit counts.
    endpoint: str
    run: Callable[[Call], Answer]
    #: Whether only the bearer of an access token may do it.
    token: bool = True


class Fintecture:
    def __init__(
        self, *, settings: FintectureSettings, books: Books, ids: Ids, documented: bool
    ) -> None:
        self._settings = settings
        self._books = books
        self._ids = ids
        self._documented = documented
        self._shape: Shape = Documented() if documented else Real()
        self._tokens = Tokens(ids, lifetime=settings.expires_in)
        self._sessions = Sessions(settings=settings, ids=ids)
        self._rate = RateLimit(settings.rate)
        self._runs: Mapping[str, _Run] = {
            _MINT: lambda _, call: self._mint(call),
            "POST /pis/v2/connect": lambda _, call: self._connect(call),
            "GET /pis/v2/payments": lambda _, call: self._list(call),
            "GET /pis/v2/payments/:id": self._payment,
        }
        self._paths = Paths(*self._runs)

    @property
    def played(self) -> Sequence[str]:
        return tuple(self._runs)

    def size(self) -> int:
        return len(self._tokens) + len(self._sessions)

    def failure(self, status: int) -> Reply:
        return self._logged(errors.failure(status))

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        try:
            operation = self._operation(call)
            if operation.token and not self._tokens.holds(bearer_token(call) or "", call.at):
                raise errors.invalid_token()
            if not self._rate.admits(operation.endpoint, call.at):
                raise errors.too_many()
            return await carried_out(lambda: operation.run(call), pause=pause, instead=instead)
        except RefusedError as refused:
            return self._logged(refused.answer)

    def _operation(self, call: Call) -> _Operation:
        if (page := _PAGE.find(call.method, call.path)) is not None:
            (payer,) = page.names
            return _Operation(page.endpoint, lambda at: self._pay(payer, at), token=False)
        found = self._paths.find(call.method, call.path)
        if found is None:
            real = known.PATHS.find(call.method, call.path)
            if real is not None:
                raise errors.unplayed(real.endpoint)
            raise errors.not_found(f"{call.method} {call.path}")
        run, name = self._runs[found.endpoint], "".join(found.names)
        return _Operation(found.endpoint, lambda at: run(name, at), token=found.endpoint != _MINT)

    def _mint(self, call: Call) -> Answer:
        form = _form(call)
        if self._documented:
            known = (form.get("client_id"), form.get("client_secret")) == self._app
        else:
            known = basic_credentials(call) == self._app
            known = known and form.get("app_id", self._settings.app_id) == self._settings.app_id
        if not known:
            raise errors.unknown_app()
        _check_grant(form)
        return ok({
            "token_type": "Bearer",
            "access_token": self._tokens.mint(call.at),
            "expires_in": self._settings.expires_in,
            "scope": _SCOPE,
        })

    @property
    def _app(self) -> tuple[str, str]:
        return self._settings.app_id, self._settings.app_secret

    def _connect(self, call: Call) -> Answer:
        order = read_order(call, documented=self._documented)
        session = self._sessions.begin(order, call.at)
        self._books.opened(
            Payment(
                session_id=session.id,
                amount=order.amount,
                currency=order.currency,
                communication=order.communication,
                created=call.at,
                status=lambda now: self._status(self._found(session.id), now),
            )
        )
        url = f"{own_url(call, 'fintecture')}/connect/{session.id}"
        return ok(self._shape.opened(session, url))

    def _payment(self, name: str, call: Call) -> Answer:
        return ok(self._shape.payment(self._found(name), call.at))

    def _list(self, call: Call) -> Answer:
        status = _status_filter(call)
        listed = self._sessions.newest(
            _LISTED, lambda each: status in {"", self._status(each, call.at)}
        )
        return ok(self._shape.payments(listed, call.at))

    def _pay(self, name: str, call: Call) -> Answer:
        stage = Stage.REFUSED if call.query == "outcome=fail" else Stage.PAID
        session = self._sessions.settle(name, stage, call.at)
        if session is None:
            raise errors.not_found("payment here that waits for its payer")
        return ok({"session_id": session.id, "status": self._status(session, call.at)})

    def _found(self, name: str) -> Session:
        session = self._sessions.find(name)
        if session is None:
            raise errors.not_found("such payment session")
        return session

    def _status(self, session: Session, now: float) -> str:
        return self._shape.status(session.stage(now))

    def _logged(self, answer: Answer) -> Reply:
        body = {**answer.body, "log_id": self._ids.hexadecimal("")}
        return replace(answer, body=body).reply()


def _status_filter(call: Call) -> str:
    try:
        query = dict(form_pairs(call.query))
    except ValueError:
        raise errors.refusal(400, errors.wrong("query", "of fewer parameters")) from None
    if query.keys() - {"filter[status]"}:
        raise errors.unplayed("other parameters of GET /pis/v2/payments than filter[status]")
    return query.get("filter[status]", "")


def _form(call: Call) -> Mapping[str, str]:
    if media_type(call) != FORM:
        raise errors.refusal(400, errors.wrong("Content-Type", FORM))
    try:
        return dict(form_pairs(call.body.decode("utf-8", "replace")))
    except ValueError:
        raise errors.refusal(400, errors.wrong("body", "of fewer fields")) from None


def _check_grant(form: Mapping[str, str]) -> None:
    grant = form.get("grant_type")
    if not grant:
        raise errors.refusal(400, errors.missing("grant_type"))
    if grant in known.GRANTS:
        raise errors.unplayed(f"grant_type {grant}")
    if grant != _GRANT:
        raise errors.refusal(400, errors.wrong("grant_type", _GRANT))
    scope = form.get("scope", "")
    if scope in known.SCOPES:
        raise errors.unplayed(f"scope {scope}")
    if scope != _SCOPE:
        raise errors.wrong_scope()

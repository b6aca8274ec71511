"""Twilio's face: credentials, limits, paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    carried_out,
    form_pairs,
    media_type,
    ok,
)
from ops.sandbox.paths import Found, Paths
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import TwilioSettings
from ops.sandbox.twilio import errors, known
from ops.sandbox.twilio.messages import Messages

_SEND: Final = f"POST {known.ACCOUNT}/Messages.json"
_LIST: Final = f"GET {known.ACCOUNT}/Messages.json"
_FETCH: Final = f"GET {known.ACCOUNT}/Messages/:Sid.json"
_PLAYED: Final = (_SEND, _LIST, _FETCH)
_PATHS: Final = Paths(*_PLAYED)


class Twilio:
    def __init__(self, *, settings: TwilioSettings, books: Books, ids: Ids) -> None:
        self._settings = settings
        self._ids = ids
        self._messages = Messages(settings=settings, books=books, ids=ids)
        self._rate = RateLimit(settings.rate)
        self._at_once = 0

    def size(self) -> int:
        return len(self._messages)

    @property
    def played(self) -> Sequence[str]:
        return _PLAYED

    def failure(self, status: int) -> Reply:
        return errors.failure(status).reply()

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        self._at_once += 1
        try:
            reply = await self._answer(call, pause, instead)
        except RefusedError as refused:
            reply = refused.answer.reply()
        finally:
            at_once = self._at_once
            self._at_once -= 1
        headers = {
            **reply.headers,
            "Twilio-Concurrent-Requests": str(at_once),
            "Twilio-Request-Id": self._ids.hexadecimal("RQ"),
        }
        return replace(reply, headers=headers)

    async def _answer(self, call: Call, pause: float, instead: Reply | None) -> Reply:
        self._check_credentials(call)
        found = self._found(call)
        if not self._rate.admits(found.endpoint, call.at):
            raise errors.too_many()
        return await carried_out(lambda: self._run(call, found), pause=pause, instead=instead)

    def _run(self, call: Call, found: Found) -> Answer:
        if found.endpoint == _SEND:
            return Answer(status=201, body=self._messages.send(_form(call), call.at))
        if found.endpoint == _LIST:
            return ok(self._messages.page(_fields(call.query), call.at))
        message = self._messages.get(found.names[-1], call.at)
        if message is None:
            raise errors.not_found(call.path)
        return ok(message)

    def _check_credentials(self, call: Call) -> None:
        given = basic_credentials(call)
        settings = self._settings
        accepted = {
            settings.account_sid: settings.auth_token,
            settings.api_key_sid: settings.api_key_secret,
        }
        if given is None or accepted.get(given[0]) != given[1]:
            raise errors.unauthenticated()

    def _found(self, call: Call) -> Found:
        """What is asked for. An empty or another's account SID is not found."""
        played = _PATHS.find(call.method, call.path)
        found = played or known.PATHS.find(call.method, call.path)
        if found is None or found.names[:1] not in {(), (self._settings.account_sid,)}:
            raise errors.not_found(call.path)
        if played is None:
            raise errors.unplayed(found.endpoint)
        return played


def _form(call: Call) -> dict[str, str]:
    if call.body and media_type(call) != FORM:
        raise errors.not_a_form()
    return _fields(call.body.decode("utf-8", "replace"))


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(form_pairs(text))
    except ValueError:
        raise errors.refusal(20001, "Too many parameters") from None

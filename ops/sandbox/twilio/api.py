"""Twilio's face: credentials, limits, paths."""

from __future__ import annotations

import asyncio
from typing import Final

from ops.sandbox.books import Books
from ops.sandbox.exchange import (
    FORM,
    Body,
    Call,
    Ids,
    Reply,
    basic_credentials,
    encoded,
    form_pairs,
    media_type,
)
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import TwilioSettings
from ops.sandbox.twilio import errors
from ops.sandbox.twilio.errors import RefusedError
from ops.sandbox.twilio.messages import Messages

_JSON: Final = {"Content-Type": "application/json"}


class Twilio:
    def __init__(self, *, settings: TwilioSettings, books: Books, ids: Ids) -> None:
        self._settings = settings
        self._ids = ids
        self._messages = Messages(settings=settings, books=books, ids=ids)
        self._rate = RateLimit(settings.rate)
        self._at_once = 0

    def size(self) -> int:
        return len(self._messages)

    def failure(self, status: int) -> Reply:
        return errors.failure(status)

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        self._at_once += 1
        try:
            reply = await self._answer(call, pause, instead)
        except RefusedError as refused:
            reply = refused.reply
        finally:
            at_once = self._at_once
            self._at_once -= 1
        headers = {
            **reply.headers,
            "Twilio-Concurrent-Requests": str(at_once),
            "Twilio-Request-Id": self._ids.hexadecimal("RQ"),
        }
        return Reply(status=reply.status, body=reply.body, headers=headers, executed=reply.executed)

    async def _answer(self, call: Call, pause: float, instead: Reply | None) -> Reply:
        self._check_credentials(call)
        resource = self._resource(call)
        if not self._rate.admits(f"{call.method} {resource[:1]}", call.at):
            raise errors.too_many()
        if pause:
            await asyncio.sleep(pause)
        if instead is not None:
            return instead
        match call.method, resource:
            case "POST", ["Messages.json"]:
                sent = self._messages.send(_form(call), call.at)
                return Reply(status=201, body=encoded(sent), headers=_JSON, executed=True)
            case "GET", ["Messages.json"]:
                return _ok(self._messages.page(_fields(call.query), call.at))
            case "GET", ["Messages", name] if name.endswith(".json"):
                found = self._messages.get(name.removesuffix(".json"), call.at)
                if found is not None:
                    return _ok(found)
                raise errors.not_found(call.path)
            case _:
                raise errors.not_found(call.path)

    def _check_credentials(self, call: Call) -> None:
        given = basic_credentials(call)
        settings = self._settings
        accepted = {
            settings.account_sid: settings.auth_token,
            settings.api_key_sid: settings.api_key_secret,
        }
        if given is None or accepted.get(given[0]) != given[1]:
            raise errors.unauthenticated()

    def _resource(self, call: Call) -> list[str]:
        """The path below the account. An empty or another's account SID is not found."""
        prefix = f"/2010-04-01/Accounts/{self._settings.account_sid}/"
        if not call.path.startswith(prefix):
            raise errors.not_found(call.path)
        return call.path.removeprefix(prefix).split("/")


def _ok(body: Body) -> Reply:
    return Reply(status=200, body=encoded(body), headers=_JSON, executed=True)


def _form(call: Call) -> dict[str, str]:
    if call.body and media_type(call) != FORM:
        raise errors.not_a_form()
    return _fields(call.body.decode("utf-8", "replace"))


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(form_pairs(text))
    except ValueError:
        raise errors.refusal(20001, "Too many parameters") from None

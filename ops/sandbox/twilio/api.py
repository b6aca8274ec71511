"""Twilio's face: credentials, limits, paths."""

from __future__ import annotations

from dataclasses import replace

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
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import TwilioSettings
from ops.sandbox.twilio import errors
from ops.sandbox.twilio.messages import Messages


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
        resource = self._resource(call)
        if not self._rate.admits(f"{call.method} {resource[:1]}", call.at):
            raise errors.too_many()
        return await carried_out(lambda: self._run(call, resource), pause=pause, instead=instead)

    def _run(self, call: Call, resource: list[str]) -> Answer:
        match call.method, resource:
            case "POST", ["Messages.json"]:
                return Answer(status=201, body=self._messages.send(_form(call), call.at))
            case "GET", ["Messages.json"]:
                return ok(self._messages.page(_fields(call.query), call.at))
            case "GET", ["Messages", name] if name.endswith(".json"):
                found = self._messages.get(name.removesuffix(".json"), call.at)
                if found is not None:
                    return ok(found)
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


def _form(call: Call) -> dict[str, str]:
    if call.body and media_type(call) != FORM:
        raise errors.not_a_form()
    return _fields(call.body.decode("utf-8", "replace"))


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(form_pairs(text))
    except ValueError:
        raise errors.refusal(20001, "Too many parameters") from None

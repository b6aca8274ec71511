"""Anthropic's face: credentials, limits, the one path. A repeated call writes again.

`POST /v1/messages` needs `x-api-key` and `anthropic-version`. The words of the errors are in part
this sandbox's own; their types are Anthropic's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ops.sandbox.anthropic import errors, known
from ops.sandbox.anthropic.prompts import Prompt, read_prompt
from ops.sandbox.anthropic.receipts import written
from ops.sandbox.books import Books, Generation
from ops.sandbox.exchange import Answer, Call, Ids, RefusedError, Reply, carried_out, ok
from ops.sandbox.rate import RateLimit
from ops.sandbox.settings import AnthropicSettings

_MESSAGES: Final = "/v1/messages"
_VERSION: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", re.ASCII)


class Anthropic:
    def __init__(self, *, settings: AnthropicSettings, books: Books, ids: Ids) -> None:
        self._settings = settings
        self._books = books
        self._ids = ids
        self._rate = RateLimit(settings.rate)
        self._written = 0

    def size(self) -> int:
        return self._written

    @property
    def played(self) -> Sequence[str]:
        return (f"POST {_MESSAGES}",)

    def failure(self, status: int) -> Reply:
        return self._identified(errors.failure(status))

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        try:
            self._check_key(call)
            _check_path(call)
            version = _version(call)
            if not self._rate.admits(_MESSAGES, call.at):
                raise errors.too_fast()
            prompt = read_prompt(call.body, version=version)
            reply = await carried_out(
                lambda: self._write(prompt, call.at), pause=pause, instead=instead
            )
        except RefusedError as refused:
            return self._identified(refused.answer)
        headers = {"request-id": self._ids.letters("req_", 24), **reply.headers}
        return replace(reply, headers=headers)

    def _check_key(self, call: Call) -> None:
        key = call.headers.get("x-api-key", "")
        if not key:
            raise errors.no_key()
        if key != self._settings.api_key:
            raise errors.wrong_key()

    def _write(self, prompt: Prompt, now: float) -> Answer:
        done = written(prompt)
        name = self._ids.letters("msg_", 24)
        self._written += 1
        self._books.generated(
            Generation(
                id=name,
                model=prompt.model,
                stop_reason=done.stop_reason,
                prompt=prompt.digest(),
                created=now,
            )
        )
        return ok({
            "id": name,
            "type": "message",
            "role": "assistant",
            "model": prompt.model,
            "content": [] if done.text is None else [{"type": "text", "text": done.text}],
            "stop_reason": done.stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": done.input_tokens, "output_tokens": done.output_tokens},
        })

    def _identified(self, answer: Answer) -> Reply:
        name = self._ids.letters("req_", 24)
        body = {**answer.body, "request_id": name}
        return replace(answer, body=body).reply({"request-id": name})


def _check_path(call: Call) -> None:
    if (call.method, call.path) == ("POST", _MESSAGES):
        return
    real = known.PATHS.find(call.method, call.path)
    if real is not None:
        raise errors.unplayed(real.endpoint)
    raise errors.not_found(f"Not found: {call.method} {call.path}")


def _version(call: Call) -> str:
    version = call.headers.get("anthropic-version", "")
    if not version:
        raise errors.invalid("anthropic-version: header is required")
    if _VERSION.fullmatch(version) is None:
        raise errors.invalid("anthropic-version: not a valid version")
    return version

"""What passes between the server and a provider: a call, a reply, and the promise of a provider."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import parse_qsl

#: Seconds since the epoch.
Clock = Callable[[], float]

#: A JSON object that is about to be sent.
Body = Mapping[str, object]

FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 1_000
_NO_HEADERS: Final[Mapping[str, str]] = {}
_ALPHANUMERIC: Final = bytes.maketrans(b"+/", b"0z")
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a provider, its body read to the end."""

    method: str
    #: Below the provider's prefix: `/v1/customers`.
    path: str
    query: str
    #: Looked up without regard to case.
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the provider answers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The operation was carried out for this very call: true for a declined card, false for a
    #: refusal (credentials, limits, bad parameters) and for the replay of a stored answer.
    executed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation comes to, before the provider puts its ids on it."""

    status: int
    body: Body
    headers: Mapping[str, str] = field(default_factory=dict)

    def reply(self, headers: Mapping[str, str] = _NO_HEADERS, *, executed: bool = False) -> Reply:
        """As JSON; `headers` go on top of the answer's own."""
        return Reply(
            status=self.status,
            body=encoded(self.body),
            headers={"Content-Type": "application/json", **self.headers, **headers},
            executed=executed,
        )


def ok(body: Body) -> Answer:
    return Answer(status=200, body=body)


class RefusedError(Exception):
    """The call is answered without being carried out."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Provider(Protocol):
    """One API that the sandbox looks like."""

    @property
    def played(self) -> Sequence[str]:
        """The calls of the real API that are carried out: `GET /v1/customers/:id`."""

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        """Answers one call. NotPlayedError for what the real API has and the sandbox has not.

        `pause` seconds pass before the operation is carried out, while whatever the real API
        holds during a call (idempotency key, lock) is held. With `instead`, nothing is carried
        out, but the reply is kept as the real API keeps the outcome of a call.
        """

    def failure(self, status: int) -> Reply:
        """What this API sends with a status when it says no more about it."""

    def size(self) -> int:
        """How many objects it remembers."""


class Ids:
    """Names as the providers give them. Not secrets: nothing is protected by them."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def letters(self, prefix: str, length: int) -> str:
        some = base64.b64encode(self._source.randbytes(length)).translate(_ALPHANUMERIC)
        return prefix + some[:length].decode()

    def hexadecimal(self, prefix: str) -> str:
        return f"{prefix}{self._source.getrandbits(128):032x}"


async def carried_out(run: Callable[[], Answer], *, pause: float, instead: Reply | None) -> Reply:
    """Runs after the pause, or only says something else: of an API that keeps no outcomes."""
    if pause:
        await asyncio.sleep(pause)
    return run().reply(executed=True) if instead is None else instead


def encoded(body: Body) -> bytes:
    return _COMPACT.encode(body).encode()


def form_pairs(text: str) -> list[tuple[str, str]]:
    """The fields of a form or a query in their order, blank ones too. ValueError if too many."""
    return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)


def json_document(body: bytes) -> object:
    """ValueError if it is not JSON, or nested too deep."""
    try:
        document: object = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return document


def own_url(call: Call, prefix: str) -> str:
    """Where a browser reaches the provider under this prefix."""
    return f"http://{call.headers.get('Host', '127.0.0.1')}/{prefix}"


def media_type(call: Call) -> str:
    return call.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def bearer_token(call: Call) -> str | None:
    return _authorization(call, "bearer")


def basic_credentials(call: Call) -> tuple[str, str] | None:
    """User and password of HTTP Basic, or None when there are none that can be read."""
    token = _authorization(call, "basic")
    if token is None:
        return None
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def _authorization(call: Call, scheme: str) -> str | None:
    """What follows the scheme in the Authorization header; None under another scheme."""
    said, _, rest = call.headers.get("Authorization", "").partition(" ")
    return rest.strip() if said.lower() == scheme else None

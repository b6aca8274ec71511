"""What passes between the server and a provider: a call, a reply, and the promise of a provider."""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import parse_qsl

#: Seconds since the epoch.
Clock = Callable[[], float]

#: A JSON object that is about to be sent.
Body = Mapping[str, object]

FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 1_000
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


class Provider(Protocol):
    """One API that the sandbox looks like."""

    async def answer(self, call: Call, *, pause: float, instead: Reply | None) -> Reply:
        """Answers one call.

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


def encoded(body: Body) -> bytes:
    return _COMPACT.encode(body).encode()


def form_pairs(text: str) -> list[tuple[str, str]]:
    """The fields of a form or a query in their order, blank ones too. ValueError if too many."""
    return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)


def media_type(call: Call) -> str:
    return call.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def basic_credentials(call: Call) -> tuple[str, str] | None:
    """User and password of HTTP Basic, or None when there are none that can be read."""
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None

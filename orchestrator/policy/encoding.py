"""JSON values as the bytes of a request: forms, queries, paths and JSON bodies. Pure.

Every function raises NotEncodable, with a reason but never the value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Final, TypeAlias
from urllib.parse import quote, quote_plus

from orchestrator.errors import DurazzoError
from orchestrator.expressions.nodes import Json
from orchestrator.policy.profiles import FormStyle

Scalar: TypeAlias = "None | bool | int | float | str"

_UNPRINTABLE: Final = re.compile(r"[^\t -~\xa0-\xff]")


class NotEncodable(DurazzoError):
    code = "not-encodable"


def text(value: Json) -> str:
    """Scalars as APIs expect them in text (true, null, 2000 for 2000.0), structures as JSON."""
    match value:
        case str():
            return value
        case bool() | None:
            return json.dumps(value)
        case float():
            return _number(value)
        case int():
            return str(value)
        case _:
            return json_text(value)


def json_text(value: Json) -> str:
    """Compact, in document order: the same value is always the same bytes."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        raise NotEncodable("JSON has no such number, or it is nested too deep") from None


def form(fields: dict[str, Json], style: FormStyle) -> str:
    """``application/x-www-form-urlencoded``; ``+`` in a value goes out as ``%2B``.

    Null is left out: an empty value clears a field at Stripe. form-brackets writes ``a[b]=c``
    and ``a[0]=c`` (stripe-python ``_encode.py``); form-repeat writes ``a=1&a=2``, and objects as
    JSON text, as Twilio's ContentVariables wants them.
    """
    walk = _brackets if style == "form-brackets" else _repeat
    pairs = (pair for name, value in fields.items() for pair in walk(name, value))
    return "&".join(f"{_plus(name, safe='[]')}={_plus(value)}" for name, value in pairs)


def path_value(value: Json) -> str:
    """One value in a path. "/" is escaped, so a value can never leave its segment."""
    if value is None or isinstance(value, dict | list):
        raise NotEncodable("a path takes a text, a number or a boolean")
    written = text(value)
    if written in {"", ".", ".."}:
        raise NotEncodable("an empty, '.' or '..' path value would name another resource")
    try:
        return quote(written, safe="")
    except UnicodeEncodeError:
        raise NotEncodable("the text is not valid Unicode") from None


def header_value(value: str) -> str:
    """RFC 9110, 5.5: no control characters, so no value can begin another header."""
    if _UNPRINTABLE.search(value) is not None:
        raise NotEncodable("a header takes no control character, and nothing beyond Latin-1")
    return value


def utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise NotEncodable("the text is not valid Unicode") from None


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise NotEncodable("not a finite number")
    return str(int(value)) if value.is_integer() else repr(value)


def _plus(value: str, safe: str = "") -> str:
    try:
        return quote_plus(value, safe=safe)
    except UnicodeEncodeError:
        raise NotEncodable("the text is not valid Unicode") from None


def _brackets(name: str, value: Json) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case dict():
            for key, item in value.items():
                yield from _brackets(f"{name}[{key}]", item)
        case list():
            present = (item for item in value if item is not None)
            for index, item in enumerate(present):
                yield from _brackets(f"{name}[{index}]", item)
        case _:
            yield name, text(value)


def _repeat(name: str, value: Json) -> Iterator[tuple[str, str]]:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if item is not None:
            yield name, text(item)

"""What Redis answers, as values, and values as Redis keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.engine.state import State
from orchestrator.errors import NewerRelease

_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode
_text: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def readable(plain: list[bytes]) -> State | None:
    """None for what a newer release wrote."""
    try:
        return state_of(plain)
    except NewerRelease:
        return None


def state_of(plain: list[bytes]) -> State | None:
    """A flat reply of HGETALL."""
    return State.decode(decoded(pairs(plain))) if plain else None


def pairs(flat: list[Any]) -> Iterator[tuple[str, Any]]:
    for i in range(0, len(flat), 2):
        yield flat[i].decode(), flat[i + 1]


def decoded(items: Any) -> dict[str, str]:
    return {(k if isinstance(k, str) else k.decode()): v.decode() for k, v in items}


def raw(value: Any) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101  the client never decodes
    return value


def tail(fields: Mapping[str, Any]) -> str:
    """Of an event: what stands behind its time."""
    return "," + _ascii(fields)[1:]


def dumps(value: object) -> bytes:
    return _text(value).encode()

"""JSON pointers (RFC 6901): what one stands for in a value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from orchestrator.expressions.nodes import MISSING, Json, Missing


def found(value: Json | Missing, pointer: str) -> Json | Missing:
    """MISSING where the pointer leads to nothing; "" is the whole value."""
    if isinstance(value, Missing) or not pointer:
        return value
    at: Any = value
    try:
        parsed = _parsed(pointer)
        for part in parsed.parts:
            # The library takes any kind of mapping, and is slow to tell one.
            if not isinstance(at, dict):
                at = parsed.walk(at, part)
            elif part in at:
                at = at[part]
            else:
                return MISSING
    except JsonPointerException:
        return MISSING
    # "/-" names the element after the last: for reading, nothing.
    return MISSING if isinstance(at, EndOfList) else at


@lru_cache(maxsize=1024)
def _parsed(pointer: str) -> JsonPointer:
    """Those of plans and profiles, used at every call."""
    return JsonPointer(pointer)


__all__ = ["found"]

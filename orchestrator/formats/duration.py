"""How long: "45s", "30m", "2h", "3d", as OSOP documents and the command line write it."""

from __future__ import annotations

import re
from typing import Final

#: A longer span is a slip of the pen. A year and a day, ms.
LONGEST: Final = 366 * 86_400_000

_SPAN: Final = re.compile(r"([0-9]{1,12})(\.[0-9]{1,3})? ?(ms|s|m|min|h|d)")
_UNITS: Final = {
    "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000,
}  # fmt: skip


def milliseconds(text: str) -> int | None:
    """From 1 to LONGEST; None for what is no such span."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    span = round(float(found[1] + (found[2] or "")) * _UNITS[found[3]])
    return span if 0 < span <= LONGEST else None

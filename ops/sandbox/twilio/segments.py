"""How many SMS segments a text takes (GSM 03.38, concatenated with a six-byte header)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_GSM7: Final = _BASIC | _EXTENDED
_GSM7_ALONE, _GSM7_PART = 160, 153
_UCS2_ALONE, _UCS2_PART = 70, 67
_LAST_IN_UCS2: Final = "\uffff"


def segments(text: str) -> int:
    if _GSM7.issuperset(text):
        return _parts((2 if c in _EXTENDED else 1 for c in text), _GSM7_ALONE, _GSM7_PART)
    return _parts((2 if c > _LAST_IN_UCS2 else 1 for c in text), _UCS2_ALONE, _UCS2_PART)


def _parts(widths: Iterable[int], alone: int, part: int) -> int:
    """A character of two units is never cut in two."""
    widths = list(widths)
    if sum(widths) <= alone:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count

"""Why a person did something: sealed in the event, as it may name a customer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.engine.events import Event
from orchestrator.errors import SealBroken
from orchestrator.journal.port import SEALED
from orchestrator.journal.seal import Seal

#: An event's field: the reason, sealed, in base64.
_WHY: Final = "sealed"
#: The same as it is written. A text within the event has its quotes escaped.
_WRITTEN: Final = re.compile(rb'(?<="sealed":")[A-Za-z0-9+/=]+(?=")')


class Reasons:
    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def sealed(self, reason: str, place: str) -> dict[str, str]:
        """As an event has it; nothing for none."""
        if not reason:
            return {}
        return {_WHY: base64.b64encode(self._seal.seal(reason.encode(), place)).decode()}

    def told(self, event: Event, place: str) -> Event:
        return replace(event, fields=self.opened(event.fields, place))

    def opened(self, fields: Mapping[str, Any], place: str) -> dict[str, Any]:
        """With the reason that was sealed, as ``why``; one in clear is of an earlier release."""
        plain = dict(fields)
        if _WHY in plain:
            try:
                sealed = base64.b64decode(plain.pop(_WHY), validate=True)
                plain["why"] = self._seal.open(sealed, place).decode()
            except (SealBroken, binascii.Error, UnicodeDecodeError):
                plain["why"] = SEALED
        return plain


def without(line: bytes) -> bytes:
    """An event as the journal has it, without the reason that it gives."""
    event = Event.decode(line)
    rest = {name: value for name, value in event.fields.items() if name not in {_WHY, "why"}}
    return line if rest == event.fields else replace(event, fields=rest).encode().encode()


def resealed(line: bytes, turn: Callable[[bytes], bytes]) -> bytes:
    """An event with what ``turn`` makes of its sealed reason; every other byte stays."""

    def turned(found: re.Match[bytes]) -> bytes:
        try:
            return base64.b64encode(turn(base64.b64decode(found[0], validate=True)))
        except binascii.Error:
            return found[0]

    return _WRITTEN.sub(turned, line, count=1)

"""``x-durazzo``: what a step tells durazzo that its specification has no word for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args
from urllib.parse import urlsplit

from orchestrator.expressions.nodes import Constant
from orchestrator.formats.diagnostics import START, Place, close_to, did_you_mean
from orchestrator.formats.endpoints import Endpoints
from orchestrator.formats.reading import EXTENSION, Fields
from orchestrator.formats.source import Scalar
from orchestrator.plan.model import HttpCall, WhenUnknown

WHEN_UNKNOWN: Final = "when-unknown"
_CHOICES: Final[tuple[WhenUnknown, ...]] = get_args(WhenUnknown)
#: Stands for what is only known when the step runs; no path has it.
_ANY: Final = "\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    when_unknown: WhenUnknown = "park"
    place: Place = START


def extension(fields: Fields) -> Extension:
    """Of a step. All that is not known is an error: it was meant for durazzo."""
    written = fields.mapping(EXTENSION)
    if written is None:
        return Extension()
    for key, _ in written.entries:
        if key.text != WHEN_UNKNOWN:
            hint = did_you_mean(key.text, (WHEN_UNKNOWN,))
            fields.error("extension", f"'{EXTENSION}' has no '{key.text}'{hint}", key.place)
    found = written.get(WHEN_UNKNOWN)
    if found is None:
        return Extension(place=written.place)
    for choice in _CHOICES:
        if isinstance(found, Scalar) and found.value == choice:
            return Extension(when_unknown=choice, place=found.place)
    meant = close_to(found.text, _CHOICES) if isinstance(found, Scalar) else None
    hint = f"; did you mean '{meant}'?" if meant else ""
    message = f"'{WHEN_UNKNOWN}' is {' or '.join(_CHOICES)}{hint}"
    fields.error("extension", message, found.place)
    return Extension(place=found.place)


def refusal(found: Extension, call: HttpCall, endpoints: Endpoints) -> str:
    """Why a call is never sent again in doubt, whatever its step asks for; "" for no reason."""
    if found.when_unknown != "resend" or not _may_move_money(call, endpoints):
        return ""
    return (
        f"this call of {call.provider} can move money, and somebody would pay twice:"
        f" it is never sent again in doubt; leave '{WHEN_UNKNOWN}' out"
    )


def _may_move_money(call: HttpCall, endpoints: Endpoints) -> bool:
    parts = (str(p.value) if isinstance(p, Constant) else _ANY for p in call.path)
    path = urlsplit(call.server).path + "".join(parts)
    return any(
        method == call.method.upper() and _may_be(pattern, path)
        for method, pattern in endpoints.named(call.provider).money
    )


def _may_be(pattern: str, path: str) -> bool:
    """Whether the path can become one of the pattern's when the step runs."""
    wanted, found = pattern.split("/"), path.split("/")
    pairs = zip(wanted, found, strict=False)
    return len(wanted) == len(found) and all(w in {"*", f} or _ANY in f for w, f in pairs)


__all__ = ["WHEN_UNKNOWN", "Extension", "extension", "refusal"]

"""Masks what must not reach a log: by the names of fields, by known values, by what it looks like.

Ids that help (``pi_…``, ``SM…``, ``req_…``, run ids) stay readable.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "[redacted]"

#: Fields of these names, in any case and with any separators.
_NAMES: Final = frozenset({
    "to", "from", "body", "inputs", "outputs", "payload", "text", "message", "email", "name",
    "number", "cvc", "cvv", "iban", "address", "cookie", "setcookie",
})  # fmt: skip
#: Fields whose names contain one of these.
_PARTS: Final = (
    "authorization", "secret", "token", "password", "passwd", "apikey", "credential", "card",
    "phone", "signature",
)  # fmt: skip

#: A shorter secret would mask half of a log, and can be guessed from what is left of it.
_LEARNED_MIN: Final = 6

_PATTERNS: Final = (
    # The public id of a payment intent stays, what follows confirms the payment.
    (re.compile(r"(_secret_)[A-Za-z0-9]+"), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhsec_\w+|\bsk-ant-[\w-]+"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/-]{6,}=*"), rf"\1 {MASK}"),
    (re.compile(r"(?i)(?:\+|%2B)[1-9](?:[ ().-]{0,2}\d){6,14}(?!\d)"), MASK),
)
_DIGITS: Final = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w])")


#: Nearly every value has none of this, and no pattern fits without: words in lower case, and as
#: many digits as a card's number has.
_WORDS: Final = (
    "_secret_", "k_live_", "k_test_", "whsec_", "sk-ant-", "bearer", "basic", "%2b", "+",
)  # fmt: skip
_LONG: Final = re.compile(r"[2-6](?:[ -]?\d){12}")
#: Numbers below have fewer digits.
_SHORT: Final = 10**12


def redact(text: str) -> str:
    """Masks by looks alone: keys, tokens, E.164 numbers and card numbers."""
    if not _is_suspect(text):
        return text
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return _DIGITS.sub(_card, text)


class Redaction:
    """A structlog processor; the last but the renderer, so that it sees tracebacks as text."""

    def __init__(self) -> None:
        #: The longest first.
        self._learned: dict[str, None] = {}

    def learn(self, secret: str) -> None:
        """From now on the value is masked, in its encoded forms as well."""
        if len(secret) < _LEARNED_MIN or secret in self._learned:
            return
        coded = base64.b64encode(secret.encode()).decode().rstrip("=")
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), coded}
        # Replaced as a whole: another thread may be masking with the old one.
        ordered = sorted({*self._learned, *forms}, key=len, reverse=True)
        self._learned = dict.fromkeys(ordered)

    def text(self, text: str) -> str:
        learned = self._learned
        # Most of what is logged is too short for any of them.
        if learned and len(text) >= len(next(reversed(learned))):
            for value in learned:
                text = text.replace(value, MASK)
        return redact(text)

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, object]
    ) -> Mapping[str, object]:
        return {name: self._field(name, value) for name, value in event.items()}

    def _field(self, name: str, value: object) -> object:
        return MASK if _is_private(name) else self._value(value)

    def _value(self, value: object) -> object:
        match value:
            case None | bool():
                return value
            case int() if -_SHORT < value < _SHORT:
                return value
            case int() | float():
                return value if redact(str(value)) == str(value) else MASK
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(k)): self._field(str(k), v) for k, v in value.items()}
            case list() | tuple() | set() | frozenset():
                return self._values(value)
            case bytes():
                return MASK
            case _:
                return self.text(str(value))

    def _values(self, values: Iterable[object]) -> list[object]:
        return [self._value(value) for value in values]


def _is_suspect(text: str) -> bool:
    # Beyond ASCII there are letters that a pattern takes for an "s" or an "i".
    if not text.isascii():
        return True
    plain = text.lower()
    return any(map(plain.__contains__, _WORDS)) or _LONG.search(text) is not None


@lru_cache(maxsize=1024)
def _is_private(name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain in _NAMES or any(part in plain for part in _PARTS)


def _card(match: re.Match[str]) -> str:
    return MASK if _luhn([int(digit) for digit in match[0] if digit.isdigit()]) else match[0]


def _luhn(digits: list[int]) -> bool:
    """ISO/IEC 7812-1, annex B: from the right, every second digit counts double."""
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0

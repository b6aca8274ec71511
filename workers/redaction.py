"""Masks what must not reach a log: by the names of fields, by known values, by what it looks like.

Ids that help (``pi_…``, ``SM…``, ``req_…``, run ids) stay readable.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
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

_NAMES_KEPT: Final = 1_024
#: Compared at one time: most of what is logged is shorter than most secrets are.
_WIDEST: Final = 8
#: A shorter secret would mask half of a log, and can be guessed from what is left of it.
_LEARNED_MIN: Final = 6

_PATTERNS: Final = (
    # The public id of a payment intent stays, what follows confirms the payment.
    (re.compile(r"(_secret_)[A-Za-z0-9]+"), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhsec_\w+|\bsk-ant-[\w-]+"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/-]{6,}=*"), rf"\1 {MASK}"),
    (re.compile(r"(?i)(?:\+|%2B)[1-9](?:[ ().-]{0,2}\d){6,14}(?!\d)"), MASK),
)
_HEX_PAIR: Final = re.compile(r"%[0-9A-F]{2}")
_URL_SAFE: Final = str.maketrans("+/", "-_")
_DIGITS: Final = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w])")


#: Nearly every value has none of this, and no pattern fits without: words in lower case, and as
#: many digits as a card's number has.
_WORDS: Final = (
    "_secret_", "k_live_", "k_test_", "whsec_", "sk-ant-", "bearer", "basic", "%2b", "+",
)  # fmt: skip
_LONG: Final = re.compile(r"[2-6](?:[ -]?\d){12}")
#: Numbers below have fewer digits than a card's, and than a secret that is learned.
_SHORT: Final = 10**5


def redact(text: str) -> str:
    """Masks by looks alone: keys, tokens, E.164 numbers and card numbers."""
    if not _is_suspect(text):
        return text
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return _DIGITS.sub(_card, text)


def forms_of(secret: str) -> set[str]:
    """The ways in which a secret turns up in what programs print, itself among them.

    In base64 it stands anywhere in what was encoded, as a password does behind its user's name: at
    each of three places its middle looks the same, whatever stands around it.
    """
    raw = secret.encode(errors="surrogateescape")
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    coded = base64.b64encode(raw).decode().rstrip("=")
    return {
        secret,
        *quoted,
        *(_HEX_PAIR.sub(lambda pair: pair[0].lower(), text) for text in quoted),
        *_escaped(secret),
        repr(raw)[2:-1],
        raw.hex(),
        raw.hex().upper(),
        raw.hex(" "),
        coded,
        coded.translate(_URL_SAFE),
        *(middle for shift in range(3) for middle in _middles(raw, shift)),
    }


def _escaped(secret: str) -> Iterator[str]:
    """In JSON, also twice, in Python's literals and in HTML."""
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (once, once.replace("/", "\\/"))
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], secret.replace("\\", "\\\\"))
    quoted = html.escape(secret)
    yield from (quoted, html.escape(secret, quote=False), quoted.replace("&#x27;", "&#39;"))


def _middles(raw: bytes, shift: int) -> Iterator[str]:
    """What base64 makes of it alone when ``shift`` bytes stand before it, of every three."""
    text = base64.b64encode(bytes(shift) + raw).decode()
    # A character is six bits: those that are only of its own.
    middle = text[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
    yield from (middle, middle.translate(_URL_SAFE))


class _Net:
    """Says quickly of nearly every text that none of some forms is in it.

    Every form is at least as long as the shortest: of its pieces, one stands in the text where one
    is looked at.
    """

    def __init__(self, forms: Iterable[str]) -> None:
        #: The longest first: one may be part of another.
        self.forms = tuple(sorted(set(forms), key=len, reverse=True))
        self.shortest: Final = len(self.forms[-1])
        self._width = min(_WIDEST, (self.shortest + 1) // 2)
        self._step = self.shortest - self._width + 1
        self._pieces = frozenset(
            form[at : at + self._width]
            for form in self.forms
            for at in range(len(form) - self._width + 1)
        )

    def may_hold(self, text: str) -> bool:
        width, pieces = self._width, self._pieces
        for at in range(0, len(text) - width + 1, self._step):
            if text[at : at + width] in pieces:
                return True
        return False


class Redaction:
    """A structlog processor; the last but the renderer, so that it sees all that is written."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._net: _Net | None = None
        #: Fields' names, of which there are few: how each is shown, and whether it is private.
        self._names: dict[str, tuple[str, bool]] = {}

    def learn(self, secret: str) -> None:
        """From now on the value is masked, in its encoded forms as well."""
        if len(secret) < _LEARNED_MIN or secret in self._known:
            return
        known = self._net.forms if self._net else ()
        # Replaced as a whole: another thread may be masking with the old one.
        self._net = _Net((*known, *forms_of(secret)))
        self._names = {}
        self._known.add(secret)

    def text(self, text: str) -> str:
        net = self._net
        if net is not None and len(text) >= net.shortest and net.may_hold(text):
            for form in net.forms:
                text = text.replace(form, MASK)
        return redact(text)

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, object]
    ) -> Mapping[str, object]:
        shown: dict[str, object] = {}
        for name, value in event.items():
            as_shown, private = self._names.get(name) or self._name(name)
            shown[as_shown] = MASK if private else self._value(value)
        return shown

    def _name(self, name: str) -> tuple[str, bool]:
        names = self._names
        found = (self.text(name), _is_private(name))
        if len(names) < _NAMES_KEPT:
            names[name] = found
        return found

    def _field(self, name: str, value: object) -> object:
        return MASK if _is_private(name) else self._value(value)

    def _value(self, value: object) -> object:
        match value:
            case None | bool():
                return value
            case int() if -_SHORT < value < _SHORT:
                return value
            case int() | float():
                return value if self.text(str(value)) == str(value) else MASK
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(k)): self._field(str(k), v) for k, v in value.items()}
            case list() | tuple() | set() | frozenset():
                return self._values(value)
            case bytes():
                return MASK
            case _:
                return self.text(_told(value))

    def _values(self, values: Iterable[object]) -> list[object]:
        return [self._value(value) for value in values]


def _told(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  it is anybody's, and a line is not lost by it
        return type(value).__name__


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

"""What must not be seen, and whether it is there: plain, or however it may have been encoded.

It shares no code with what masks and seals: a mistake of theirs is none of the scan's.
"""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_to_bytes

from orchestrator.journal.compact import _DICTIONARIES, _HEAD, _LENGTH
from tests.process.house import House
from tests.process.test_trouble import PUBLISHED_WORDS

CREDENTIALS = (
    "STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "FINTECTURE_APP_ID",
    "FINTECTURE_APP_SECRET", "ANTHROPIC_API_KEY",
)  # fmt: skip

#: How much money an effect moved, which events and visits tell in clear beside its id.
AMOUNT = re.compile(rb"(?<=charged )(pi_\w+) [0-9]+ [a-z]{3}\b")

_PHONE = re.compile(r"\+[1-9]\d{7,14}")
_ESCAPED = re.compile(rb"\\u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})")
#: In their first two bytes: zlib's four usual levels, gzip.
_PACKED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
#: zlib's words for the form: with its own head, with gzip's, and as compact.py has it.
_ZLIB, _GZIP, _RUN = 15, 31, -13
_ZSTD = b"\x28\xb5\x2f\xfd"


def private(home: House, inputs: Mapping[str, object]) -> dict[str, str]:
    """What must be nowhere: inputs, credentials, the words of the text, by their names."""
    words = {name: bare(str(value)) for name, value in inputs.items() if name != "currency"}
    return words | always(home)


def always(home: House) -> dict[str, str]:
    """What must be nowhere, whatever is run."""
    return {
        **{name: home.environ[name] for name in CREDENTIALS},
        "any card": "pm_card_",
        "text": PUBLISHED_WORDS,
        "email of the OSOP document": "user@example.com",
        "name of the OSOP document": "John Doe",
    }


def bare(value: str) -> str:
    """Of a phone number the digits: its plus is written in many ways."""
    return value[1:] if _PHONE.fullmatch(value) else value


def forms(word: str) -> frozenset[bytes]:
    """What of a word is searched for, in a text and in what ``decoded`` makes of it."""
    in_json = json.dumps(word)[1:-1]
    once = {word, quote(word, safe=""), quote_plus(word), in_json, json.dumps(in_json)[1:-1]}
    found = set()
    for raw in (text.encode() for text in once):
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode()}
        for shift in range(3):
            coded = _middle(raw, shift)
            found |= {coded, coded.translate(bytes.maketrans(b"+/", b"-_"))}
    return frozenset(found)


def _middle(raw: bytes, shift: int) -> bytes:
    """Of its base64, behind ``shift`` other bytes, what is the same whatever stands around it."""
    coded = base64.b64encode(bytes(shift) + raw)
    first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
    return coded[first:last]


def decoded(data: bytes) -> bytes:
    """Without the escapes of JSON and Python, URLs and HTML, one in another as well."""
    plain = _ESCAPED.sub(lambda pair: bytes([int(pair[1] or pair[2], 16)]), data)
    plain = unquote_to_bytes(plain)
    return html.unescape(plain.decode("latin-1")).encode("latin-1", "replace")


def unpacked(value: bytes) -> Iterator[bytes]:
    """What was compressed in one value of Redis', wherever in it.

    A form that the scan cannot open must not hide anything: it is refused.
    """
    assert _ZSTD not in value[:16], "it cannot be looked into"
    for begin in _PACKED.finditer(value):
        packed = value[begin.start() :]
        try:
            yield _inflated(packed, _GZIP if packed[:1] == b"\x1f" else _ZLIB)
        except zlib.error:
            continue
    if value[:1] == b"\x01" and len(value) > _HEAD:
        (length,) = _LENGTH.unpack(value[1:_HEAD])
        # Behind what is in clear stands what is sealed, which begins with its kind.
        for part in (value[_HEAD:], value[_HEAD + length + 1 :]):
            try:
                yield _inflated(part, _RUN, _DICTIONARIES[1])
            except zlib.error:
                continue


def _inflated(packed: bytes, window: int, dictionary: bytes = b"") -> bytes:
    return zlib.decompressobj(window, zdict=dictionary).decompress(packed)


def leaks(text: str | bytes, words: Mapping[str, str]) -> list[str]:
    """The names of the words that are in the text, in whatever form."""
    data = text.encode() if isinstance(text, str) else text
    # Pages are much alike, and no word goes over a line's end.
    lines = b"\n".join(dict.fromkeys(data.split(b"\n")))
    views = {lines, decoded(lines)}
    return [
        name
        for name, word in words.items()
        if any(form in view for form in forms(word) for view in views)
    ]


def but_effects(data: bytes) -> bytes:
    """Without the amounts that are told of effects: anywhere else the same number is a leak."""
    return AMOUNT.sub(rb"\1", data)


__all__ = ["always", "bare", "but_effects", "decoded", "forms", "leaks", "private", "unpacked"]

"""A finished run in one string: what is kept of it until its time is over.

A version, the length of what follows in clear (4 bytes), events and control hash, and everything
that was sealed under one seal. Both parts are compressed against texts that every run has. Pure
but for the seal, and nothing is lost: ``unpack`` gives what ``pack`` was given, byte for byte.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.errors import NewerRelease, SealBroken
from orchestrator.journal.replies import dumps
from orchestrator.journal.seal import Seal

#: Of the form, and so of its dictionary. Another one gets the next number; this one stays readable.
VERSION: Final = 1
_LENGTH: Final = struct.Struct(">I")
_HEAD: Final = 1 + _LENGTH.size
_CHANGED: Final = "a finished run was changed since it was put away"
#: Without zlib's own head and sum. 8 KB: the dictionary and a usual run; more is slow to set up.
_WINDOW: Final = -13
#: The field that holds a run key: a text, where the others are JSON.
_KEY: Final = "key"

#: What is common stands last: it is found at the shortest distance. Never changed, see VERSION.
_TEXTS: Final = (
    '"description":"","metadata":{},"reference":"","order":"order-","orderId":"","customer":"cus_"',
    '"customerId":"","email":"@example.com","name":"","iban":"","beneficiary":"","psu_name":"",',
    '"psu_email":"","communication":"","access_token":"","session_id":"","statusUrl":"",',
    '"sessionId":"","accessToken":"","model":"claude-","messages":[{"role":"user","content":"',
    '"paymentIntentId":"pi_","paymentId":"pi_","messageSid":"SM","sid":"SM","id":"pi_","status":"',
    '{"amount":2000,"currency":"usd","accountSid":"AC","fromPhone":"+1500555","paymentMethod":"pm_',
    'card_visa","toPhone":"+1555","currency":"eur","key":"order-","o:send-confirmation":{',
    '"o:create-payment":{"paymentId":"pi_","inputs":{"amount":',
    '{"e":"control","t":1,"k":"pause","by":"","sealed":"AR"}\n{"e":"control","t":1,"k":"resume",',
    '{"e":"control","t":1,"k":"retry","by":"root","sealed":"AR","s":"","n":2}\n',
    '{"e":"control","t":1,"k":"cancel","by":"root","sealed":"AR"}\n',
    '{"e":"rewound","t":1,"s":"","n":1,"f":1001,"b":1,"u":1,"r":1}\n',
    '{"e":"looked","t":1,"s":"","n":1,"u":1}\n"c":"not-found","rate_limit","no-answer","reset",',
    '"connect-failed","http-500","http-503","timeout","answer-lost","authentication_required",',
    '{"e":"limited","t":1,"s":"","n":1,"u":1,"v":1,"pf":1,"st":1,"p":1}\n',
    '{"e":"sent","t":1,"s":"","n":1,"x":2}\n["wait","",1],["again","",2,1,"0:1"],["park","",1],',
    '["arrive","",""],["joined",""],["ready",""]\n"k":"transient","c":"","h":429,"l":1000}\n',
    '"k":"unknown","c":"","z":60000,"l":-1,"y":"pi_"}\n"k":"pending","k":"undone","opened',
    '"k":"final","c":"card_declined","d":"insufficient_funds","h":402,"m":"0","fx":"declined',
    '{"e":"decided","t":1,"d":[["close","","failed",""],["ending","failed","card_declined",""],',
    '["end","failed","result"]]}\n["ending","cancelled","cancelled",""],["end","cancelled",',
    "deadline\n\npaused\n1\ncode\ncard_declined\nfailed\n\nending\nfailed\nend\nfailed\nbatch\nb-",
    '\ns:\n{"n":1,"p":"succeeded","s":1,"f":1,"w":"","u":1,"a":1,"b":1,"en":1,"k":"succeeded",',
    '"h":201,"m":"0","e":"texted SM","g":""}\ns:create-payment\n{"n":1,"p":"succeeded","s":1,"f":',
    '1,"w":"","u":1,"a":1,"b":1,"k":"succeeded","h":200,"m":"0","e":"charged pi_","g":"',
    'send-confirmation.1"}\nplan\n\nname\n\nlane\ndefault\naccepted\n1\nseq\n7\nend\nsucceeded\nended\n',
    '{"e":"accepted","t":1,"plan":"","name":"","lane":"default","starts":[""],"u":1,"b":"b-"}\n',
    '{"e":"accepted","t":17,"plan":"","name":"charge-and-sms-confirm","lane":"default","starts":[',
    '"create-payment"]}\n{"e":"claimed","t":1,"s":"create-payment","n":1,"f":1,"w":"-","u":1}\n',
    '{"e":"begun","t":1,"s":"create-payment","n":1,"a":1,"u":1}\n{"e":"outcome","t":1,"s":"',
    'create-payment","n":1,"a":1,"k":"succeeded","h":200,"m":"0","fx":"charged pi_ 2000 usd"}\n',
    '{"e":"decided","t":1,"d":[["enter","send-confirmation",1],["close","create-payment",',
    '"succeeded","send-confirmation.1"]]}\n{"e":"claimed","t":1,"s":"send-confirmation","n":1,"f":',
    '1,"w":"","u":1}\n{"e":"begun","t":1,"s":"send-confirmation","n":1,"a":1,"u":1}\n',
    '{"e":"outcome","t":1,"s":"send-confirmation","n":1,"a":1,"k":"succeeded","h":201,"fx":',
    '"texted SM"}\n{"e":"decided","t":1,"d":[["close","send-confirmation","succeeded",""],',
    '["end","succeeded","result"]]}\n{"e":"settled","t":1}\n',
)  # fmt: skip
_DICTIONARIES: Final[Mapping[int, bytes]] = {1: "".join(_TEXTS).encode()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """All that a journal holds of a run, as Redis has it, but for the seals."""

    #: The control hash.
    plain: Mapping[bytes, bytes]
    #: Events, oldest first.
    log: Sequence[bytes]
    #: ``inputs``, ``key``, ``o:<step>``, opened.
    values: Mapping[str, bytes]


def pack(seal: Seal, run: str, finished: Finished) -> bytes:
    """Raises ValueError for what ``unpack`` would not give back as it is."""
    fields = [word for pair in finished.plain.items() for word in pair]
    words = [str(len(finished.log)).encode(), *finished.log, *fields]
    clear = _deflated(b"\n".join(words))
    secret = finished.values and _deflated(_written(finished.values))
    sealed = seal.seal(secret, _place(run)) if secret else b""
    text = bytes([VERSION]) + _LENGTH.pack(len(clear)) + clear + sealed
    known, values = unpack(text), values_of(seal, run, text)
    if known != (finished.plain, list(finished.log)) or values != finished.values:
        raise ValueError("the run would not be read as it was written")
    return text


def unpack(text: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Control hash and events. Raises NewerRelease."""
    first, *words = _inflated(_clear(text), text).split(b"\n")
    count = int(first)
    fields = iter(words[count:])
    return dict(zip(fields, fields, strict=True)), words[:count]


def values_of(seal: Seal, run: str, text: bytes) -> dict[str, bytes]:
    """What was sealed, by its name; nothing of a run whose values are erased.

    Raises SealBroken, NewerRelease.
    """
    sealed = text[_HEAD + len(_clear(text)) :]
    if not sealed:
        return {}
    found: dict[str, Any] = json.loads(_inflated(seal.open(sealed, _place(run)), text))
    return {name: value.encode() if name == _KEY else dumps(value) for name, value in found.items()}


def opened(seal: Seal, run: str, data: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """A run's sealed fields, as ``Finished`` has them. Raises SealBroken."""
    names = ((name.decode(), value) for name, value in data.items())
    return {name: seal.open(value, f"{run}:{name}") for name, value in names}


def resealed(
    run: str, text: bytes, line: Callable[[bytes], bytes], values: Callable[[bytes, str], bytes]
) -> bytes:
    """The same run with what ``line`` makes of each event, and ``values`` of its sealed values.

    ``values`` is told their place as well. Raises NewerRelease, SealBroken.
    """
    clear = _clear(text)
    sealed = text[_HEAD + len(clear) :]
    count, *words = _inflated(clear, text).split(b"\n")
    lines = [line(word) for word in words[: int(count)]]
    if lines != words[: int(count)]:
        clear = _deflated(b"\n".join([count, *lines, *words[int(count) :]]))
    turned = values(sealed, _place(run)) if sealed else b""
    return text[:1] + _LENGTH.pack(len(clear)) + clear + turned


def _clear(text: bytes) -> bytes:
    try:
        (length,) = _LENGTH.unpack(text[1:_HEAD])
    except struct.error:
        raise SealBroken(_CHANGED) from None
    return text[_HEAD : _HEAD + length]


def _place(run: str) -> str:
    return f"{run}:done"


def _written(values: Mapping[str, bytes]) -> bytes:
    items = values.items()
    return dumps({name: v.decode() if name == _KEY else json.loads(v) for name, v in items})


def _deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, zdict=_DICTIONARIES[VERSION])
    return packer.compress(text) + packer.flush()


def _inflated(packed: bytes, text: bytes) -> bytes:
    dictionary = _DICTIONARIES.get(text[0])
    if dictionary is None:
        raise NewerRelease(
            "this run was put away by a newer release of durazzo: update this process to see it"
        )
    try:
        return zlib.decompressobj(_WINDOW, zdict=dictionary).decompress(packed)
    except zlib.error:
        raise SealBroken(_CHANGED) from None


__all__ = ["VERSION", "Finished", "opened", "pack", "resealed", "unpack", "values_of"]

"""Looking up what became of a call whose answer was lost: what to ask, and what is found. Pure.

A look-up changes nothing at the provider. What it finds is the call's own effect only when it
fits in every field that was sent, was made after the call began, and is claimed by no other
intent (two orders of one customer carry the same words): the claim is the journal's. A search
that finds nothing proves nothing; only the thing itself can say that nothing was done to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from jsonpointer import resolve_pointer

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.policy.outcomes import Answer
from orchestrator.policy.profiles import BodyTest, LookUp, captures

#: Clocks of two houses differ by so much. ms.
SKEW: Final = 5_000
#: The first look, when the profile asks for no longer wait. ms.
FIRST_LOOK: Final = 10_000
LOOK_CAP: Final = 3_600_000
#: Looks of one visit, three days of them; then a person has to say what became of the call.
MAX_LOOKS: Final = 80

_NESTED: Final = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")
#: Of the length of a currency: providers give them back in another case.
_CODE: Final = re.compile(r"[A-Za-z]{3}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The call that is looked for."""

    method: str
    path: str
    #: Of the body; ``metadata[run]`` is a field in a field.
    fields: Mapping[str, Json]
    #: When its first send began. ms, unix time.
    first_ms: int
    #: The provider's id of what it made, where an answer has told it; "" otherwise.
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    #: The provider's id of the effect.
    id: str
    body: Mapping[str, Json]


def fields_of(body: bytes | None, content_type: str) -> dict[str, Json]:
    """The fields of a form, or of a JSON object; empty for anything else."""
    if not body:
        return {}
    if "json" in content_type:
        try:
            found = json.loads(body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
    fields: dict[str, Json] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        nested = _NESTED.fullmatch(name)
        if nested is None:
            fields[name] = value
        elif isinstance(inner := fields.setdefault(nested[1], {}), dict):
            inner[nested[2]] = value
    return fields


def question(look_up: LookUp, sent: Sent) -> str | None:
    """Path and query to GET; None when nothing that was sent tells the call from another."""
    if sent.subject and look_up.by_id:
        return look_up.by_id.replace("{id}", quote(sent.subject, safe=""))
    if look_up.needs and not any(_sent(sent, name) for name in look_up.needs):
        return None
    path = look_up.ask
    for number, part in enumerate(captures(look_up.path, sent.path) or (), 1):
        path = path.replace(f"{{{number}}}", part)
    filled = ((name, _sent(sent, field)) for name, field in look_up.query)
    query = [(name, str(value)) for name, value in filled if not isinstance(value, Missing)]
    query += look_up.fixed
    if look_up.since:
        query.append((look_up.since, str((sent.first_ms - SKEW) // 1000)))
    return f"{path}?{urlencode(query)}" if query else path


def candidates(look_up: LookUp, sent: Sent, body: Json, now_ms: int) -> list[Candidate]:
    """What may be the call's effect, oldest first. ``now_ms``: unix time.

    Of a search, only what was made since the call began, and long enough ago that whoever made
    it has been told: another call under way may have made it a moment ago.
    """
    if look_up.items is None or (sent.subject and look_up.by_id):
        return [c for c in [_candidate(look_up, body)] if c is not None]
    listed = resolve_pointer(body, look_up.items, None) if isinstance(body, dict) else None
    found = [_candidate(look_up, item) for item in listed] if isinstance(listed, list) else []
    fitting = [
        (made, c)
        for c in found
        if c is not None
        and (made := _made(look_up, c.body)) is not None
        and sent.first_ms - SKEW <= made <= now_ms - look_up.settle_ms
        and _fits(look_up, sent, c.body)
    ]
    return [c for _, c in sorted(fitting, key=lambda pair: pair[0])]


def is_cut_off(look_up: LookUp, body: Json) -> bool:
    """Whether the list that was searched goes on: what is not on this page may be on the next."""
    return bool(look_up.more and resolve_pointer(body, look_up.more, None))


def answer(look_up: LookUp, candidate: Candidate) -> Answer | None:
    """The answer that the call would have had; None when it surely did nothing."""
    body = dict(candidate.body)
    refused = look_up.refused
    if refused is not None and _is(refused.when, body):
        error = resolve_pointer(body, refused.error, None)
        if isinstance(error, dict):
            told: dict[str, Json] = {"error": {**error, refused.subject: body}}
            return Answer(status=refused.status, headers={}, body=told)
    if any(_is(test, body) for test in look_up.undone):
        return None
    return Answer(status=look_up.status, headers={}, body=body)


def subject(look_up: LookUp, body: Json | Missing) -> str:
    """The provider's id in an answer, also in a refusal that carries the thing; "" for none."""
    if not isinstance(body, dict):
        return ""
    found = _candidate(look_up, body)
    if found is None and look_up.refused is not None:
        found = _candidate(
            look_up, resolve_pointer(body, f"/error/{look_up.refused.subject}", None)
        )
    return found.id if found else ""


def next_look_ms(looks: int, jitter: float, *, settle_ms: int = 0) -> int:
    """From now to the next look, -1 when there were enough. ``jitter``: uniform in [0, 1).

    ``settle_ms``: the look-up's, if it is a search.
    """
    if looks >= MAX_LOOKS:
        return -1
    first = max(settle_ms + 2 * SKEW, FIRST_LOOK)
    wait = min(first << min(looks, 16), max(LOOK_CAP, first))
    # All that an outage has parked would come back together.
    return wait + int(jitter * wait / 4)


def _candidate(look_up: LookUp, body: Json) -> Candidate | None:
    found = resolve_pointer(body, look_up.id, None) if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(found, str) or not _PLAIN_ID.fullmatch(found):
        return None
    return Candidate(id=found, body=body)


def _is(test: BodyTest, body: Json) -> bool:
    return resolve_pointer(body, test.pointer, None) in test.one_of


def _made(look_up: LookUp, body: Mapping[str, Json]) -> int | None:
    """ms, unix time."""
    value = resolve_pointer(body, look_up.created, None)
    if look_up.created_format == "unix":
        return value * 1000 if isinstance(value, int) and not isinstance(value, bool) else None
    read = parsedate_to_datetime if look_up.created_format == "rfc2822" else datetime.fromisoformat
    try:
        date = read(str(value))
    except ValueError:
        return None
    return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)


def _fits(look_up: LookUp, sent: Sent, body: Mapping[str, Json]) -> bool:
    pairs = (
        (_sent(sent, name), resolve_pointer(body, pointer, None)) for pointer, name in look_up.match
    )
    return all(isinstance(was, Missing) or _same(was, found) for was, found in pairs)


def _sent(sent: Sent, name: str) -> Json | Missing:
    """A field that was sent, by its name, or by a pointer into the body."""
    if not name.startswith("/"):
        return sent.fields.get(name, MISSING)
    found: Json | Missing = resolve_pointer(sent.fields, name, MISSING)
    return found


def _same(sent: Json, found: Json) -> bool:
    """A form's fields are texts, whatever they are in the answer."""
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(_same(v, found.get(k)) for k, v in sent.items())
    if found is None or isinstance(found, dict | list):
        return False
    was, now = str(sent), str(found)
    if was == now or (_CODE.fullmatch(was) is not None and was.casefold() == now.casefold()):
        return True
    # "149.30" is the number 149.3; two texts that differ are two texts.
    return (_is_number(sent) or _is_number(found)) and _number(was) == _number(now) is not None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


__all__ = [
    "Candidate", "Sent", "answer", "candidates", "fields_of", "is_cut_off", "next_look_ms",
    "question", "subject",
]  # fmt: skip

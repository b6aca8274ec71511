"""What an attempt was, from what came back: ``classify``.

A call is Transient only when it surely did nothing. Whatever may have been carried out is
Unknown, however likely a failure looks: a wrong "failed" charges a customer twice, a wrong
"unknown" costs a look-up. A profile's rules go first; the floor below them holds for every API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.expressions.pointers import found
from orchestrator.policy.profiles import (
    BodyTest,
    Effect,
    HeaderTest,
    Kind,
    Profile,
    Rule,
    Stage,
    captures,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    #: Names in lower case; a header that came twice is joined with ", ".
    headers: Mapping[str, str]
    #: MISSING when there is none, or none that is JSON.
    body: Json | Missing = MISSING
    #: Why a body that is there could not be read ("undecodable", "not-json"), else "".
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    #: "not-sent" only when no byte of the request can have left.
    stage: Stage
    #: A kebab-case code: "connect-failed", "timeout", "reset", "too-large", …
    reason: str
    #: The host that durazzo may not call, by its own rules: no send goes further. "" for none.
    refused: str = ""


Result: TypeAlias = Answer | NoAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    kind: Kind
    #: The provider's own code where it has one, else "http-<status>" or the transport's reason.
    #: Never its prose, which can hold personal data.
    code: str
    detail: str = ""
    #: Lower bound of the wait that the provider asks for, capped by the profile.
    retry_after_ms: int | None = None
    #: Sending again is useless by the provider's own word: wait no more, look up or park.
    stop: bool = False
    #: The same done anew, with another key, would be refused anew.
    lasting: bool = False
    #: It says nothing about how fast the account may be called.
    one_object: bool = False


#: What may stand in a log, a listing or a metric. Long numbers could be a card or a phone.
_CODE: Final = re.compile(r"(?!\d{7,}$)[A-Za-z0-9_.-]{1,64}")
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
#: More is no sum of money. It fits any JSON reader's number, and no card's number fits in.
_MOST: Final = 10**15 - 1
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")

#: RFC 9110, 15.5.9: the server gave up waiting for the request, of which it may have had all.
_REQUEST_TIMEOUT: Final = HTTPStatus.REQUEST_TIMEOUT
#: Refused before it was processed (RFC 8470, 5.2; RFC 6585, 4).
_NOT_PROCESSED: Final = (HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_NO_RULE: Final = Rule(kind=Kind.ANSWERED)


def classify(profile: Profile, *, method: str, keyed: bool, result: Result, now_ms: int) -> Verdict:
    """``keyed``: the request carried an idempotency key. ``now_ms``: unix time, for HTTP dates."""
    if isinstance(result, NoAnswer) and result.refused:
        # Durazzo's own word, which no profile changes.
        return Verdict(
            kind=Kind.FINAL, code=result.reason, detail=sanitised(result.refused), lasting=True
        )
    rule = _first(profile.rules, method.upper(), keyed, result)
    kind = rule.kind if rule else _floor(profile, result)
    advice = _advice(profile, result)
    if advice is True and kind is Kind.FINAL and (keyed or _safe(profile, method)):
        # The refusal is not the last word, and what it left behind is not known.
        kind = Kind.UNKNOWN
    if kind is Kind.UNKNOWN and _safe(profile, method):
        kind = Kind.TRANSIENT
    return Verdict(
        kind=kind,
        code=_code(profile, rule or _NO_RULE, result),
        detail=_found(result, profile.codes.detail),
        retry_after_ms=_wait(profile, rule or _NO_RULE, result, now_ms),
        stop=advice is False or (rule is not None and rule.stop),
        lasting=rule is not None and rule.lasting,
        one_object=rule is not None and rule.one_object,
    )


def effect(profile: Profile, *, method: str, path: str, result: Result) -> str:
    """What the call did to the world outside; "" for nothing that is known.

    E.g. "charged pi_1 1999 usd", as ``engine/effects.py`` reads it, or without an amount "texted
    SM1". An answer whose amount cannot be one is told without it.
    """
    if isinstance(result, NoAnswer) or result.status // 100 != 2:  # noqa: PLR2004
        return ""
    for entry in profile.effects:
        if entry.method == method.upper() and captures(entry.path, path) is not None:
            done = entry.when is None or _holds(entry.when, result)
            name = sanitised(_at(result.body, entry.id))
            return f"{entry.what} {name}{_money(entry, result)}" if done and name else ""
    return ""


def _money(entry: Effect, answer: Answer) -> str:
    if not entry.amount:
        return ""
    amount, currency = _at(answer.body, entry.amount), _at(answer.body, entry.currency)
    whole = isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= _MOST
    known = isinstance(currency, str) and _CURRENCY.fullmatch(currency) is not None
    return f" {amount} {str(currency).lower()}" if whole and known else ""


def _safe(profile: Profile, method: str) -> bool:
    return method.upper() in profile.safe_methods


def _first(rules: Iterable[Rule], method: str, keyed: bool, result: Result) -> Rule | None:
    return next((rule for rule in rules if _matches(rule, method, keyed, result)), None)


def _matches(rule: Rule, method: str, keyed: bool, result: Result) -> bool:
    if rule.keyed not in {None, keyed} or (rule.methods and method not in rule.methods):
        return False
    if isinstance(result, NoAnswer):
        return rule.stage == result.stage
    return (
        rule.stage is None
        and (not rule.status or bool({result.status, _class(result.status)} & {*rule.status}))
        and all(_holds(test, result) for test in rule.body)
        and all(_has(test, result.headers) for test in rule.headers)
    )


def _class(status: int) -> str:
    return f"{status // 100}xx"


def _holds(test: BodyTest, answer: Answer) -> bool:
    value = _at(answer.body, test.pointer)
    # True == 1 in Python, but not in a body.
    return any(value == wanted and type(value) is type(wanted) for wanted in test.one_of)


def _has(test: HeaderTest, headers: Mapping[str, str]) -> bool:
    value = headers.get(test.name)
    return value is not None and (not test.one_of or value.strip() in test.one_of)


def _at(body: Json | Missing, pointer: str) -> Json | Missing:
    if not isinstance(body, dict | list):
        return MISSING
    return found(body, pointer)


def _floor(profile: Profile, result: Result) -> Kind:
    """What holds for every API that does not say otherwise."""
    if isinstance(result, NoAnswer):
        return Kind.TRANSIENT if result.stage == "not-sent" else Kind.UNKNOWN
    match result.status // 100:
        case 2:
            return Kind.ANSWERED if _usable(profile, result) else Kind.UNKNOWN
        # RFC 9110, 15.4.4: a See Other answers a request that was carried out.
        case 3 if result.status != HTTPStatus.SEE_OTHER:
            return Kind.FINAL
        case 4 if result.status in _NOT_PROCESSED:
            return Kind.TRANSIENT
        case 4 if result.status != _REQUEST_TIMEOUT:
            return Kind.FINAL
        case _:
            return Kind.UNKNOWN


def _usable(profile: Profile, answer: Answer) -> bool:
    """A success that nobody can read must not be judged by criteria: they would call it failed."""
    return not answer.problem and (profile.answers == "any" or answer.body is not MISSING)


def _advice(profile: Profile, result: Result) -> bool | None:
    """What the provider says about another send: do (True), do not (False), or nothing."""
    if profile.advice is None or isinstance(result, NoAnswer):
        return None
    said = result.headers.get(profile.advice.header, "").strip().lower()
    if said in profile.advice.retry:
        return True
    return False if said in profile.advice.stop else None


def _code(profile: Profile, rule: Rule, result: Result) -> str:
    if rule.code:
        return rule.code
    if isinstance(result, NoAnswer):
        return sanitised(result.reason) or "no-answer"
    if result.status // 100 == 3:  # noqa: PLR2004 - a class of statuses
        return "redirect-refused"
    pointers = ((rule.code_at,) if rule.code_at else ()) + profile.codes.code
    if code := _found(result, pointers) or result.problem:
        return code
    unreadable = result.status // 100 == 2 and not _usable(profile, result)  # noqa: PLR2004
    return "not-json" if unreadable else f"http-{result.status}"


def _found(result: Result, pointers: Iterable[str]) -> str:
    if isinstance(result, NoAnswer):
        return ""
    codes = (sanitised(_at(result.body, pointer)) for pointer in pointers)
    return next((code for code in codes if code), "")


def sanitised(value: Json | Missing) -> str:
    """The value when it can only be a code, "" otherwise: prose is dropped, never trimmed."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value) if _CODE.fullmatch(str(value)) else ""


def _wait(profile: Profile, rule: Rule, result: Result, now_ms: int) -> int | None:
    asked = None if isinstance(result, NoAnswer) else _asked(profile, result, now_ms)
    if asked is None and not rule.wait_ms:
        return None
    return min(max(asked or 0, rule.wait_ms), profile.retry.max_retry_after_ms)


def _asked(profile: Profile, answer: Answer, now_ms: int) -> int | None:
    header = profile.advice.delay_ms_header if profile.advice else ""
    own = answer.headers.get(header, "").strip()
    if _SECONDS.fullmatch(own):
        return int(float(own))
    return retry_after_ms(answer.headers.get("retry-after", ""), now_ms)


def retry_after_ms(value: str, now_ms: int) -> int | None:
    """RFC 9110, 10.2.3: seconds or an HTTP date; None for anything else."""
    if _SECONDS.fullmatch(value.strip()):
        return int(float(value) * 1000)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0, int(date.timestamp() * 1000) - now_ms)


__all__ = ["Answer", "Kind", "NoAnswer", "Result", "Verdict", "classify", "effect", "sanitised"]

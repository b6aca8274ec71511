"""What durazzo knows about an API: a provider profile, data in ``specs/providers/``.

``check`` holds a document against ``specs/schemas/provider.schema.json`` and ``parse``
turns a checked one into types. Both take what they need as arguments: reading files is
the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias, assert_never

import jsonschema_rs

from orchestrator.expressions.nodes import Json
from orchestrator.policy.table import Table

FormStyle = Literal["form-brackets", "form-repeat"]
Stage = Literal["not-sent", "sent"]
TimeFormat = Literal["unix", "rfc2822", "rfc3339"]

#: The profile of every API that no other profile knows.
GENERIC = "generic"


class Kind(StrEnum):
    """What an attempt was."""

    #: The provider answered; the step's criteria judge.
    ANSWERED = "answered"
    #: The provider refused for good.
    FINAL = "final"
    #: It surely did nothing: another send may help and harms nobody.
    TRANSIENT = "transient"
    #: It may have been carried out. Never a failure, never re-sent blindly.
    UNKNOWN = "unknown"
    #: The account or its credentials are in trouble: pauses the provider, fails nobody.
    OPERATOR = "operator"
    #: Money may still move: looked at again before the criteria judge.
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    #: Name of the request header that carries the secret.
    header: ClassVar[str] = "Authorization"
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    header: ClassVar[str] = "Authorization"
    user_secret: str
    password_secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    header: str
    secret: str


Credential: TypeAlias = Bearer | Basic | ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    #: Two sends with one key, inside the window, are carried out at most once.
    header: str
    #: Shorter than the provider's own: a key past its life is silently a new request.
    window_ms: int
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyTest:
    #: JSON pointer into the answer's body.
    pointer: str
    one_of: tuple[str | int | bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderTest:
    #: Lower-case.
    name: str
    #: Empty: the header need only be there.
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All tests that it has must hold; the first rule that matches decides."""

    kind: Kind
    #: Statuses (``402``) and classes (``"5xx"``); empty matches any answer.
    status: tuple[int | str, ...] = ()
    methods: tuple[str, ...] = ()
    body: tuple[BodyTest, ...] = ()
    headers: tuple[HeaderTest, ...] = ()
    #: Whether the request carried an idempotency key; None asks nothing.
    keyed: bool | None = None
    #: Matches calls without an answer instead of answers.
    stage: Stage | None = None
    #: The verdict's code; "" takes it from the body.
    code: str = ""
    #: Pointer to the verdict's code for this rule only.
    code_at: str = ""
    #: Another send is useless, or would be told the same.
    stop: bool = False
    #: The same done anew is refused anew: a fallback that only repeats is not taken.
    lasting: bool = False
    #: Lower bound of the wait before another send.
    wait_ms: int = 0
    #: A 429 about one object, e.g. a locked one: the account may be called as fast as before.
    one_object: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Where an error body keeps its code; the first pointer that leads to one is taken."""

    code: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Headers by which the provider itself says whether to send again."""

    #: Lower-case, as the header of the delay is.
    header: str
    retry: tuple[str, ...] = ("true",)
    stop: tuple[str, ...] = ("false",)
    #: Carries a wait in milliseconds and goes before ``Retry-After``; "" when there is none.
    delay_ms_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    #: Sends of one visit, the first included.
    max_attempts: int
    base_ms: int
    factor: float
    cap_ms: int
    #: A provider that asks for a longer wait gets this one.
    max_retry_after_ms: int
    #: No send starts later than this after the first one.
    window_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A token bucket shared by all workers; without a path it is the whole account's."""

    name: str
    per_second: float
    burst: int
    method: str = ""
    #: ``*`` stands for one segment.
    path: str = ""
    #: Calls under way at once, 0 for any number.
    concurrency: int = 0
    #: Instead of ``per_second`` as long as live keys are refused; 0 for the same.
    test_per_second: float = 0

    def applies(self, method: str, path: str) -> bool:
        if self.method and self.method != method.upper():
            return False
        return not self.path or captures(self.path, path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How what is looked up says that the call was refused, and what its answer was then."""

    when: BodyTest
    #: Pointer to the error, as the answer had it under ``/error``.
    error: str
    status: int
    #: The member of the error that held the thing itself.
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """How the effect of a call whose answer was lost is found at the provider."""

    #: The call that is looked for; ``*`` stands for one segment of the path.
    method: str
    path: str
    #: What is asked, with GET; ``{1}`` is what the first ``*`` stood for.
    ask: str
    #: Query parameter → the field of the frozen body that fills it: a name, or a JSON pointer.
    query: tuple[tuple[str, str], ...] = ()
    #: Query parameters with values of their own.
    fixed: tuple[tuple[str, str], ...] = ()
    #: Query parameter that takes the time of the first send, in unix seconds; "" for none.
    since: str = ""
    #: Pointer to the list of candidates; None: the body itself is the one candidate.
    items: str | None = None
    #: Pointer to what says that the list goes on behind this page; "" where nothing does.
    more: str = ""
    #: Pointer, in a candidate, to what names the effect.
    id: str = "/id"
    #: Pointer in a candidate → field of the frozen body. A field that was not sent is not asked.
    match: tuple[tuple[str, str], ...] = ()
    #: Pointer to the candidate's time of creation: never before the first send, less a skew.
    created: str = ""
    created_format: TimeFormat = "unix"
    #: What was made later than this ago may be another call's, whose answer is still to come.
    settle_ms: int = 0
    #: What is asked when the effect's id is known from an answer; "" when there is nothing.
    by_id: str = ""
    #: Fields of which one must have been sent for a search to tell the call from others.
    needs: tuple[str, ...] = ()
    #: Status of the answer that was lost.
    status: int = 200
    refused: Refusal | None = None
    #: Any of them: the thing itself says that the call did nothing to it.
    undone: tuple[BodyTest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a call did to the world outside, as its answer tells it."""

    #: The call; ``*`` stands for one segment of the path.
    method: str
    path: str
    #: As a person says it: "charged", "texted".
    what: str
    #: Pointer to the provider's id of it.
    id: str
    when: BodyTest | None = None
    #: Pointers to how much, in minor units, and to the currency; "" for neither.
    amount: str = ""
    currency: str = ""
    #: Money moves by it, or can: done twice, somebody may pay twice.
    money: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    name: str
    #: Where its credential may go, and nowhere else. Lower-case, without port.
    hosts: tuple[str, ...]
    credential: Credential | None
    #: Sent unless the document sets the header itself.
    headers: tuple[tuple[str, str], ...]
    form_style: FormStyle
    #: How a body goes out when the document does not say.
    default_encoding: Literal["form", "json"]
    #: "json": a success that cannot be read as JSON is no usable answer.
    answers: Literal["json", "any"]
    #: Sent again without a second thought: they do nothing, or nothing that matters.
    safe_methods: tuple[str, ...]
    #: Total time of one call: connecting, sending, and reading the answer.
    deadline_ms: int
    idempotency: Idempotency | None
    rules: tuple[Rule, ...]
    codes: Codes
    advice: Advice | None
    retry: RetryPolicy
    limits: tuple[Limit, ...]
    look_ups: tuple[LookUp, ...]
    effects: tuple[Effect, ...]
    #: Secrets that begin so move real money: refused unless allowed.
    live_key_prefixes: tuple[str, ...]
    #: Label → limits, of accounts whose rates were set.
    account_limits: tuple[tuple[str, tuple[Limit, ...]], ...] = ()

    def of_account(self, label: str) -> Profile:
        """The same provider, called by another account: its secrets and limits are its own.

        Nothing falls back: a secret that is not there under the account's name is missing.
        """
        limits = dict(self.account_limits).get(label, self.limits)
        return replace(
            self,
            credential=self.credential and _labelled(self.credential, label),
            limits=tuple(replace(limit, name=f"{limit.name}@{label}") for limit in limits),
        )

    def authorizes(self, headers: Iterable[str]) -> bool:
        """Whether a call gets its credential, whose document sets headers of these names."""
        if self.credential is None:
            return False
        return self.credential.header.lower() not in {name.lower() for name in headers}

    def keys(self, method: str) -> bool:
        """Whether a call of that method carries an idempotency key."""
        return self.idempotency is not None and method.upper() in self.idempotency.methods

    @property
    def money_calls(self) -> tuple[tuple[str, str], ...]:
        """Method and path of the calls by which money moves; ``*`` stands for one segment."""
        return tuple((e.method, e.path) for e in self.effects if e.money)

    def moves_money(self, method: str, path: str) -> bool:
        calls = self.money_calls
        return any(m == method.upper() and captures(p, path) is not None for m, p in calls)

    def look_up(self, method: str, path: str) -> LookUp | None:
        for look_up in self.look_ups:
            if look_up.method == method.upper() and captures(look_up.path, path) is not None:
                return look_up
        return None


def _labelled(credential: Credential, label: str) -> Credential:
    end = f"__{label.upper().replace('-', '_')}"
    match credential:
        case Bearer(secret=secret):
            return Bearer(secret=secret + end)
        case ApiKey(header=header, secret=secret):
            return ApiKey(header=header, secret=secret + end)
        case Basic(user_secret=user, password_secret=password):
            return Basic(user_secret=user + end, password_secret=password + end)
        case _:
            assert_never(credential)


def captures(pattern: str, path: str) -> tuple[str, ...] | None:
    """What the ``*`` segments of the pattern stood for; None when the path is another one."""
    wanted, found = pattern.split("/"), path.split("/")
    if len(wanted) != len(found):
        return None
    pairs = list(zip(wanted, found, strict=True))
    if any(want not in {"*", have} for want, have in pairs):
        return None
    return tuple(have for want, have in pairs if want == "*")


def check(document: Json, schema: dict[str, Json]) -> list[str]:
    """All that the schema finds wrong, as ``pointer: message``; empty when it is a profile."""
    validator = jsonschema_rs.validator_for(schema)
    return [
        f"{'/'.join(['', *map(str, error.instance_path)])}: {error.message}"
        for error in validator.iter_errors(document)
    ]


def parse(document: Json) -> Profile:
    """Raises ProfileRefused, naming the field, for a document that ``check`` would refuse."""
    table = Table(document)
    return Profile(
        name=table.text("name"),
        hosts=table.texts("hosts"),
        credential=_credential(table),
        headers=table.pairs("headers"),
        form_style=table.choice("form_style", _FORM_STYLES),
        default_encoding=table.choice("default_encoding", _DEFAULT_ENCODINGS),
        answers=table.choice("answers", _ANSWERS),
        safe_methods=table.texts("safe_methods"),
        deadline_ms=table.integer("deadline_ms"),
        idempotency=_idempotency(table),
        rules=tuple(_rule(rule) for rule in table.tables("rules")),
        codes=_codes(table),
        advice=_advice(table),
        retry=_retry(table.table("retry")),
        limits=tuple(_limit(limit) for limit in table.tables("limits")),
        look_ups=tuple(_look_up(look_up) for look_up in table.tables("look_up")),
        effects=tuple(map(_effect, table.tables("effects"))),
        live_key_prefixes=table.texts("live_key_prefixes"),
    )


_FORM_STYLES: tuple[FormStyle, ...] = ("form-brackets", "form-repeat")
_DEFAULT_ENCODINGS: tuple[Literal["form", "json"], ...] = ("form", "json")
_ANSWERS: tuple[Literal["json", "any"], ...] = ("json", "any")
_STAGES: tuple[Stage, ...] = ("not-sent", "sent")
_TIME_FORMATS: tuple[TimeFormat, ...] = ("unix", "rfc2822", "rfc3339")


def _credential(profile: Table) -> Credential | None:
    if not profile.has("credential"):
        return None
    table = profile.table("credential")
    match table.text("kind"):
        case "bearer":
            return Bearer(secret=table.text("secret"))
        case "basic":
            return Basic(user_secret=table.text("user"), password_secret=table.text("password"))
        case "header":
            return ApiKey(header=table.text("header"), secret=table.text("secret"))
        case _:
            raise table.refuse("kind")


def _idempotency(profile: Table) -> Idempotency | None:
    if not profile.has("idempotency"):
        return None
    table = profile.table("idempotency")
    return Idempotency(
        header=table.text("header"),
        window_ms=table.integer("window_s") * 1000,
        methods=table.texts("methods"),
    )


def _rule(table: Table) -> Rule:
    return Rule(
        kind=table.choice("kind", tuple(Kind)),
        status=table.scalars("status"),
        methods=table.texts("methods"),
        body=tuple(map(_body_test, table.tables("body"))),
        headers=tuple(
            HeaderTest(name=test.text("name").lower(), one_of=test.texts("one_of"))
            for test in table.tables("headers")
        ),
        keyed=table.flag("keyed") if table.has("keyed") else None,
        stage=table.choice("stage", _STAGES) if table.has("stage") else None,
        code=table.text("code", ""),
        code_at=table.text("code_at", ""),
        stop=table.has("stop") and table.flag("stop"),
        lasting=table.has("lasting") and table.flag("lasting"),
        wait_ms=table.integer("wait_ms", 0),
        one_object=table.has("one_object") and table.flag("one_object"),
    )


def _body_test(table: Table) -> BodyTest:
    return BodyTest(pointer=table.text("pointer"), one_of=table.scalars("one_of"))


def _codes(profile: Table) -> Codes:
    if not profile.has("codes"):
        return Codes()
    table = profile.table("codes")
    return Codes(code=table.texts("code"), detail=table.texts("detail"))


def _advice(profile: Table) -> Advice | None:
    if not profile.has("advice"):
        return None
    table = profile.table("advice")
    return Advice(
        header=table.text("header").lower(),
        retry=table.texts("retry"),
        stop=table.texts("stop"),
        delay_ms_header=table.text("delay_ms_header", "").lower(),
    )


def _retry(table: Table) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=table.integer("max_attempts"),
        base_ms=table.integer("base_ms"),
        factor=table.number("factor"),
        cap_ms=table.integer("cap_ms"),
        max_retry_after_ms=table.integer("max_retry_after_ms"),
        window_ms=table.integer("window_s") * 1000,
    )


def _limit(table: Table) -> Limit:
    return Limit(
        name=table.text("name"),
        per_second=table.number("per_second"),
        burst=table.integer("burst"),
        method=table.text("method", ""),
        path=table.text("path", ""),
        concurrency=table.integer("concurrency", 0),
        test_per_second=table.number("test_per_second") if table.has("test_per_second") else 0,
    )


def _look_up(table: Table) -> LookUp:
    call = table.table("call")
    return LookUp(
        method=call.text("method"),
        path=call.text("path"),
        ask=table.text("ask"),
        query=table.pairs("query"),
        fixed=table.pairs("fixed"),
        since=table.text("since", ""),
        items=table.text("items") if table.has("items") else None,
        more=table.text("more", ""),
        id=table.text("id"),
        match=table.pairs("match"),
        created=table.text("created", ""),
        created_format=table.choice("created_format", _TIME_FORMATS, "unix"),
        settle_ms=table.integer("settle_ms", 0),
        by_id=table.text("by_id", ""),
        needs=table.texts("needs"),
        status=table.integer("status", 200),
        refused=_refusal(table.table("refused")) if table.has("refused") else None,
        undone=tuple(map(_body_test, table.tables("undone"))),
    )


def _effect(table: Table) -> Effect:
    call = table.table("call")
    return Effect(
        method=call.text("method"),
        path=call.text("path"),
        what=table.text("what"),
        id=table.text("id"),
        when=_body_test(table.table("when")) if table.has("when") else None,
        amount=table.text("amount", ""),
        currency=table.text("currency", ""),
        money=table.has("money") and table.flag("money"),
    )


def _refusal(table: Table) -> Refusal:
    return Refusal(
        when=_body_test(table.table("when")),
        error=table.text("error"),
        status=table.integer("status"),
        subject=table.text("subject"),
    )

"""The other end: makes a request go where it belongs, and says what the answer comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from orchestrator.clock import Clock
from orchestrator.engine.changed import changed
from orchestrator.engine.state import Outcome, Result
from orchestrator.journal.port import Begun, Limit
from orchestrator.policy.outcomes import Answer, Kind, NoAnswer, Verdict, classify, effect
from orchestrator.policy.outcomes import Result as Reply
from orchestrator.policy.profiles import Profile
from workers.credentials import Credentials, Whose, whose
from workers.doubt import Doubt
from workers.held import Held
from workers.http import Caller, rewrite
from workers.judge import Judgement, judge, timed_out, turned_away
from workers.look_up import effect_of, subject_of
from workers.render import FrozenRequest

#: Operator trouble (a refused key, a suspended account) is tried again after this. ms.
OPERATOR_PAUSE: Final = 30_000


class Provider:
    def __init__(
        self,
        *,
        caller: Caller,
        credentials: Credentials,
        servers: Mapping[str, str],
        clock: Clock,
        doubt: Doubt,
    ) -> None:
        self._caller = caller
        self._credentials = credentials
        # Most calls go to few places.
        self._place = lru_cache(maxsize=256)(lambda url: rewrite(url, servers))
        self._clock = clock
        self._doubt = doubt

    def authorize(self, held: Held, request: FrozenRequest) -> list[tuple[str, str]]:
        """The request's headers. Raises CredentialMissing."""
        return self._credentials.authorize(request, held.profile)

    def await_turn(self, begun: Begun) -> None:
        """Its turn is at hand: a slot is held for a quarter of a second at most (lib.lua)."""
        if begun.at > begun.now:
            self._clock.sleep_ms(begun.at - begun.now)

    def send(
        self, request: FrozenRequest, headers: list[tuple[str, str]], *, deadline_ms: int
    ) -> Reply:
        return self._caller.call(
            request,
            headers=headers,
            url=request.via or self._place(request.url),
            deadline_s=deadline_ms / 1000,
        )

    def judge(self, held: Held, request: FrozenRequest, reply: Reply) -> Judgement:
        verdict = classify(
            held.profile,
            method=request.method,
            keyed=request.key is not None,
            result=reply,
            now_ms=self._clock.unix_ms(),
        )
        if held.visit.doubt and isinstance(reply, NoAnswer) and reply.refused:
            # An earlier send may have been executed: that this one may not go is no failure.
            verdict = replace(verdict, kind=Kind.UNKNOWN, stop=True)
        owner = whose(request, held.profile) if verdict.kind is Kind.OPERATOR else None
        if owner is Whose.RUN:
            # The run brought its own credential: nobody is to wait for it.
            verdict = replace(verdict, kind=Kind.FINAL)
        judgement = self._judged(held, request, reply, verdict)
        if owner is Whose.HOUSE:
            return replace(judgement, pause=_pause(held.profile))
        if _is_too_fast(reply, verdict):
            scope = _narrowest(held.profile, request)
            pause = (scope, verdict.retry_after_ms or 0) if scope else None
            return replace(judgement, pause=pause, refused=scope != "")
        return judgement

    def _judged(
        self, held: Held, request: FrozenRequest, reply: Reply, verdict: Verdict
    ) -> Judgement:
        judgement = judge(held.step, held.context, request, reply, verdict)
        done = effect(
            held.profile, method=request.method, path=urlsplit(request.url).path, result=reply
        )
        succeeded = judgement.outcome.result is Result.SUCCEEDED
        outcome = self._timed(held, request, reply, judgement.outcome, verdict)
        if _is_up(held, outcome):
            return timed_out(held.step, held.context, outcome, request, reply)
        if _is_turned_away(held, outcome):
            return turned_away(held.step, held.context, outcome, request, reply)
        return replace(
            judgement,
            outcome=changed(outcome, effect=done),
            effect=effect_of(held.profile, request, reply) if succeeded else "",
        )

    def _timed(
        self, held: Held, request: FrozenRequest, reply: Reply, outcome: Outcome, verdict: Verdict
    ) -> Outcome:
        """When it is sent again, and when it is looked up."""
        if outcome.result is Result.OPERATOR:
            outcome = changed(outcome, delay=_operator_pause(held))
        if outcome.result in {Result.TRANSIENT, Result.UNKNOWN}:
            outcome = changed(outcome, delay=self._doubt.delay(held, request, verdict))
        # An earlier send of what was turned away now may have been carried out.
        turned_away = outcome.result in {Result.TRANSIENT, Result.OPERATOR}
        in_doubt = outcome.result in {Result.UNKNOWN, Result.PENDING}
        if not in_doubt and not (turned_away and held.visit.doubt):
            return outcome
        subject = subject_of(held.profile, request, reply)
        resend = outcome.result is Result.UNKNOWN and not verdict.stop
        look = self._doubt.next_look(held, request, subject, resend=resend)
        outcome = changed(outcome, look=look, subject=subject)
        return self._doubt.again(held, request, outcome, stop=verdict.stop)


def _is_turned_away(held: Held, outcome: Outcome) -> bool:
    """Whether there is no other attempt, and none that was made did anything."""
    return outcome.result is Result.TRANSIENT and outcome.delay < 0 and not held.visit.doubt


def _is_up(held: Held, outcome: Outcome) -> bool:
    """Whether no other call fits into the step's time, and what was sent surely did nothing."""
    transient = outcome.result is Result.TRANSIENT and not held.visit.doubt
    return transient and held.is_up(max(0, outcome.delay))


def _operator_pause(held: Held) -> int:
    if held.left is None or held.visit.doubt:
        return OPERATOR_PAUSE
    return max(0, min(OPERATOR_PAUSE, held.left))


def limits_of(profile: Profile, request: FrozenRequest) -> list[Limit]:
    """What the request takes a token of."""
    path = "/" + request.url.partition("://")[2].partition("/")[2].partition("?")[0]
    return [
        Limit(
            scope=f"{profile.name}/{limit.name}",
            per_second=limit.per_second,
            burst=limit.burst,
            concurrency=limit.concurrency,
        )
        for limit in profile.limits
        if limit.applies(request.method, path)
    ]


def counted(limits: Sequence[Limit]) -> tuple[str, ...]:
    """Scopes that bound how many calls are under way at once."""
    return tuple(limit.scope for limit in limits if limit.concurrency)


def _is_too_fast(reply: Reply, verdict: Verdict) -> bool:
    """Whether it was the pace that was refused, and not a call on an object that is in use."""
    too_many = isinstance(reply, Answer) and reply.status == HTTPStatus.TOO_MANY_REQUESTS
    return too_many and verdict.kind is Kind.TRANSIENT and not verdict.one_object


def _narrowest(profile: Profile, request: FrozenRequest) -> str:
    """The scope that a refusal is held against: profiles list the account's first."""
    limits = limits_of(profile, request)
    return limits[-1].scope if limits else ""


def _pause(profile: Profile) -> tuple[str, int] | None:
    """The provider refused the account that all of its calls use: nobody calls it for a while."""
    return (f"{profile.name}/{profile.limits[0].name}", OPERATOR_PAUSE) if profile.limits else None

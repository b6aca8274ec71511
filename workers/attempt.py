"""One attempt at one visit. The one place with the order

    claim → render → begin → call → classify → commit

Each arrow is a place to die: ``Checkpoint`` names them, and the tests kill a process at
every one. What the journal says after each makes the next attempt right.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import structlog

from orchestrator.clock import Clock, Entropy
from orchestrator.driver import Driver, Plans
from orchestrator.engine.advance import advance
from orchestrator.engine.events import Event, apply, outcome_landed
from orchestrator.engine.state import LOST, Outcome, Result, State, Visit
from orchestrator.errors import CredentialMissing, RenderFailed
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import Json
from orchestrator.journal.port import (
    Began,
    Begun,
    Claim,
    Claimed,
    Committed,
    Journal,
    Limit,
    Ref,
    Settlement,
)
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Step
from orchestrator.policy import idempotency
from orchestrator.policy.look_up import next_look_ms
from orchestrator.policy.outcomes import Kind, Verdict, classify, effect
from orchestrator.policy.outcomes import Result as Reply
from orchestrator.policy.profiles import GENERIC, Profile
from orchestrator.policy.retry import delay_ms
from workers.credentials import Credentials, Whose, whose
from workers.http import Caller, rewrite
from workers.judge import Judgement, judge
from workers.look_up import Question, effect_of, question, read, subject_of
from workers.render import FrozenRequest, render
from workers.told import Said, Told, failed, told_of

log = structlog.get_logger()

#: After the call's deadline the lease stays so long: classifying and committing takes its time. ms.
LEASE_MARGIN: Final = 5_000
#: Operator trouble (a refused key, a suspended account) is tried again after this. ms.
OPERATOR_PAUSE: Final = 30_000


class Checkpoint(StrEnum):
    """Where a worker can die, in order."""

    CLAIMED = "claimed"
    BEGUN = "begun"
    CALLED = "called"  #: the provider has executed, the journal does not know
    COMMITTED = "committed"  #: the journal knows, nothing was sent for what follows
    FOLLOWED = "followed"
    FALLBACK = "fallback"  #: in the error callback, before it sends


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease, and all that its holder knows."""

    ref: Ref
    state: State
    graph: Graph
    step: Step
    profile: Profile
    context: Context
    frozen: bytes | None
    #: Redis' clock when ``at`` was read on ours: the two measure one span.
    now: int
    at: int

    @property
    def visit(self) -> Visit:
        return self.state.visits[self.ref.step]


class Attempt:
    def __init__(
        self,
        *,
        worker: str,
        journal: Journal,
        plans: Plans,
        driver: Driver,
        profiles: Mapping[str, Profile],
        credentials: Credentials,
        caller: Caller,
        servers: Mapping[str, str],
        clock: Clock,
        entropy: Entropy,
        alive: Callable[[], bool] = lambda: True,
        reached: Callable[[Checkpoint, Ref], None] = lambda _point, _ref: None,
    ) -> None:
        """``alive``: whether this worker's heartbeat still holds, by its own clock."""
        self._worker = worker
        self._journal = journal
        self._plans = plans
        self._driver = driver
        self._profiles = profiles
        self._credentials = credentials
        self._caller = caller
        self._servers = servers
        self._clock = clock
        self._entropy = entropy
        self._alive = alive
        self._reached = reached

    def drive(self, ref: Ref, carried: Container[tuple[str, int]] = ()) -> Told:
        """``carried``: visits that the caller's chain sends by itself on GO_ON."""
        at = self._clock.monotonic_ms()
        claim = self._journal.claim(ref, self._worker)
        if claim.verdict is not Claimed.YES:
            return self._not_mine(ref, claim)
        self._reached(Checkpoint.CLAIMED, ref)
        held = self._held(ref, claim, at)
        if held.visit.doubt and (asked := self._asked(held)) is not None:
            return self._look(held, asked, carried)
        if held.visit.doubt and not self._may_resend(held):
            return self._settle(held, self._lost(held), carried)
        try:
            request = self._request(held)
            headers = self._credentials.authorize(request, held.profile)
        except RenderFailed as error:
            log.warning("request.not-rendered", run=ref.run, step=ref.step, problem=error.message)
            # An earlier send may have been executed: that this one cannot be made is no failure.
            result = Result.UNKNOWN if held.visit.doubt else Result.FINAL
            return self._settle(held, Outcome(result=result, code=error.code), carried)
        except CredentialMissing as error:
            log.error("credential.missing", run=ref.run, step=ref.step, problem=error.message)
            return self._settle(held, _operator(error), carried)
        return self._begin(held, request, headers, carried)

    # Claimed.

    def _held(self, ref: Ref, claim: Claim, at: int) -> Held:
        state = claim.state
        assert state is not None  # noqa: S101  a claim that was given has a state
        graph = self._plans.graph(state.plan)
        step = graph.steps[ref.step]
        profile = self._profiles.get(step.call.provider, self._profiles[GENERIC])
        return Held(
            ref=ref,
            state=state,
            graph=graph,
            step=step,
            profile=profile,
            context=Context(inputs=claim.inputs, outputs=claim.outputs),
            frozen=claim.frozen,
            now=claim.now,
            at=at,
        )

    def _not_mine(self, ref: Ref, claim: Claim) -> Told:
        match claim.verdict:
            case Claimed.SUCCEEDED:
                return Told(Said.GO_ON)
            case Claimed.FAILED if claim.state:
                return failed(claim.state.visits[ref.step])
            case Claimed.SETTLED:
                self._driver.carry_on(ref.run)
                return Told(Said.WAIT, claim.verdict)
            case Claimed.WAITING | Claimed.PAUSED | Claimed.UNKNOWN:
                return Told(Said.WAIT, claim.verdict)
            case _:
                return Told(Said.IGNORE, claim.verdict)

    def _may_resend(self, held: Held) -> bool:
        """An earlier send may have been executed. Whether the same bytes may go out once more.

        Asked at every send: a run may have been paused for longer than its key lives. How
        often is asked only of a lost call; the other attempts were judged when they ended.
        """
        if held.state.ending or held.frozen is None:
            return False
        request = FrozenRequest.load(held.frozen)
        if held.visit.doubt == LOST:
            lost = Verdict(kind=Kind.UNKNOWN, code="")
            return self._delay(held, request, held.visit.attempts, lost) >= 0
        return self._key_holds(held, request, self._now(held))

    # In doubt.

    def _asked(self, held: Held) -> Question | None:
        """How the call is looked up.

        None when another send under its key says more, or when nothing can be asked.
        """
        if held.frozen is None:
            return None
        request = FrozenRequest.load(held.frozen)
        asked = question(held.profile, request, held.visit)
        # A key that holds gives the very answer back, but what is pending would stay as it was.
        pending = held.visit.subject or held.visit.result == Result.PENDING
        if pending or held.state.ending or asked is None:
            return asked
        return None if self._may_resend(held) else asked

    def _look(self, held: Held, asked: Question, carried: Container[tuple[str, int]]) -> Told:
        early = held.visit.first + asked.entry.settle_ms - self._now(held)
        if asked.searches and early > 0:
            # Whoever made what may be found is not told yet.
            return self._settle(held, self._doubt(held, "answer-lost", early), carried)
        try:
            headers = self._credentials.authorize(asked.request, held.profile)
        except CredentialMissing as error:
            log.error("credential.missing", run=held.ref.run, problem=error.message)
            return self._settle(held, self._doubt(held, error.code), carried)
        at = self._clock.monotonic_ms()
        begun = self._journal.look(
            held.ref,
            held.visit.fence,
            deadline_ms=held.profile.deadline_ms + LEASE_MARGIN,
            limits=_limits(held.profile, asked.request),
        )
        if begun.verdict is not Began.YES:
            limited = begun.verdict is Began.LIMITED
            return Told(Said.WAIT, "limited") if limited else Told(Said.IGNORE, "lease-lost")
        held = _looked(held, begun, at)
        reply = self._send(held, asked.request, headers)
        return self._adopt(held, asked, reply, carried)

    def _adopt(
        self, held: Held, asked: Question, reply: Reply, carried: Container[tuple[str, int]]
    ) -> Told:
        """The first that is nobody else's; what cannot be told stays in doubt."""
        listed = read(asked, reply, self._now(held))
        for found in listed or ():
            if found.answer is None:
                return self._settle(held, Outcome(result=Result.UNDONE, delay=0), carried)
            request = FrozenRequest.load(held.frozen or b"")
            judgement = self._judged(held, request, found.answer)
            effect = f"{held.profile.name}:{found.id}" if asked.searches else ""
            told = self._settle(held, judgement.outcome, carried, judgement, adopting=effect)
            if told.code != Committed.TAKEN:
                return told
        code = "not-found" if listed is not None else "not-looked-up"
        return self._settle(held, self._doubt(held, code), carried)

    def _lost(self, held: Held) -> Outcome:
        return self._doubt(held, "answer-lost")

    def _doubt(self, held: Held, code: str, at_least: int = 0) -> Outcome:
        """Nobody knows what became of the call; when it is looked up next, if it can be."""
        look = -1
        if held.frozen is not None:
            look = self._next_look(held, FrozenRequest.load(held.frozen))
        wait = max(look, at_least) if look >= 0 else look
        return Outcome(result=Result.UNKNOWN, code=code, look=wait, subject=held.visit.subject)

    def _next_look(
        self, held: Held, request: FrozenRequest, subject: str = "", *, resend: bool = True
    ) -> int:
        """``resend``: whether another send under a key that holds may say what became of it."""
        visit = replace(held.visit, subject=subject or held.visit.subject)
        asked = question(held.profile, request, visit)
        resend = resend and not held.state.ending
        if asked is None and not (resend and self._key_holds(held, request, self._now(held))):
            return -1
        looks = visit.looks + max(0, visit.attempts - held.profile.retry.max_attempts)
        settle = asked.entry.settle_ms if asked and asked.searches else 0
        return next_look_ms(looks, self._entropy.uniform(), settle_ms=settle)

    def _request(self, held: Held) -> FrozenRequest:
        if held.frozen is not None:
            return FrozenRequest.load(held.frozen)
        key = idempotency.key(held.ref.run, held.ref.step, held.ref.visit)
        return render(held.step.call, held.context, profile=held.profile, key=key)

    # Begun.

    def _begin(
        self,
        held: Held,
        request: FrozenRequest,
        headers: list[tuple[str, str]],
        carried: Container[tuple[str, int]],
    ) -> Told:
        at = self._clock.monotonic_ms()
        begun = self._journal.begin(
            held.ref,
            held.visit.fence,
            deadline_ms=held.profile.deadline_ms + LEASE_MARGIN,
            frozen=request.dump() if held.frozen is None else None,
            limits=_limits(held.profile, request),
            durable=request.key is None and request.method not in held.profile.safe_methods,
        )
        match begun.verdict:
            case Began.LIMITED:
                return Told(Said.WAIT, "limited")
            case Began.HALTED:
                return self._settle(held, Outcome(result=Result.WITHDRAWN), carried)
            case Began.LOST:
                return Told(Said.IGNORE, "lease-lost")
            case Began.YES:
                pass
        self._reached(Checkpoint.BEGUN, held.ref)
        held = _begun(held, begun, at)
        if not self._alive() or self._now(held) >= begun.until:
            # Stopped since the last heartbeat: the lease may be another's by now. Nothing was sent,
            # so it is given back; if it is another's, the fence refuses that.
            return self._settle(held, Outcome(result=Result.WITHDRAWN), carried)
        return self._call(held, request, headers, carried)

    def _call(
        self,
        held: Held,
        request: FrozenRequest,
        headers: list[tuple[str, str]],
        carried: Container[tuple[str, int]],
    ) -> Told:
        reply = self._send(held, request, headers)
        self._reached(Checkpoint.CALLED, held.ref)
        judgement = self._judged(held, request, reply)
        return self._settle(held, judgement.outcome, carried, judgement)

    def _send(self, held: Held, request: FrozenRequest, headers: list[tuple[str, str]]) -> Reply:
        return self._caller.call(
            request,
            headers=headers,
            url=request.via or rewrite(request.url, self._servers),
            deadline_s=held.profile.deadline_ms / 1000,
        )

    def _judged(self, held: Held, request: FrozenRequest, reply: Reply) -> Judgement:
        verdict = classify(
            held.profile,
            method=request.method,
            keyed=request.key is not None,
            result=reply,
            now_ms=self._clock.unix_ms(),
        )
        owner = whose(request, held.profile)
        if verdict.kind is Kind.OPERATOR and owner is Whose.RUN:
            # The run brought its own credential: nobody is to wait for it.
            verdict = replace(verdict, kind=Kind.FINAL)
        judgement = judge(held.step, held.context, request, reply, verdict)
        outcome = judgement.outcome
        pause = None
        if outcome.result is Result.OPERATOR:
            outcome = replace(outcome, delay=OPERATOR_PAUSE)
            pause = _pause(held.profile) if owner is Whose.HOUSE else None
        elif outcome.result in {Result.TRANSIENT, Result.UNKNOWN}:
            delay = self._delay(held, request, held.visit.attempts, verdict)
            outcome = replace(outcome, delay=delay)
        if outcome.result in {Result.UNKNOWN, Result.PENDING}:
            subject = subject_of(held.profile, request, reply)
            resend = outcome.result is Result.UNKNOWN and not verdict.stop
            look = self._next_look(held, request, subject, resend=resend)
            outcome = replace(outcome, look=look, subject=subject)
        done = effect(
            held.profile, method=request.method, path=urlsplit(request.url).path, result=reply
        )
        owned = ""
        if outcome.result is Result.SUCCEEDED:
            owned = effect_of(held.profile, request, reply)
        outcome = replace(outcome, effect=done)
        return replace(judgement, outcome=outcome, effect=owned, pause=pause)

    def _delay(self, held: Held, request: FrozenRequest, attempts: int, verdict: Verdict) -> int:
        """Milliseconds to the next send of these bytes, -1 for none."""
        now = self._now(held)
        first = held.visit.first or now
        if verdict.kind is Kind.UNKNOWN and not self._key_holds(held, request, now):
            return -1
        delay = delay_ms(
            held.profile.retry,
            attempt=attempts,
            verdict=verdict,
            jitter=self._entropy.uniform(),
            elapsed_ms=max(0, now - first),
        )
        return -1 if delay is None else delay

    def _key_holds(self, held: Held, request: FrozenRequest, now: int) -> bool:
        return idempotency.may_resend(
            held.profile,
            method=request.method,
            keyed=request.key is not None,
            first_sent_ms=held.visit.first or now,
            now_ms=now,
        )

    # Settled.

    def _settle(
        self,
        held: Held,
        outcome: Outcome,
        carried: Container[tuple[str, int]],
        judgement: Judgement | None = None,
        *,
        adopting: str = "",
    ) -> Told:
        """``adopting``: the effect that was looked up and is this call's if nobody else has it."""
        ref, now = held.ref, self._now(held)
        event = outcome_landed(at=now, step=ref.step, visit=held.visit, outcome=outcome)
        landed = apply(held.state, event)
        decision = advance(held.graph, landed, now)
        settlement = Settlement(
            event=event,
            visit=landed.visits[ref.step],
            outputs=judgement.outputs if judgement else None,
            pause=judgement.pause if judgement else None,
            effect=adopting or (judgement.effect if judgement else ""),
            adopted=bool(adopting),
        )
        committed = self._journal.commit(ref, held.visit.fence, settlement, decision)
        self._reached(Checkpoint.COMMITTED, ref)
        _log(held, outcome, committed, now)
        if committed is Committed.TAKEN:
            return Told(Said.IGNORE, committed)
        if committed is Committed.LOST:
            return Told(Said.IGNORE, "lease-lost")
        if committed is Committed.NEWS or decision is None:
            state = self._driver.carry_on(ref.run)
            return told_of(state.visits.get(ref.step) if state else None, ref)
        told = told_of(decision.after.visits[ref.step], ref)
        by_callback = decision.entered if told.said is Said.HANDLED else ()
        by_chain = [v for v in decision.entered if v in carried] if told.said is Said.GO_ON else ()
        self._driver.follow(ref.run, decision, carried={*by_callback, *by_chain})
        self._reached(Checkpoint.FOLLOWED, ref)
        return told

    def _now(self, held: Held) -> int:
        return held.now + self._clock.monotonic_ms() - held.at


def _begun(held: Held, begun: Begun, at: int) -> Held:
    """The journal's ``begun`` event, applied to what the lease holder knows."""
    fields: dict[str, Json] = {"s": held.ref.step, "a": begun.attempt, "u": begun.until}
    state = apply(held.state, Event(kind="begun", at=begun.now, fields=fields))
    return replace(held, state=state, now=begun.now, at=at)


def _looked(held: Held, begun: Begun, at: int) -> Held:
    """The journal's ``looked`` event, applied to what the lease holder knows."""
    fields: dict[str, Json] = {"s": held.ref.step, "u": begun.until}
    state = apply(held.state, Event(kind="looked", at=begun.now, fields=fields))
    return replace(held, state=state, now=begun.now, at=at)


def _operator(error: CredentialMissing) -> Outcome:
    return Outcome(
        result=Result.OPERATOR, code=error.code, detail=error.secret, delay=OPERATOR_PAUSE
    )


def _limits(profile: Profile, request: FrozenRequest) -> list[Limit]:
    path = "/" + request.url.partition("://")[2].partition("/")[2].partition("?")[0]
    return [
        Limit(scope=f"{profile.name}/{limit.name}", per_second=limit.per_second, burst=limit.burst)
        for limit in profile.limits
        if limit.applies(request.method, path)
    ]


def _pause(profile: Profile) -> tuple[str, int] | None:
    """The provider refused the account that all of its calls use: nobody calls it for a while."""
    return (f"{profile.name}/{profile.limits[0].name}", OPERATOR_PAUSE) if profile.limits else None


def _log(held: Held, outcome: Outcome, committed: Committed, now: int) -> None:
    log.info(
        "attempt.finished",
        run=held.ref.run,
        step=held.ref.step,
        visit=held.ref.visit,
        attempt=held.visit.attempts,
        outcome=outcome.result.value,
        code=outcome.code,
        status=outcome.status,
        committed=committed.value,
        ms=now - held.now,
    )

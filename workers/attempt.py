"""One attempt at one visit. The one place with the order

    claim → render → begin → call → classify → commit

Each arrow is a place to die: ``Checkpoint`` names them, and the tests kill a process at
every one. What the journal says after each makes the next attempt right. What may have been
executed unseen is looked up instead (``looking``), where that says more than another send.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from orchestrator.clock import Clock, Entropy
from orchestrator.driver import Driver, Plans
from orchestrator.engine.changed import changed
from orchestrator.engine.state import Outcome, Result
from orchestrator.errors import CredentialMissing, JournalUnavailable, RenderFailed
from orchestrator.journal.port import Began, Begun, Claim, Claimed, Journal, Limit, Ref
from orchestrator.policy import idempotency
from orchestrator.policy.accounts import Accounts
from orchestrator.policy.profiles import Profile
from workers import rewound
from workers.credentials import Credentials
from workers.doubt import Doubt
from workers.held import Checkpoint, Held
from workers.http import Caller
from workers.judge import timed_out
from workers.landing import Landing
from workers.looking import Looking
from workers.patience import Patience
from workers.provider import OPERATOR_PAUSE, Provider, counted, limits_of
from workers.render import FrozenRequest, render
from workers.told import Said, Told, failed

log = structlog.get_logger()

#: After the call's deadline the lease stays so long: classifying and committing takes its time. ms.
LEASE_MARGIN: Final = 5_000
#: A message is kept for so long while Redis is away; then the timekeeper sends another. ms.
CLAIM_PATIENCE: Final = 10_000


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
        self._accounts = Accounts(profiles)
        self._clock = clock
        self._lock = threading.Lock()
        self._driven: set[Ref] = set()
        self._alive = alive
        self._reached = reached
        self._doubt = Doubt(entropy)
        self._provider = Provider(
            caller=caller, credentials=credentials, servers=servers, clock=clock, doubt=self._doubt
        )
        self._patience = Patience(clock, entropy)
        self._landing = Landing(
            journal=journal, driver=driver, patience=self._patience, reached=reached
        )
        self._looking = Looking(
            journal=journal,
            provider=self._provider,
            doubt=self._doubt,
            landing=self._landing,
            lease_margin_ms=LEASE_MARGIN,
            reached=reached,
        )

    def drive(self, ref: Ref, carried: Container[tuple[str, int]] = ()) -> Told:
        """``carried``: visits that the caller's chain sends by itself on GO_ON."""
        with self._driving(ref) as alone:
            at = self._clock.monotonic_ms()
            claim = self._claim(ref, alone=alone)
            if claim.verdict is not Claimed.YES:
                return self._not_mine(ref, claim)
            self._reached(Checkpoint.CLAIMED, ref)
            return self._drive(ref, self._held(ref, claim, at), carried)

    # Claimed.

    @contextmanager
    def _driving(self, ref: Ref) -> Iterator[bool]:
        """Whether no other thread of this process drives the visit."""
        with self._lock:
            alone = ref not in self._driven
            self._driven.add(ref)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._driven.discard(ref)

    def _claim(self, ref: Ref, *, alone: bool) -> Claim:
        """A claim whose answer was lost may have been carried out, and is then made good."""

        def claim() -> Claim:
            return self._journal.claim(ref, self._worker, mine=alone)

        return self._patience.trying(ref, CLAIM_PATIENCE, claim)

    def _drive(self, ref: Ref, held: Held, carried: Container[tuple[str, int]]) -> Told:
        if held.visit.doubt and (told := self._in_doubt(held, carried)) is not None:
            return told
        if not held.visit.doubt and held.is_up():
            last = Outcome(result=Result.TRANSIENT, code=held.visit.code)
            late = timed_out(held.step, held.context, last)
            return self._landing.land(held, late.outcome, carried, late)
        try:
            request = held.request or self._render(held)
            headers = self._provider.authorize(held, request)
        except RenderFailed as error:
            log.warning("request.not-rendered", run=ref.run, step=ref.step, problem=error.message)
            # An earlier send may have been executed: that this one cannot be made is no failure.
            result = Result.UNKNOWN if held.visit.doubt else Result.FINAL
            return self._landing.land(held, Outcome(result=result, code=error.code), carried)
        except CredentialMissing as error:
            log.error("credential.missing", run=ref.run, step=ref.step, problem=error.message)
            return self._landing.land(held, _operator(error), carried)
        return self._begin(held, request, headers, carried)

    def _in_doubt(self, held: Held, carried: Container[tuple[str, int]]) -> Told | None:
        """None when it may be sent again."""
        known = self._with_request(held)
        if known.request and (asked := self._doubt.asked(known)) is not None:
            return self._looking.look(known, known.request, asked, carried)
        if self._doubt.may_resend(known):
            return None
        return self._landing.land(known, self._doubt.unsearchable(known), carried)

    def _with_request(self, held: Held) -> Held:
        """What was frozen may be lost with Redis' writes: the same inputs make the same again."""
        if held.request is not None:
            return held
        try:
            return changed(held, request=self._render(held))
        except RenderFailed:
            return held

    def _held(self, ref: Ref, claim: Claim, at: int) -> Held:
        assert claim.state is not None  # noqa: S101  a claim that was given has a state
        graph = self._plans.graph(claim.state.plan)
        provider = graph.steps[ref.step].call.provider
        profile = self._accounts.profile(provider, claim.state.accounts)
        return Held.of(claim, ref, graph=graph, profile=profile, clock=self._clock, at=at)

    def _not_mine(self, ref: Ref, claim: Claim) -> Told:
        match claim.verdict:
            case Claimed.SUCCEEDED:
                return Told(Said.GO_ON)
            case Claimed.FAILED if claim.state:
                return failed(claim.state.visits[ref.step])
            case Claimed.SETTLED:
                self._driver.carry_on(ref.run)
                return Told(Said.WAIT, claim.verdict)
            case Claimed.LATE:
                self._driver.carry_on(ref.run)
                return Told(Said.IGNORE, claim.verdict)
            case Claimed.WAITING | Claimed.PAUSED | Claimed.UNKNOWN:
                return Told(Said.WAIT, claim.verdict)
            case _:
                return Told(Said.IGNORE, claim.verdict)

    def _render(self, held: Held) -> FrozenRequest:
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
        limits = limits_of(held.profile, request)
        held = changed(held, busy=counted(limits))
        try:
            begun = self._begun(held, request, limits)
        except JournalUnavailable:
            # It may have begun all the same, and its lease would be a call's.
            again = self._landing.reread(held)
            return self._give_back(again, carried) if again else Told(Said.IGNORE, "lease-lost")
        rewound.say(begun.missing)
        match begun.verdict:
            case Began.LIMITED | Began.STOPPED | Began.REWOUND:
                return Told(Said.WAIT, begun.verdict)
            case Began.HALTED:
                return self._give_back(held, carried)
            case Began.LOST:
                return Told(Said.IGNORE, "lease-lost")
            case Began.YES:
                pass
        self._reached(Checkpoint.BEGUN, held.ref)
        held = held.begun(begun, at)
        structlog.contextvars.bind_contextvars(attempt=begun.attempt)
        self._provider.await_turn(begun)
        if not self._alive() or held.now >= begun.until or held.begins_nothing:
            # Stopped since the last heartbeat: the lease may be another's by now, or the run's
            # deadline has passed. Nothing was sent, so it is given back; if it is another's, the
            # fence refuses that.
            return self._give_back(held, carried)
        reply = self._provider.send(request, headers, deadline_ms=held.call_ms)
        self._reached(Checkpoint.CALLED, held.ref)
        judgement = self._provider.judge(held, request, reply)
        return self._landing.land(held, judgement.outcome, carried, judgement)

    def _begun(self, held: Held, request: FrozenRequest, limits: Sequence[Limit]) -> Begun:
        return self._journal.begin(
            held.ref,
            held.visit.fence,
            deadline_ms=held.call_ms + LEASE_MARGIN,
            frozen=request.dump() if held.request is None else None,
            limits=limits,
            durable=request.key is None and request.method not in held.profile.safe_methods,
            provider=held.profile.name,
        )

    def _give_back(self, held: Held, carried: Container[tuple[str, int]]) -> Told:
        # A run that ends, or is late, has what is in doubt looked up.
        doubt = held.request if held.visit.doubt else None
        look = self._doubt.next_look(held, doubt) if doubt else -1
        return self._landing.land(held, Outcome(result=Result.WITHDRAWN, look=look), carried)


def _operator(error: CredentialMissing) -> Outcome:
    return Outcome(
        result=Result.OPERATOR, code=error.code, detail=error.secret, delay=OPERATOR_PAUSE
    )

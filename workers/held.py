"""A visit under this worker's lease, and all that its holder knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engine.changed import changed
from orchestrator.engine.events import Event, apply
from orchestrator.engine.state import IN_FLIGHT, State, Visit
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import Json
from orchestrator.journal.port import Begun, Claim, Ref
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Step
from orchestrator.policy.profiles import Profile
from workers.render import FrozenRequest


class Checkpoint(StrEnum):
    """Where a worker can die, in order."""

    CLAIMED = "claimed"
    BEGUN = "begun"
    CALLED = "called"  #: the provider has executed, the journal does not know
    LOOKING = "looking"  #: a look-up has begun, nothing was asked yet
    LOOKED = "looked"  #: the provider has said what became of the call, the journal does not know
    COMMITTED = "committed"  #: the journal knows, nothing was sent for what follows
    FOLLOWED = "followed"
    FALLBACK = "fallback"  #: in the error callback, before it sends


#: A retry within a step's timeout has so long at least, or a tenth of the whole time if that is
#: less: cut short, it would leave a doubt where there was none. ms.
LEAST: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Held:
    ref: Ref
    state: State
    graph: Graph
    step: Step
    profile: Profile
    context: Context
    #: As it was sent first; None before that.
    request: FrozenRequest | None
    clock: Clock
    #: Redis' clock when ``at`` was read on ours: the two measure one span. ms.
    seen: int
    at: int
    #: Scopes with a ``concurrency``, in which its call counts until it has landed.
    busy: tuple[str, ...] = ()

    @staticmethod
    def of(
        claim: Claim, ref: Ref, *, graph: Graph, profile: Profile, clock: Clock, at: int
    ) -> Held:
        """What a claim that was given tells. ``at``: our clock before the claim."""
        assert claim.state is not None  # noqa: S101  a claim that was given has a state
        return Held(
            ref=ref,
            state=claim.state,
            graph=graph,
            step=graph.steps[ref.step],
            profile=profile,
            context=Context(inputs=claim.inputs, outputs=claim.outputs),
            request=None if claim.frozen is None else FrozenRequest.load(claim.frozen),
            clock=clock,
            seen=claim.now,
            at=at,
        )

    @property
    def visit(self) -> Visit:
        return self.state.visits[self.ref.step]

    @property
    def now(self) -> int:
        """ms, Redis' clock as far as is known."""
        return self.seen + self.clock.monotonic_ms() - self.at

    @property
    def first(self) -> int:
        """When the first call of the visit began, or would begin now. ms."""
        return self.visit.first or self.now

    @property
    def begins_nothing(self) -> bool:
        """Its run is on its way to its end, or past its deadline: what is in doubt is looked up."""
        return bool(self.state.ending) or self.state.is_late(self.now)

    @property
    def left(self) -> int | None:
        """What the step's timeout leaves of this visit, None for no end. ms."""
        if not self.step.timeout_ms:
            return None
        since = self.visit.since_first
        return self.step.timeout_ms - (self.now - since if since else 0)

    @property
    def call_ms(self) -> int:
        """How long a call may take that begins now.

        One that is in doubt has all its time: its timeout fails it no more, only an answer helps.
        """
        longest = self.profile.deadline_ms
        if self.left is None or self.visit.doubt:
            return longest
        return max(1, min(longest, self.left))

    def is_up(self, wait: int = 0) -> bool:
        """Whether the step's timeout allows no other call, ``wait`` ms from now."""
        if self.left is None or not self.visit.since_first:
            return False
        return self.left - wait < min(LEAST, self.step.timeout_ms // 10)

    def begun(self, begun: Begun, at: int) -> Held:
        """The journal's ``begun`` event, applied to what is known."""
        return self._after("begun", {"a": begun.attempt, "u": begun.until}, begun.now, at)

    def looked(self, begun: Begun, at: int) -> Held:
        return self._after("looked", {"u": begun.until, "q": begun.looks}, begun.now, at)

    def reread(self, state: State | None) -> Held | None:
        """The same lease in a state that was read since; None when it holds no more."""
        visit = state.visits.get(self.ref.step) if state else None
        if state is None or visit is None or visit.phase not in IN_FLIGHT:
            return None
        same = (visit.number, visit.fence) == (self.ref.visit, self.visit.fence)
        return changed(self, state=state) if same else None

    def _after(self, kind: str, fields: dict[str, Json], now: int, at: int) -> Held:
        event = Event(kind=kind, at=now, fields={"s": self.ref.step, **fields})
        return changed(self, state=apply(self.state, event), seen=now, at=at)

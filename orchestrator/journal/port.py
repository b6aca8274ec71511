"""What the journal promises. One contract test suite holds over every adapter.

Whoever holds a lease (a fence) may write a step's outcome; whoever knows the run's
latest ``seq`` may write a decision. Everything else is a hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestrator.engine.advance import Decision
from orchestrator.engine.events import Event
from orchestrator.engine.state import State, Visit
from orchestrator.expressions.nodes import Json


@dataclass(frozen=True, slots=True)
class Ref:
    """One visit of one step of one run: the unit of a lease, and of an idempotency key."""

    run: str
    step: str
    visit: int


class Claimed(StrEnum):
    """What a claim came to."""

    YES = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SETTLED = "settled"  #: the outcome landed, the decision did not: somebody must decide
    WAITING = "waiting"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    BUSY = "busy"  #: a live worker has the lease
    STALE = "stale"  #: another visit, a cancelled step, a run on its way to its end
    FINISHED = "finished"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    verdict: Claimed
    #: ms, Redis' clock.
    now: int = 0
    state: State | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict)
    #: Outputs by step, only those that the step reads.
    outputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    #: The request as it was frozen at this visit's first attempt.
    frozen: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many calls in a scope: GCRA on Redis' clock, shared by all workers."""

    scope: str
    per_second: float
    burst: int


class Began(StrEnum):
    YES = "begun"
    LIMITED = "limited"  #: the visit now waits for its turn; nothing was sent
    HALTED = "halted"  #: the run was cancelled or paused meanwhile; give the visit back
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    verdict: Began
    now: int
    attempt: int = 0
    #: When this visit's first call began. ms.
    first: int = 0
    #: BEGUN: end of the lease. LIMITED: not before. ms.
    until: int = 0


class Committed(StrEnum):
    YES = "committed"
    NEWS = "news"  #: the outcome landed; something else happened since: decide again
    LOST = "lost"  #: the lease is somebody else's; nothing was written
    TAKEN = "taken"  #: the effect that was looked up is another intent's; nothing was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """An attempt's end, as its lease holder writes it."""

    event: Event
    visit: Visit
    #: Set on success, and on a failure that the run goes on from.
    outputs: Mapping[str, Json] | None = None
    #: (scope, ms): the provider is paused for everybody.
    pause: tuple[str, int] | None = None
    #: "provider:id" of what the call made, where a look-up could take it for another call's.
    effect: str = ""
    #: It was looked up, so it is this intent's only if it is nobody else's.
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    run: str
    plan: bytes
    digest: str
    name: str
    lane: str
    starts: Sequence[str]
    #: Data fields that each step reads: "inputs", "o:<step>".
    reads: Mapping[str, Sequence[str]]
    inputs: Mapping[str, Json]
    #: At most one run per (scope, key); None accepts always.
    key: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    run: str
    #: False when the key had a run already: ``run`` is that one.
    new: bool
    #: The run under this key was accepted for another plan or other inputs.
    conflict: bool = False
    #: When it was accepted, if it is new. ms, Redis' clock.
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    run: str
    state: State
    #: Newest send that was claimed in the run's lane, ms.
    lane_claimed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    leader: bool
    now: int = 0
    alive: frozenset[str] = frozenset()
    due: Sequence[Due] = ()


class Journal(Protocol):
    """Raises JournalUnavailable from every method when Redis cannot be asked."""

    def accept(self, new: NewRun) -> Acceptance:
        """Accepted is finished: from here on the run stands in the due-set until its end."""
        ...

    def plan(self, digest: str) -> bytes: ...

    def claim(self, ref: Ref, worker: str) -> Claim:
        """Take the lease of a visit that nobody drives. One round trip."""
        ...

    def begin(
        self,
        ref: Ref,
        fence: int,
        *,
        deadline_ms: int,
        frozen: bytes | None,
        limits: Sequence[Limit],
        durable: bool = False,
    ) -> Begun:
        """A call may be made now: token taken, request frozen, attempt counted, in one script.

        ``durable``: nothing but this record keeps the call from being made twice; a journal with a
        barrier answers once it is on disk.
        """
        ...

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        """What was sent may be looked up now: token taken, nothing counted as an attempt.

        Never HALTED: a look-up changes nothing, and a run that ends needs it as well.
        """
        ...

    def commit(
        self, ref: Ref, fence: int, settlement: Settlement, decision: Decision | None
    ) -> Committed:
        """The outcome lands whenever the fence holds; the decision only on the seq it was made on.

        Returns NEWS when the outcome alone did, TAKEN when an adopted effect is another's.
        """
        ...

    def resolve(self, ref: Ref, settlement: Settlement, decision: Decision | None) -> Committed:
        """A person's word about a visit that is parked; LOST when it is parked no more."""
        ...

    def decide(self, run: str, decision: Decision) -> Committed: ...

    def control(self, run: str, kind: str, *, by: str, reason: str) -> State | None:
        """Journal cancel, pause or resume; None for a run that is finished or unheard of."""
        ...

    def reopen(self, run: str, step: str, seen: int, *, by: str, reason: str) -> int | None:
        """Take a bad end back and enter ``step`` anew, whose latest visit was ``seen``.

        The number of the new visit; None when the run has moved on, or is unheard of.
        """
        ...

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        """Number of the send that the caller may make now; None when the visit has moved on."""
        ...

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        """run → (seq seen, due ms): look again then, unless something happened meanwhile."""
        ...

    def settle(self, run: str) -> None:
        """The outbox is done: a finished run leaves the due-set."""
        ...

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        """Be, or stay, the one timekeeper, and take what is due."""
        ...

    def heartbeat(self, worker: str, *, ttl_ms: int) -> None: ...

    def retire(self, worker: str) -> None:
        """A worker that ends in order says so: its leases are free at once."""
        ...

    def alive(self) -> frozenset[str]: ...

    def now(self) -> int:
        """ms, Redis' clock."""
        ...

    def read(self, run: str) -> State | None: ...

    def history(self, run: str) -> list[Event]: ...

    def inputs(self, run: str) -> Mapping[str, Json]: ...

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]: ...

    def key_of(self, run: str) -> str | None: ...

    def recent(self, limit: int) -> list[str]:
        """Run ids, newest first."""
        ...

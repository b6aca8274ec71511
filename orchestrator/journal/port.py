"""What the journal promises. One contract test suite holds over every adapter.

Whoever holds a lease (a fence) may write a step's outcome; whoever knows the run's
latest ``seq`` may write a decision. Everything else is a hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from orchestrator.engine.advance import Decision
from orchestrator.engine.events import Event
from orchestrator.engine.state import State, Visit
from orchestrator.expressions.nodes import Json
from orchestrator.journal.batches import Record
from orchestrator.journal.counts import Attempt

#: After a restart of Redis nothing without a key begins for so long, and every worker is heard. ms.
GRACE: Final = 5_000

#: In place of a reason that no key at hand opens.
SEALED: Final = "[sealed with a key that is not at hand]"


@dataclass(frozen=True, slots=True)
class Ref:
    """One visit of one step of one run: the unit of a lease, and of an idempotency key."""

    run: str
    step: str
    visit: int
    #: Number of the message that brought it, 0 where none did.
    send: int = field(default=0, compare=False)
    #: That message was its run's very first.
    fresh: bool = field(default=False, compare=False)


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
    LATE = "late"  #: the run's deadline has passed: somebody must decide
    FINISHED = "finished"
    ABSENT = "absent"
    NEWER = "newer"  #: of a newer release, which this one leaves as it is


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
    #: Calls under way at once, 0 for any number.
    concurrency: int = 0


class Began(StrEnum):
    YES = "begun"
    LIMITED = "limited"  #: the visit now waits for its turn; nothing was sent
    REWOUND = "rewound"  #: Redis has lost writes, and it may be sent already: it is looked up first
    STOPPED = "stopped"  #: a person stopped the provider: the visit waits until it goes on
    HALTED = "halted"  #: cancelled, paused or past its deadline meanwhile; give the visit back
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    verdict: Began
    now: int
    attempt: int = 0
    #: When this visit's first call began. ms.
    first: int = 0
    #: BEGUN: end of the lease. LIMITED, STOPPED, REWOUND: not before. ms.
    until: int = 0
    #: BEGUN: when the call is to be made, a quarter of a second after ``now`` at most. ms.
    at: int = 0
    #: BEGUN, of a look-up: which of the visit's it is.
    looks: int = 0
    #: Begins, at least, that this one found Redis to have lost.
    missing: int = 0


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
    #: It was called too fast: the scope of ``pause`` is used less from now on.
    refused: bool = False
    #: Scopes with a ``concurrency``, in which the call is under way no more.
    freed: tuple[str, ...] = ()
    #: "provider:id" of what the call made, where a look-up could take it for another call's.
    effect: str = ""
    #: It was looked up, so it is this intent's only if it is nobody else's.
    adopted: bool = False
    #: Counted with the outcome, where that is the end of a call; None for another.
    attempt: Attempt | None = None


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
    #: At most one run per (scope, key), for as long as the key lives; None accepts always.
    key: tuple[str, str] | None = None
    #: Nothing is begun from here on, 0 for never: ms on Redis' clock, and ms from the acceptance.
    #: The earlier of the two counts.
    deadline: int = 0
    within: int = 0
    #: As ``State`` has them.
    accounts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    run: str
    #: False when the key had a run already: ``run`` is that one.
    new: bool
    #: In what the run under this key was accepted for something else: "plan", "account",
    #: "inputs".
    differs: tuple[str, ...] = ()
    #: The run under this key has been removed since; the key holds all the same.
    gone: bool = False
    #: When it was accepted. ms, Redis' clock.
    at: int = field(default=0, compare=False)

    @property
    def conflict(self) -> bool:
        return bool(self.differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    run: str
    state: State
    #: Newest send that was claimed in the run's lane, ms: of runs under way, and of first messages.
    lane_claimed: int
    lane_fresh: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A provider that nobody calls, until a person takes it back."""

    provider: str
    #: ms, Redis' clock.
    at: int
    by: str
    #: Steps that were to call it and wait.
    waiting: int = 0
    #: "" unless it was asked for.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How what waited goes on: no faster than its provider takes it."""

    #: Steps of one script.
    batch: int
    #: From one step to the next.
    spacing_us: int
    #: The last of them goes on at the latest after this: rate limits hold back what is too fast.
    spread_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """One batch of what waited for a provider that goes on."""

    #: Whether this call took a stop back.
    taken_back: bool
    #: Steps that were given their time to go on.
    woken: int
    #: Steps that still wait: another batch is to be woken.
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """Redis was found to have lost what it had acknowledged."""

    #: When that was found out. ms, Redis' clock.
    at: int
    #: Calls without a key that had begun, at least, and of which it knew nothing.
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    run: str
    #: ms, Redis' clock.
    accepted: int
    #: None when it was removed meanwhile, or is of a newer release.
    state: State | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    leader: bool
    now: int = 0
    alive: frozenset[str] = frozenset()
    due: Sequence[Due] = ()
    #: Runs that are due and left to a newer release.
    newer: Sequence[str] = ()


class Journal(Protocol):
    """Raises JournalUnavailable from every method when Redis cannot be asked."""

    def accept(self, new: NewRun) -> Acceptance:
        """Accepted is finished: from here on the run stands in the due-set until its end."""
        ...

    def plan(self, digest: str) -> bytes: ...

    def claim(self, ref: Ref, worker: str, *, mine: bool = False) -> Claim:
        """Take the lease of a visit that nobody drives. One round trip.

        ``mine``: this worker drives nothing of the visit, so a lease that it has there, and never
        used, is taken anew: its claim had no answer.
        """
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
        provider: str = "",
    ) -> Begun:
        """A call may be made: token taken, request frozen, attempt counted, in one script.

        Not before ``at``, which is so near that the caller waits for it.
        ``provider``: whose account it is made to; STOPPED while a person has it stopped.
        ``durable``: nothing but this record keeps the call from being made twice; a journal with a
        barrier answers once it is on disk. One without remembers it, and waits for a while after
        a restart of Redis (LIMITED). What may have been begun in what Redis is known to have lost
        is parked instead, to be looked up (REWOUND).
        """
        ...

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        """What was sent may be looked up now: token taken, nothing counted as an attempt.

        Never HALTED or STOPPED: a look-up changes nothing, and a run that ends needs it as well.
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
        """Journal cancel, pause or resume; None for a run that is finished or unheard of.

        ``reason``, here and below, is sealed like a value: it may name a customer.
        """
        ...

    def reopen(
        self,
        run: str,
        step: str,
        seen: int,
        *,
        by: str,
        reason: str,
        batch: str = "",
        in_turn: bool = False,
    ) -> int | None:
        """Take a bad end back and enter ``step`` anew, whose latest visit was ``seen``.

        ``batch``: the run's own, which no longer counts it as ended, and in whose window it has a
        place again; with ``in_turn`` only if there is room for it.

        The number of the new visit; 0 when there is no room; None when the run has moved on, is
        unheard of, or its values are erased.
        """
        ...

    def stop(self, provider: str, *, by: str, reason: str) -> Stop:
        """From here on no call to the provider begins, until ``go_on``. Calls under way land.

        The stop that holds: an earlier one stays as it was.
        """
        ...

    def go_on(self, provider: str, *, by: str, reason: str, pace: Pace) -> Wake:
        """Take a stop back, and let the first steps that wait for it go on."""
        ...

    def wake(self, provider: str, *, pace: Pace, woken: int) -> Wake:
        """The next batch behind ``woken`` others; none when the provider is stopped again."""
        ...

    def stops(self, *, reasons: bool = False) -> Sequence[Stop]:
        """Providers that are stopped, by name."""
        ...

    def house(self, *, reasons: bool = False) -> list[Event]:
        """The latest events that are no run's: ``stopped`` and ``went-on``, oldest first."""
        ...

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        """Number of the send that the caller may make now; None when the visit has moved on."""
        ...

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        """run → (seq seen, due ms): look again then, unless something happened meanwhile."""
        ...

    def settle(self, run: str, batch: str = "", record: Record | None = None) -> bool:
        """The outbox is done: a finished run leaves the due-set, and its batch counts it once.

        Whether the caller is to admit the batch's next rows now.
        """
        ...

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        """Be, or stay, the one timekeeper, and take what is due."""
        ...

    def heartbeat(self, worker: str, *, ttl_ms: int) -> int:
        """Begins, at least, that Redis is now found to have lost: this process remembers them."""
        ...

    def retire(self, worker: str) -> None:
        """A worker that ends in order says so: its leases are free at once."""
        ...

    def alive(self) -> frozenset[str]: ...

    def require_writable(self) -> None:
        """Raises JournalUnavailable while Redis refuses that anything is begun. Writes nothing."""
        ...

    def rewound(self) -> Rewound | None:
        """The latest loss that was found out; None for none."""
        ...

    def now(self) -> int:
        """ms, Redis' clock."""
        ...

    def read(self, run: str) -> State | None: ...

    def history(self, run: str, *, reasons: bool = False) -> list[Event]:
        """``reasons``: with what people gave as their reasons, as ``why``.

        One whose key is not at hand reads SEALED: the rest of the history is told all the same.
        """
        ...

    def inputs(self, run: str) -> Mapping[str, Json]: ...

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]: ...

    def key_of(self, run: str) -> str | None: ...

    def recent(self, limit: int) -> list[str]:
        """Run ids, newest first."""
        ...

    def lanes(self) -> frozenset[str]:
        """Of all runs that have not ended, and of batches with rows that are no runs yet.

        However many they are: a page of them at a time.
        """
        ...

    def unended(self, first: int, limit: int) -> Sequence[Listed]:
        """Runs that have not ended, behind ``first`` others, as they are to be looked at next.

        What happens meanwhile may shift them.
        """
        ...

    def doubted(self, limit: int) -> Sequence[Listed]:
        """Runs in doubt, also while that is looked up or sent again; the longest first."""
        ...

    def page(self, *, until: int, since: int, limit: int, after: str = "") -> Sequence[Listed]:
        """Runs accepted from ``since`` to ``until`` (ms), newest first, at most ``limit``.

        ``after``: the last run of the page before, and ``until`` when that was accepted. Runs that
        are accepted or removed meanwhile shift no page. One round trip.
        """
        ...

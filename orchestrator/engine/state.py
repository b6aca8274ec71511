"""A run's control state: what the journal's hash holds, typed.

The state is the fold of the run's events (``events.py``). Values never stand here:
inputs, outputs and frozen requests are sealed beside it, and no decision reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Final

from orchestrator.engine.changed import changed
from orchestrator.engine.effects import Effect, joined, read_all
from orchestrator.errors import NewerRelease

#: Of all that a run is made of: its hash with its visits, its events, its plan (plan/codec.py), its
#: messages (canvas/messages.py), its frozen requests and its sealed values. A field ``v`` of the
#: hash says it, absent for 1. Raised with any of the others' versions: the journal's scripts see
#: this one only, and leave a run with a higher one to a release that knows it.
#: 2: of a run that names accounts (policy/accounts.py), whom release 1 would call by others.
VERSION: Final = 2


class Phase(StrEnum):
    READY = "ready"  #: entered; a message for it is, or was, on its way
    HELD = "held"  #: a worker has the lease; nothing was sent under it
    CALLING = "calling"  #: a call has begun: the provider may have executed it
    WAITING = "waiting"  #: not before ``until``
    SETTLED = "settled"  #: the outcome has landed, nothing was decided from it yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  #: parked until it is looked up: the provider may have executed it
    CANCELLED = "cancelled"


IN_FLIGHT: Final = frozenset({Phase.HELD, Phase.CALLING})
ACTIVE: Final = IN_FLIGHT | {Phase.READY, Phase.WAITING, Phase.SETTLED}


class Result(StrEnum):
    """What an attempt came to, as the engine sees it."""

    SUCCEEDED = "succeeded"
    FINAL = "final"
    TRANSIENT = "transient"  #: surely did nothing
    UNKNOWN = "unknown"  #: may have done it
    OPERATOR = "operator"  #: needs a person at the provider's side; fails nobody
    PENDING = "pending"  #: the provider has it; money may still move
    WITHDRAWN = "withdrawn"  #: given back before anything was sent
    UNDONE = "undone"  #: looked up: whatever was sent before did nothing


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one attempt. Codes only: no text of a provider."""

    result: Result
    code: str = ""
    detail: str = ""
    #: HTTP status, 0 when there was no answer.
    status: int = 0
    #: Which routes hold, by choice: "0,2;1" is routes 0 and 2 of choice 0, route 1 of choice 1.
    matched: str = ""
    #: Milliseconds until the next attempt; -1 when policy allows none.
    delay: int = -1
    #: In doubt: milliseconds until it is looked up; -1 when nothing can be.
    look: int = -1
    #: In doubt: the provider's id of what the call is about, where an answer told it.
    subject: str = ""
    #: What it did to the world outside, e.g. "charged pi_1 1999 usd", whatever the step
    #: makes of it (effects.py).
    effect: str = ""
    #: In doubt, and sent again after ``delay`` all the same: the document wants it twice rather
    #: than never.
    again: bool = False


#: An attempt ended without a usable answer; policy has judged whether to send again.
UNSEEN: Final = 1
#: The worker died in its call: nobody has judged that attempt yet.
LOST: Final = 2
#: Redis has lost writes, and with them perhaps the record of a call: most likely none was made.
REWOUND: Final = 3
#: As an outcome's code.
REDIS_REWOUND: Final = "redis-rewound"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """The latest visit of one step. Field metadata: the short name in the journal."""

    number: int = field(metadata={"as": "n"})
    phase: Phase = field(metadata={"as": "p"})
    #: READY: when it was last sent to its lane, 0 when no message is out. ms, Redis' clock.
    since: int = field(default=0, metadata={"as": "s"})
    #: Messages sent for this visit; each has its own task id.
    sends: int = field(default=1, metadata={"as": "x"})
    #: Of these, the number of the last one when the visit was last claimed; 0 for the first.
    taken: int = field(default=0, metadata={"as": "xc"})
    #: Grows with every claim, over all visits: a write under an older one is lost.
    fence: int = field(default=0, metadata={"as": "f"})
    #: Worker incarnation that has, or had, the lease.
    worker: str = field(default="", metadata={"as": "w"})
    #: HELD, CALLING: end of the lease. WAITING: not before. UNKNOWN: the next look-up, 0 for
    #: none. ms, Redis' clock.
    until: int = field(default=0, metadata={"as": "u"})
    #: Calls begun in this visit.
    attempts: int = field(default=0, metadata={"as": "a"})
    #: When the rate limit lets it call: its place in the line is taken. ms, 0 for none.
    turn: int = field(default=0, metadata={"as": "v"})
    #: Its turn is among the urgent ones, though its run is a batch's: it was put back too often.
    preferred: int = field(default=0, metadata={"as": "pf"})
    #: When the first call of this visit began: the idempotency key's window starts here.
    first: int = field(default=0, metadata={"as": "b"})
    #: The same, kept when ``first`` was taken back because nothing had been done.
    began: int = field(default=0, metadata={"as": "i"})
    #: Whether some attempt of this visit may have been executed unseen: UNSEEN, LOST or REWOUND.
    doubt: int = field(default=0, metadata={"as": "d"})
    #: When the run came to the step: 0 when it was accepted, or of an earlier release. ms.
    entered_at: int = field(default=0, metadata={"as": "en"})
    #: When the loss of writes was found out that put it in doubt (REWOUND), or did. ms, 0 for none.
    rewound: int = field(default=0, metadata={"as": "rw"})
    #: How often it was looked up.
    looks: int = field(default=0, metadata={"as": "q"})
    look: int = field(default=-1, metadata={"as": "z"})
    subject: str = field(default="", metadata={"as": "y"})
    #: Whether it was decided, in doubt, to send it again all the same: 1 from then on, as long as
    #: no send is in doubt anew.
    again: int = field(default=0, metadata={"as": "j"})
    #: The document's own retries so far, by failure route: "0:2" is two by route 0.
    retried: str = field(default="", metadata={"as": "r"})
    result: str = field(default="", metadata={"as": "k"})
    code: str = field(default="", metadata={"as": "c"})
    detail: str = field(default="", metadata={"as": "t"})
    status: int = field(default=0, metadata={"as": "h"})
    matched: str = field(default="", metadata={"as": "m"})
    delay: int = field(default=-1, metadata={"as": "l"})
    #: What its attempts, and those of visits before, did to the world outside (effects.py).
    effects: str = field(default="", metadata={"as": "e"})
    #: What the visit before this one failed with, "" if it did not.
    before: str = field(default="", metadata={"as": "o"})
    #: Visits that the decision upon this one entered: "step.visit step.visit".
    next: str = field(default="", metadata={"as": "g"})

    def encode(self) -> str:
        """JSON without fields at their default. Scalars only: Lua's cjson must not reshape it."""
        values = zip(_VISIT_FIELDS, _visit_values(self), strict=True)
        return _json({short: value for (_, short, default), value in values if value != default})

    @staticmethod
    def decode(text: str) -> Visit:
        plain = json.loads(text)
        values = {_VISIT_NAMES[short]: plain[short] for short in plain if short in _VISIT_NAMES}
        return changed(_BLANK, **{**values, "number": plain["n"], "phase": Phase(plain["p"])})

    def land(self, outcome: Outcome) -> Visit:
        undone = outcome.result is Result.UNDONE
        return changed(
            self,
            phase=Phase.SETTLED,
            # What did nothing leaves no key to be trusted, and nothing to be looked up.
            first=0 if undone else self.first,
            # In what Redis lost it may not have been at work at all.
            began=self.since_first if undone and self.attempts else self.began,
            looks=0 if undone else self.looks,
            look=outcome.look,
            effects=joined(self.effects, outcome.effect),
            subject="" if undone else outcome.subject or self.subject,
            result=outcome.result.value,
            code=outcome.code,
            detail=outcome.detail,
            status=outcome.status,
            matched=outcome.matched,
            delay=outcome.delay,
            again=int(outcome.again or (bool(self.again) and outcome.result in _HELD_UP)),
            doubt=self._doubt_after(outcome.result),
        )

    def _doubt_after(self, result: Result) -> int:
        if result is Result.UNDONE:
            return 0
        if self.doubt == REWOUND and result in _NOTHING_NEW:
            return REWOUND
        return UNSEEN if self.doubt or result in {Result.UNKNOWN, Result.PENDING} else 0

    @property
    def unanswered(self) -> int:
        """Messages sent since somebody claimed the visit."""
        return self.sends - self.taken

    @property
    def since_first(self) -> int:
        """Since when the visit is at work: what a step's time is counted from. ms, 0 before."""
        return self.began or self.first

    @property
    def came(self) -> int:
        """Since when it has, or might have, done something. ms."""
        return self.since_first or self.entered_at

    @property
    def failure(self) -> str:
        """What it was refused with for good, to be compared."""
        return f"{self.code} {self.detail}" if self.result == Result.FINAL else ""

    @property
    def failed_alike(self) -> bool:
        """Refused for good, by the very words that the visit before was refused with."""
        return self.failure != "" and self.failure == self.before

    @property
    def entered(self) -> tuple[tuple[str, int], ...]:
        """Steps and visits that the decision upon this visit entered."""
        pairs = (word.rpartition(".") for word in self.next.split())
        return tuple((step, int(number)) for step, _, number in pairs)


#: A send that surely did nothing: whether it may be repeated stays as it was judged before.
_HELD_UP: Final = frozenset({Result.TRANSIENT, Result.OPERATOR, Result.WITHDRAWN})
#: Before a call that may be lost with Redis' writes was looked up, or made again.
_NOTHING_NEW: Final = frozenset({Result.UNKNOWN, Result.OPERATOR, Result.WITHDRAWN})


_VISIT_FIELDS: Final = tuple((f.name, f.metadata["as"], f.default) for f in fields(Visit))
_VISIT_NAMES: Final = {short: name for name, short, _ in _VISIT_FIELDS}
#: A visit is written and read at each of a step's turns: one call into C, and one encoder.
_visit_values: Final = attrgetter(*_VISIT_NAMES.values())
_json: Final = json.JSONEncoder(separators=(",", ":")).encode
#: Of which a visit that is read is a copy.
_BLANK: Final = Visit(number=0, phase=Phase.READY)


@dataclass(frozen=True, kw_only=True)
class State:
    """One run. ``seq`` counts every change that a decision could depend on."""

    plan: str
    name: str
    lane: str
    accepted: int
    seq: int = 0
    visits: Mapping[str, Visit] = field(default_factory=dict)
    #: Joins not yet entered: target → steps whose way there was taken.
    arrivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: From here on nothing more is begun; 0 for never. ms, Redis' clock.
    deadline: int = 0
    #: Set by pause, cleared by resume.
    paused: bool = False
    #: The end that the run is on its way to: routes are no longer followed.
    ending: str = ""
    code: str = ""
    failed_step: str = ""
    #: The end itself, "" until nothing is in flight or in doubt any more.
    end: str = ""
    ended: int = 0
    #: Duties that must be done before the run leaves the due-set, space-separated.
    outbox: str = ""
    #: The batch whose row it is, "" for none.
    batch: str = ""
    #: Which accounts of its providers are called, "stripe=eu,twilio=main"; "" for the usual ones.
    accounts: str = ""
    #: When its values were erased for good, 0 for never. ms, Redis' clock.
    forgotten: int = 0

    @property
    def status(self) -> Status:
        if self.end:
            return Status(self.end)
        phases = {visit.phase for visit in self.visits.values()}
        if phases & (IN_FLIGHT | {Phase.SETTLED}):
            return Status.RUNNING
        if Phase.UNKNOWN in phases and not phases & {Phase.READY, Phase.WAITING}:
            return Status.UNKNOWN
        if self.paused:
            return Status.PAUSED
        if Phase.READY in phases:
            begun = any(v.attempts or v.number > 1 for v in self.visits.values())
            return Status.RUNNING if begun else Status.PENDING
        return Status.WAITING

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What stands, whatever became of the run, in the order of ``in_order``."""
        visits = self.in_order
        return tuple(e for step, visit in visits for e in read_all(step, visit.effects))

    @property
    def in_order(self) -> list[tuple[str, Visit]]:
        """The visits by when their first calls began, or they were entered: Redis has no order."""
        return sorted(self.visits.items(), key=lambda item: (item[1].came, item[0]))

    def is_late(self, now: int) -> bool:
        return 0 < self.deadline <= now

    def visited(self, step: str) -> int:
        visit = self.visits.get(step)
        return visit.number if visit else 0

    def encode(self) -> dict[str, str]:
        """The journal's hash: scalars by name, ``s:<step>`` visits, ``j:<step>`` arrivals."""
        values = ((short, getattr(self, name), default) for name, short, default in _STATE_FIELDS)
        plain = {short: _scalar(value) for short, value, default in values if value != default}
        plain |= {f"s:{step}": visit.encode() for step, visit in self.visits.items()}
        return plain | {f"j:{step}": " ".join(s) for step, s in self.arrivals.items()}

    def since(self, before: State) -> tuple[dict[str, str], tuple[str, ...]]:
        """What its hash has other than that of ``before``, and what it no longer has.

        Most of it are visits, most of them the same ones as before, which are not looked into.
        """
        written, gone = {}, []
        for name, short, default in _STATE_FIELDS:
            value = getattr(self, name)
            if value == getattr(before, name):
                continue
            if value == default:
                gone.append(short)
            else:
                written[short] = _scalar(value)
        for step, visit in self.visits.items():
            if (old := before.visits.get(step)) is not visit and old != visit:
                written[f"s:{step}"] = visit.encode()
        for step, sources in self.arrivals.items():
            if before.arrivals.get(step) != sources:
                written[f"j:{step}"] = " ".join(sources)
        gone += [f"s:{step}" for step in before.visits if step not in self.visits]
        gone += [f"j:{step}" for step in before.arrivals if step not in self.arrivals]
        return written, tuple(gone)

    @staticmethod
    def decode(plain: Mapping[str, str]) -> State:
        """Raises NewerRelease for what another release wrote and this one cannot read."""
        try:
            if int(plain.get("v", 1)) <= VERSION:
                return State._decoded(plain)
        except (AttributeError, KeyError, TypeError, ValueError):
            # A phase, a visit or a shape that is not of this release.
            pass
        raise NewerRelease(
            "this run was written by a newer release of durazzo, and is left to it: update this"
            " process to see it"
        )

    @staticmethod
    def _decoded(plain: Mapping[str, str]) -> State:
        visits, arrivals = {}, {}
        for key, value in plain.items():
            if key.startswith("s:"):
                visits[key[2:]] = Visit.decode(value)
            elif key.startswith("j:"):
                arrivals[key[2:]] = tuple(value.split())
        return State(
            plan=plain["plan"],
            name=plain["name"],
            lane=plain["lane"],
            accepted=int(plain["accepted"]),
            seq=int(plain.get("seq", 0)),
            visits=visits,
            arrivals=arrivals,
            deadline=int(plain.get("deadline", 0)),
            paused=plain.get("paused") == "1",
            ending=plain.get("ending", ""),
            code=plain.get("code", ""),
            failed_step=plain.get("failed", ""),
            end=plain.get("end", ""),
            ended=int(plain.get("ended", 0)),
            outbox=plain.get("outbox", ""),
            batch=plain.get("batch", ""),
            accounts=plain.get("accounts", ""),
            forgotten=int(plain.get("forgotten", 0)),
        )


def _scalar(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


_STATE_FIELDS: Final = (
    ("plan", "plan", None),
    ("name", "name", None),
    ("lane", "lane", None),
    ("accepted", "accepted", None),
    ("seq", "seq", 0),
    ("deadline", "deadline", 0),
    ("paused", "paused", False),
    ("ending", "ending", ""),
    ("code", "code", ""),
    ("failed_step", "failed", ""),
    ("end", "end", ""),
    ("ended", "ended", 0),
    ("outbox", "outbox", ""),
    ("batch", "batch", ""),
    ("accounts", "accounts", ""),
    ("forgotten", "forgotten", 0),
)

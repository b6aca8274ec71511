"""Timeline: a run's events → what happened, as a person tells it. Pure.

A call is one entry from its beginning to what was decided upon it; claims, leases, messages
and turns are folded into that. What another release wrote, and this one does not know, becomes
an entry of its own: nothing is left out, and nothing breaks.

Ids, codes and amounts only, as the events have them. The one text is a person's own: why a run was
paused, resumed or cancelled, or a call resolved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from orchestrator.engine.effects import Effect, read
from orchestrator.engine.events import Event
from orchestrator.engine.state import ACTIVE, REDIS_REWOUND, Phase, Result, Visit
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import Plan


class What(StrEnum):
    ACCEPTED = "accepted"
    CALLED = "called"  #: from its beginning; without a result it is under way
    NOT_CALLED = "not-called"  #: an attempt that ended before anything was sent
    LOOKED_UP = "looked-up"  #: asked the provider what became of a call
    REWOUND = "rewound"  #: not called: it may be among what Redis has lost, and is looked up first
    RESOLVED = "resolved"  #: a person said what became of a call
    WAITS = "waits"
    TAKEN_OVER = "taken-over"  #: by another worker
    SENT_AGAIN = "sent-again"  #: the message of a step that nobody took up
    JOIN_WAITS = "join-waits"
    JOINED = "joined"
    CLOSED = "closed"  #: a step that ended without another call
    CONTROL = "control"
    ENDING = "ending"  #: the end is decided; what is under way lands first
    ENDED = "ended"
    OTHER = "other"  #: not of this release


class Then(StrEnum):
    """What follows from an outcome, unless the step ended in a phase."""

    RETRY = "retry"
    ANEW = "anew"  #: the document's own retry: a new visit, with a new key
    PERSON = "person"  #: tried again, until a person has put something right


#: What an entry's ``result`` can say beside ``Result``: the worker died before an answer.
LOST: Final = "lost"
#: Why a step waits for its turn: an entry's ``code``.
RATE_LIMIT: Final = "rate-limit"
PROVIDER_PAUSED: Final = "provider-paused"
PROVIDER_STOPPED: Final = "provider-stopped"
PROVIDER_GOES_ON: Final = "provider-goes-on"
REDIS_RESTARTED: Final = "redis-restarted"

#: What may be shown of an event that is not known. Long numbers could be a card or a phone.
_CODE: Final = re.compile(r"(?!\d{7,}$)[A-Za-z0-9_.-]{1,64}")
_MOST_FIELDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    #: ms since the epoch, Redis' clock; of a call, when it began.
    at: int
    what: What
    #: "" for what concerns the whole run.
    step: str = ""
    visit: int = 0
    attempt: int = 0
    #: ``Result`` or LOST, "" while nothing has come back.
    result: str = ""
    code: str = ""
    detail: str = ""
    #: HTTP status, 0 when there was no answer.
    status: int = 0
    #: What it did to the world outside.
    effect: Effect | None = None
    #: ms until something came back; SENT_AGAIN: since the message before.
    took: int = -1
    #: ``Then``, or the phase in which the step ended; ENDED, ENDING: the run's end.
    then: str = ""
    #: Not before; ACCEPTED: the deadline. ms, as ``at``.
    until: int = 0
    #: Sent again in doubt, for the document wants it twice rather than never.
    again: bool = False
    #: Visits that were entered upon it.
    next: tuple[tuple[str, int], ...] = ()
    #: A join's steps that are in, and those that may still come.
    arrived: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    #: CONTROL, RESOLVED: who; TAKEN_OVER: the worker that died.
    by: str = ""
    reason: str = ""

    @property
    def over(self) -> int:
        """When it was over, as far as it is. ms, as ``at``."""
        instant = self.took < 0 or self.what is What.SENT_AGAIN
        return self.at if instant else self.at + self.took

    def as_json(self) -> dict[str, Json]:
        plain: dict[str, Json] = {
            "at": self.at,
            "what": self.what.value,
            "step": self.step or None,
            "visit": self.visit or None,
            "attempt": self.attempt or None,
            "status": self.status or None,
        }
        rest: dict[str, Json] = {
            "result": self.result, "code": self.code, "detail": self.detail, "then": self.then,
            "effect": self.effect.as_json() if self.effect else None, "again": self.again,
            "until": self.until, "arrived": list(self.arrived), "awaited": list(self.awaited),
            "next": [{"step": step, "visit": visit} for step, visit in self.next],
            "by": self.by, "reason": self.reason,
        }  # fmt: skip
        plain |= {"took": self.took} if self.took >= 0 else {}
        return plain | {name: value for name, value in rest.items() if value}


def timeline(events: Iterable[Event], plan: Plan) -> list[Entry]:
    """What happened, in order of time."""
    story = _Story(plan)
    for event in events:
        story.tell(event)
    return story.entries


@dataclass(slots=True)
class _Track:
    """Where a step's latest visit stands."""

    visit: int
    phase: Phase = Phase.READY
    #: Since when its message is out, 0 when none is. ms.
    out: int = 0
    worker: str = ""
    attempt: int = 0
    #: The entry that the next decision upon the step belongs to; -1 for none.
    last: int = -1


class _Story:
    def __init__(self, plan: Plan) -> None:
        self.entries: list[Entry] = []
        self._awaits = {step.id: step.awaits for step in plan.steps}
        self._tracks: dict[str, _Track] = {}
        self._arrived: dict[str, tuple[str, ...]] = {}
        #: What the run is on its way to its end for.
        self._code = ""
        #: Joins whose waiting was told.
        self._told: set[str] = set()
        self._kinds: Mapping[str, Callable[[Event], None]] = {
            "accepted": self._accepted,
            "claimed": self._claimed,
            "begun": self._begun,
            "looked": self._looked,
            "limited": self._limited,
            "rewound": self._rewound,
            "outcome": self._outcome,
            "decided": self._decided,
            "sent": self._sent,
            "control": self._control,
            "settled": self._settled,
        }

    def tell(self, event: Event) -> None:
        try:
            self._kinds.get(event.kind, self._other)(event)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            # Not as this release writes it.
            self._other(event)

    # Events.

    def _accepted(self, event: Event) -> None:
        self._add(Entry(at=event.at, what=What.ACCEPTED, until=int(event.fields.get("u", 0))))
        for step in event.fields["starts"]:
            self._tracks[step] = _Track(visit=1, out=event.at)

    def _claimed(self, event: Event) -> None:
        step, track = self._of(event)
        if track.phase in {Phase.HELD, Phase.CALLING} or event.fields.get("d"):
            called = self._lost(event, track)
            taken = Entry(
                at=event.at, what=What.TAKEN_OVER, step=step, visit=track.visit,
                attempt=track.attempt if called else 0, result=LOST if called else "",
                by=track.worker,
            )  # fmt: skip
            self._add(taken)
        track.phase, track.worker = Phase.HELD, str(event.fields.get("w", ""))

    def _lost(self, event: Event, track: _Track) -> bool:
        """Whether the worker that is gone had begun a call, or a look-up."""
        if track.last < 0 or self.entries[track.last].result:
            return False
        begun = self.entries[track.last]
        self.entries[track.last] = replace(begun, result=LOST, took=event.at - begun.at)
        called = begun.what is What.CALLED
        track.last = -1
        return called

    def _begun(self, event: Event) -> None:
        step, track = self._of(event)
        track.attempt, track.phase = int(event.fields["a"]), Phase.CALLING
        entry = Entry(
            at=event.at, what=What.CALLED, step=step, visit=track.visit, attempt=track.attempt
        )
        track.last = self._add(entry)

    def _looked(self, event: Event) -> None:
        step, track = self._of(event)
        entry = Entry(at=event.at, what=What.LOOKED_UP, step=step, visit=track.visit)
        track.last = self._add(entry)

    def _limited(self, event: Event) -> None:
        step, track = self._of(event)
        until = int(event.fields["u"])
        # It is sent to a worker a little ahead of its turn; a pause is longer than what it had.
        why = RATE_LIMIT if event.fields.get("v", 0) >= until else PROVIDER_PAUSED
        if (stopped := event.fields.get("st")) is not None:
            why = PROVIDER_STOPPED if stopped else PROVIDER_GOES_ON
        why = REDIS_RESTARTED if event.fields.get("g") else why
        self._wait(event.at, step, until, why)
        track.phase = Phase.UNKNOWN if "p" in event.fields else Phase.WAITING

    def _rewound(self, event: Event) -> None:
        step, track = self._of(event)
        entry = Entry(
            at=event.at, what=What.REWOUND, step=step, visit=track.visit, code=REDIS_REWOUND,
            then=Phase.UNKNOWN, until=int(event.fields["u"]),
        )  # fmt: skip
        self._add(entry)
        track.phase, track.last = Phase.UNKNOWN, -1

    def _outcome(self, event: Event) -> None:
        step, track = self._of(event)
        said = "by" in event.fields
        if said or track.last < 0 or self.entries[track.last].result:
            sent = What.CALLED if event.fields.get("h") else What.NOT_CALLED
            entry = Entry(
                at=event.at, what=What.RESOLVED if said else sent, step=step, visit=track.visit,
                attempt=track.attempt,
            )  # fmt: skip
            track.last = self._add(entry)
        entry = _landed(self.entries[track.last], event)
        self.entries[track.last] = entry
        track.phase = Phase.SETTLED
        if entry.what is What.NOT_CALLED and entry.result == Result.WITHDRAWN:
            # Given back before anything was sent: nothing that a person waits for.
            self.entries.pop(track.last)
            track.last = -1

    def _sent(self, event: Event) -> None:
        step, track = self._of(event)
        if track.phase is Phase.READY and track.out:
            since = event.at - track.out
            sent = Entry(
                at=event.at, what=What.SENT_AGAIN, step=step, visit=track.visit, took=since
            )
            self._add(sent)
        if track.phase is Phase.WAITING:
            track.phase = Phase.READY
        track.out = event.at

    def _control(self, event: Event) -> None:
        f = event.fields
        kind, by, reason = str(f["k"]), str(f.get("by", "")), str(f.get("why", ""))
        entry = Entry(at=event.at, what=What.CONTROL, code=kind, by=by, reason=reason)
        if kind == "resume":
            # Messages that came meanwhile were dropped: that they are sent again is no loss.
            for track in self._tracks.values():
                track.out = 0
        elif kind == "retry" and "s" in f:
            # The end is taken back: the run goes on at a step, in a new visit of it.
            step, track = self._of(event)
            track.out, self._code = event.at, ""
            entry = replace(entry, step=step, visit=track.visit)
        self._add(entry)

    def _settled(self, event: Event) -> None:
        """Duties done: nothing that a person waits for."""

    def _other(self, event: Event) -> None:
        step, visit = event.fields.get("s"), event.fields.get("n")
        self._unheard(
            event.at,
            event.kind,
            {name: value for name, value in event.fields.items() if name not in {"s", "n"}},
            step=step if isinstance(step, str) else "",
            visit=visit if isinstance(visit, int) else 0,
        )

    def _unheard(
        self, at: int, kind: str, fields: Mapping[str, Any], *, step: str = "", visit: int = 0
    ) -> None:
        shown = [f"{name}={value}" for name, value in fields.items() if _showable(name, value)]
        self._add(
            Entry(
                at=at, what=What.OTHER, step=step, visit=visit, code=kind,
                detail=" ".join(shown[:_MOST_FIELDS]),
            )
        )  # fmt: skip

    # Decisions.

    def _decided(self, event: Event) -> None:
        changes = [tuple(change) for change in event.fields["d"] if change]
        entered = {change[1] for change in changes if change[0] == "enter"}
        over = any(change[0] == "end" for change in changes)
        for change in changes:
            try:
                known = self._step_changed(change, event.at) or self._run_changed(
                    change, event.at, entered=entered, over=over
                )
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                known = False
            if not known:
                self._unheard_change(event.at, change)

    def _unheard_change(self, at: int, change: tuple[Any, ...]) -> None:
        kind, *rest = change
        step = rest.pop(0) if rest and isinstance(rest[0], str) and rest[0] in self._tracks else ""
        shown = {str(number): value for number, value in enumerate(rest, 1)}
        self._unheard(at, str(kind), shown, step=step)

    def _step_changed(self, change: tuple[Any, ...], at: int) -> bool:
        match change:
            case ("enter", str(step), int(number)):
                self._entered_anew(step, number)
                self._tracks[step] = _Track(visit=number, out=at)
            case ("again", str(step), int(number), int(until), _):
                self._decide(at, step, Then.ANEW, until=until, entered=((step, number),))
                self._tracks[step] = _Track(visit=number, phase=Phase.WAITING)
            case ("wait", str(step), int(until)):
                self._wait_decided(at, step, until)
            case ("ready", str(step)):
                self._tracks[step].phase, self._tracks[step].out = Phase.READY, 0
            case ("park", str(step), int(until)):
                self._decide(at, step, Phase.UNKNOWN, until=until)
                self._tracks[step].phase = Phase.UNKNOWN
            case ("close", str(step), str(phase), str(following)):
                entered = Visit(number=0, phase=Phase.SETTLED, next=following).entered
                self._decide(at, step, phase, entered=entered)
                self._tracks[step].phase = Phase(phase)
            case _:
                return False
        return True

    def _run_changed(
        self, change: tuple[Any, ...], at: int, *, entered: set[str], over: bool
    ) -> bool:
        match change:
            case ("arrive", str(target), str(source)):
                sources = dict.fromkeys((*self._arrived.get(target, ()), source))
                self._arrived[target] = tuple(sources)
                if target not in entered:
                    self._join(at, What.JOIN_WAITS, target)
                    self._told.add(target)
            case ("joined", str(target)):
                if target in self._told:
                    self._join(at, What.JOINED, target)
                self._told.discard(target)
                self._arrived.pop(target, None)
            case ("ending", str(end), str(code), str(step)):
                self._code = code
                if not over:
                    self._add(Entry(at=at, what=What.ENDING, step=step, code=code, then=end))
            case ("end", str(end), _):
                self._add(Entry(at=at, what=What.ENDED, code=self._code, then=end))
            case _:
                return False
        return True

    def _entered_anew(self, step: str, number: int) -> None:
        """A step that leads to itself is not closed: it is entered upon its own outcome."""
        track = self._tracks.get(step)
        if track is None or track.phase is not Phase.SETTLED or track.last < 0:
            return
        good = self.entries[track.last].result == Result.SUCCEEDED
        then = Phase.SUCCEEDED if good else Phase.FAILED
        self._decide(0, step, then, entered=((step, number),))

    def _wait_decided(self, at: int, step: str, until: int) -> None:
        track = self._tracks[step]
        last = self.entries[track.last] if track.last >= 0 else None
        operator = last is not None and last.result == Result.OPERATOR
        then = Then.PERSON if operator else Then.RETRY
        self._decide(at, step, then, until=until)
        track.phase = Phase.WAITING

    def _decide(
        self,
        at: int,
        step: str,
        then: str,
        *,
        until: int = 0,
        entered: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """To the entry whose outcome it follows from, else as an entry of its own."""
        track = self._tracks[step]
        if track.last >= 0 and not self.entries[track.last].then:
            last = self.entries[track.last]
            self.entries[track.last] = replace(last, then=then, until=until, next=entered)
            track.last = -1
        elif then == Then.RETRY:
            self._wait(at, step, until, "")
        else:
            closed = Entry(
                at=at, what=What.CLOSED, step=step, visit=track.visit, then=then, until=until,
                attempt=track.attempt, next=entered,
            )  # fmt: skip
            self._add(closed)

    # Entries.

    def _join(self, at: int, what: What, target: str) -> None:
        arrived = self._arrived.get(target, ())
        awaits = self._awaits.get(target, ())
        awaited = tuple(s for s in awaits if s not in arrived and not self._is_over(s))
        self._add(Entry(at=at, what=what, step=target, arrived=arrived, awaited=awaited))

    def _is_over(self, step: str) -> bool:
        track = self._tracks.get(step)
        return track is not None and track.phase not in ACTIVE | {Phase.UNKNOWN}

    def _wait(self, at: int, step: str, until: int, why: str) -> None:
        visit = self._tracks[step].visit
        waits = Entry(at=at, what=What.WAITS, step=step, visit=visit, code=why, until=until)
        self._add(waits)

    def _of(self, event: Event) -> tuple[str, _Track]:
        step, visit = str(event.fields["s"]), int(event.fields["n"])
        track = self._tracks.get(step)
        if track is None or track.visit != visit:
            track = self._tracks[step] = _Track(visit=visit)
        return step, track

    def _add(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1


def _landed(entry: Entry, event: Event) -> Entry:
    f = event.fields
    return replace(
        entry,
        # As text: another release may know results that this one does not.
        result=str(f["k"]),
        code=str(f.get("c", "")),
        detail=str(f.get("d", "")),
        status=int(f.get("h", 0)),
        took=event.at - entry.at if entry.what in {What.CALLED, What.LOOKED_UP} else -1,
        effect=read(entry.step, str(f["fx"])) if f.get("fx") else None,
        again=bool(f.get("r")),
        by=str(f.get("by", "")),
        reason=str(f.get("why", "")),
    )


def _showable(name: str, value: object) -> bool:
    """A code under a short name: never a text, never a number that could be anybody's."""
    known = isinstance(value, str | int) and _CODE.fullmatch(str(value)) is not None
    return known and _CODE.fullmatch(name) is not None


__all__ = [
    "LOST", "PROVIDER_GOES_ON", "PROVIDER_PAUSED", "PROVIDER_STOPPED", "RATE_LIMIT",
    "REDIS_RESTARTED", "Entry", "Then", "What", "timeline",
]  # fmt: skip

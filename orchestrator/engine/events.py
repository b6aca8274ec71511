"""What happened to a run: the journal's list. Folding it gives the control hash.

An event is one flat JSON object, ids and codes only:

    accepted  plan name lane starts until  claimed   step visit fence worker until
    begun     step visit attempt until     limited   step visit until
    looked    step visit until             (before it asks, as begun)
    outcome   step visit attempt + Outcome decided   changes
    sent      step visit sends             control   kind by sealed
    rewound   step visit fence first until rewound   settled   (duties done)

``accepted`` says as ``b`` its batch, as ``ac`` the accounts that it names. ``sealed`` is why a
person did it, which may name somebody; earlier releases wrote it in clear, as ``why``. ``limited``
says as ``v`` its turn, where it has a new one, as ``pf`` that this is among the urgent ones, as
``st`` that its provider is stopped (1), or goes on again (0), and as ``g`` that Redis was
restarted. ``rewound``: its call may have been made in what Redis has lost.

``e`` is the kind, ``t`` the time in ms on Redis' clock. Every event but ``begun``, ``looked``
and ``settled`` moves ``seq``: a decision may depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from orchestrator.engine.changed import changed
from orchestrator.engine.state import (
    REDIS_REWOUND,
    REWOUND,
    UNSEEN,
    Outcome,
    Phase,
    Result,
    State,
    Visit,
)
from orchestrator.errors import NewerRelease

#: A decision's steps, each a small JSON array: ["enter", step, visit, at] …
Change: TypeAlias = tuple[str | int, ...]

_json: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: str
    at: int
    fields: Mapping[str, Any]

    def encode(self) -> str:
        plain = {"e": self.kind, "t": self.at, **self.fields}
        return _json(plain)

    @staticmethod
    def decode(text: str | bytes) -> Event:
        plain = json.loads(text)
        return Event(kind=plain.pop("e"), at=int(plain.pop("t")), fields=plain)


def accepted(
    *,
    at: int,
    plan: str,
    name: str,
    lane: str,
    starts: Iterable[str],
    deadline: int = 0,
    batch: str = "",
    accounts: str = "",
) -> Event:
    fields: dict[str, Any] = {"plan": plan, "name": name, "lane": lane, "starts": list(starts)}
    fields |= {"u": deadline} if deadline else {}
    fields |= {"b": batch} if batch else {}
    fields |= {"ac": accounts} if accounts else {}
    return Event(kind="accepted", at=at, fields=fields)


def outcome_landed(*, at: int, step: str, visit: Visit, outcome: Outcome) -> Event:
    fields: dict[str, Any] = {"s": step, "n": visit.number, "a": visit.attempts}
    fields["k"] = outcome.result.value
    fields |= {"c": outcome.code} if outcome.code else {}
    fields |= {"d": outcome.detail} if outcome.detail else {}
    fields |= {"h": outcome.status} if outcome.status else {}
    fields |= {"m": outcome.matched} if outcome.matched else {}
    fields |= {"l": outcome.delay} if outcome.delay >= 0 else {}
    fields |= {"z": outcome.look} if outcome.look >= 0 else {}
    fields |= {"y": outcome.subject} if outcome.subject else {}
    fields |= {"fx": outcome.effect} if outcome.effect else {}
    fields |= {"r": 1} if outcome.again else {}
    return Event(kind="outcome", at=at, fields=fields)


def decided(*, at: int, changes: Iterable[Change]) -> Event:
    return Event(kind="decided", at=at, fields={"d": [list(change) for change in changes]})


def control(*, at: int, kind: str, by: str, reason: str) -> Event:
    return Event(kind="control", at=at, fields={"k": kind, "by": by, "why": reason})


def begin(event: Event) -> State:
    """The state that ``accepted`` starts from."""
    f = event.fields
    ready = {s: Visit(number=1, phase=Phase.READY, since=event.at) for s in f["starts"]}
    return State(
        plan=f["plan"], name=f["name"], lane=f["lane"], accepted=event.at, seq=1, visits=ready,
        deadline=f.get("u", 0), batch=f.get("b", ""), accounts=f.get("ac", ""),
    )  # fmt: skip


def fold(events: Iterable[Event]) -> State:
    """The state after all of a run's events; the first is ``accepted``."""
    stream = iter(events)
    state = begin(next(stream))
    for event in stream:
        state = apply(state, event)
    return state


def apply(state: State, event: Event) -> State:
    match event.kind:
        case "decided":
            state = apply_changes(state, event.fields["d"], at=event.at)
            return changed(state, seq=state.seq + 1)
        case "control":
            return changed(_controlled(state, event), seq=state.seq + 1)
        case "settled":
            return changed(state, outbox="")
        case kind:
            step = event.fields["s"]
            visit = _moved(state.visits[step], event)
            moves = kind not in {"begun", "looked"}
            return changed(state, visits={**state.visits, step: visit}, seq=state.seq + moves)


def _moved(visit: Visit, event: Event) -> Visit:
    f = event.fields
    match event.kind:
        case "claimed":
            held = changed(
                visit, phase=Phase.HELD, fence=f["f"], worker=f["w"], until=f["u"],
                taken=visit.sends if visit.sends > 1 else 0,
            )  # fmt: skip
            return changed(held, doubt=f["d"]) if "d" in f else held
        case "begun":
            first = visit.first or event.at
            doubt = UNSEEN if visit.doubt == REWOUND else visit.doubt
            return changed(
                visit, phase=Phase.CALLING, attempts=f["a"], until=f["u"], first=first, turn=0,
                preferred=0, doubt=doubt,
            )  # fmt: skip
        case "looked":
            # A worker is told which look it is: one that it asked for twice counts twice.
            looks = f.get("q", visit.looks + 1)
            return changed(visit, until=f["u"], turn=0, preferred=0, looks=looks)
        case "limited":
            turn = f.get("v", visit.turn)
            # A look-up that waits for its turn stays parked: it is no wait for a send.
            phase = Phase.UNKNOWN if "p" in f else Phase.WAITING
            preferred = f.get("pf", visit.preferred)
            return changed(visit, phase=phase, until=f["u"], turn=turn, preferred=preferred)
        case "rewound":
            return _rewound(visit, f)
        case "sent":
            waited = visit.phase is Phase.WAITING
            phase = Phase.READY if waited else visit.phase
            return changed(visit, phase=phase, sends=f["x"], since=event.at)
        case "outcome":
            return visit.land(outcome_of(f))
        case kind:
            raise NewerRelease(f"an event of kind {kind!r} is not of this release")


def _rewound(visit: Visit, f: Mapping[str, Any]) -> Visit:
    """In doubt for what was lost, whatever was known of it before."""
    return changed(
        visit, phase=Phase.UNKNOWN, doubt=REWOUND, fence=f["f"], first=f["b"], until=f["u"],
        rewound=f["r"], result=Result.UNKNOWN.value, code=REDIS_REWOUND, detail="", status=0,
        matched="", delay=-1, look=-1, looks=0, again=0,
    )  # fmt: skip


def outcome_of(fields: Mapping[str, Any]) -> Outcome:
    return Outcome(
        result=Result(fields["k"]),
        code=fields.get("c", ""),
        detail=fields.get("d", ""),
        status=fields.get("h", 0),
        matched=fields.get("m", ""),
        delay=fields.get("l", -1),
        look=fields.get("z", -1),
        subject=fields.get("y", ""),
        effect=fields.get("fx", ""),
        again=bool(fields.get("r")),
    )


def _controlled(state: State, event: Event) -> State:
    match event.fields["k"]:
        case "retry":
            return _reopened(state, event)
        case "pause":
            return changed(state, paused=True)
        case "resume":
            return changed(state, paused=False, visits=_unsent(state.visits))
        case "cancel":
            return state if state.ending else changed(state, ending="cancelled", code="cancelled")
        case "forget":
            return changed(state, forgotten=event.at)
        case kind:
            raise NewerRelease(f"a control of kind {kind!r} is not of this release")


def _reopened(state: State, event: Event) -> State:
    """An end taken back: the run goes on at a step, in a new visit of it."""
    step, old = event.fields["s"], state.visits.get(event.fields["s"])
    visit = Visit(number=event.fields["n"], phase=Phase.READY, since=event.at, entered_at=event.at)
    if old is not None:
        visit = changed(visit, fence=old.fence, effects=old.effects)
    going = changed(
        state, end="", ended=0, ending="", code="", failed_step="", outbox="", paused=False,
        # Whoever goes on after the deadline knows that it has passed.
        deadline=0 if state.is_late(event.at) else state.deadline,
    )  # fmt: skip
    return _with(going, step, visit)


def _unsent(visits: Mapping[str, Visit]) -> dict[str, Visit]:
    """Messages that came while the run was paused were dropped: none is out any more."""
    return {
        step: changed(visit, since=0) if visit.phase is Phase.READY else visit
        for step, visit in visits.items()
    }


def apply_changes(state: State, changes: Iterable[Change], *, at: int) -> State:
    for change in changes:
        state = apply_change(state, tuple(change), at=at)
    return state


def apply_change(state: State, change: Change, *, at: int) -> State:
    match change:
        case ("enter", str(step), int(number)):
            old = state.visits.get(step)
            new = Visit(number=number, phase=Phase.READY, since=at, entered_at=at)
            if old is not None:
                new = changed(new, fence=old.fence, before=old.failure, effects=old.effects)
            return _with(state, step, new)
        case ("again", str(step), int(number), int(until), str(retried)):
            old = state.visits[step]
            new = Visit(
                number=number, phase=Phase.WAITING, until=until, retried=retried, fence=old.fence,
                effects=old.effects, entered_at=at,
            )  # fmt: skip
            return _with(state, step, new)
        case ("wait", str(step), int(until)):
            visit = changed(state.visits[step], phase=Phase.WAITING, until=until)
            return _with(state, step, visit)
        case ("ready", str(step)):
            visit = changed(state.visits[step], phase=Phase.READY, since=0)
            return _with(state, step, visit)
        case ("park", str(step), int(until)):
            visit = changed(state.visits[step], phase=Phase.UNKNOWN, until=until)
            return _with(state, step, visit)
        case ("close", str(step), str(phase), str(following)):
            visit = changed(state.visits[step], phase=Phase(phase), next=following)
            return _with(state, step, visit)
        case _:
            return _apply_run_change(state, change, at=at)


def _apply_run_change(state: State, change: Change, *, at: int) -> State:
    match change:
        case ("arrive", str(target), str(source)):
            sources = tuple(dict.fromkeys((*state.arrivals.get(target, ()), source)))
            return changed(state, arrivals={**state.arrivals, target: sources})
        case ("joined", str(target)):
            rest = {step: s for step, s in state.arrivals.items() if step != target}
            return changed(state, arrivals=rest)
        case ("ending", str(end), str(code), str(step)):
            return changed(state, ending=end, code=code, failed_step=step)
        case ("end", str(end), str(outbox)):
            return changed(state, end=end, ended=at, outbox=outbox)
        case _:
            raise NewerRelease(f"a change {change[0]!r} is not of this release")


def _with(state: State, step: str, visit: Visit) -> State:
    return changed(state, visits={**state.visits, step: visit})

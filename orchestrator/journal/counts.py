"""What is counted for good: names of the fields of one hash of integers (keys.py, ``counts``).

A field is a kind and its labels, "attempt|charge|pay|stripe|succeeded|2xx|250". Scripts add to
what they are handed, in the script that makes it so; nothing here asks Redis.

Labels come from documents, so they are bounded here, and the number of fields is in lib.lua:
what comes after the last one is counted as "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from orchestrator.engine.advance import DEADLINE_PASSED, VISITS_EXHAUSTED, Decision
from orchestrator.engine.state import IN_FLIGHT, Phase, Result, State, Status, Visit

ACCEPTED: Final = "accepted"  #: workflow
ENDED: Final = "ended"  #: workflow, end, code class, bucket of the run's time
ENDED_MS: Final = "ended-ms"  #: workflow
ATTEMPT: Final = "attempt"  #: workflow, step, provider, outcome, code class, bucket of its time
ATTEMPT_MS: Final = "attempt-ms"  #: workflow, step
STEP: Final = "step"  #: workflow, step, end
LIMITED: Final = "limited"  #: provider
STOPPED: Final = "stopped"  #: provider
LOST: Final = "lost"
#: Kind → how many labels it has.
KINDS: Final = {
    ACCEPTED: 1, ENDED: 4, ENDED_MS: 1, ATTEMPT: 6, ATTEMPT_MS: 2, STEP: 3, LIMITED: 1, STOPPED: 1,
    LOST: 0,
}  # fmt: skip
OTHER: Final = "other"

#: Upper bounds of times, the last one without. ms.
CALL_BOUNDS: Final = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
RUN_BOUNDS: Final = (
    500, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000,
    604_800_000,
)  # fmt: skip
ENDLESS: Final = "inf"

#: Of a label, in characters. One that is longer keeps its beginning, and says by a digest which.
LONGEST: Final = 64
_DIGEST: Final = 8
#: Codes of durazzo's own that a run fails with. A provider's may be anything: its class is told.
_OWN: Final = frozenset({
    DEADLINE_PASSED, VISITS_EXHAUSTED, "condition-failed", "criteria-not-met", "render-failed",
    "resolved", "step-timeout",
})  # fmt: skip
_TOO_MANY: Final = 429

#: What a decision makes of the set of runs in doubt: "" leaves the run where it is.
Doubt: TypeAlias = Literal["in", "out", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call that has begun, at its end."""

    workflow: str
    step: str
    provider: str
    result: Result
    #: HTTP status, 0 when there was no answer.
    status: int
    ms: int

    def fields(self) -> tuple[str, str]:
        """What counts it, and what sums its time."""
        kind = code_class(self.result, self.status)
        took = bucket(self.ms, CALL_BOUNDS)
        return (
            field(ATTEMPT, self.workflow, self.step, self.provider, self.result.value, kind, took),
            field(ATTEMPT_MS, self.workflow, self.step),
        )


# The same few come at every step.
@lru_cache(1_024)
def field(kind: str, *labels: str) -> str:
    return "|".join((kind, *map(_written, labels)))


def parse(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Kind and labels, "other" for those that were not told apart; None for a later release's."""
    kind, *labels = text.split("|")
    if kind not in KINDS:
        return None
    number = KINDS[kind]
    padded = (*map(unquote, labels), *(OTHER for _ in range(number)))
    return kind, padded[:number]


def _written(label: str) -> str:
    return quote(bounded(label), safe="/", errors="replace")


def bounded(label: str) -> str:
    if len(label) <= LONGEST:
        return label
    digest = sha256(label.encode(errors="replace")).hexdigest()[:_DIGEST]
    return f"{label[: LONGEST - _DIGEST - 1]}~{digest}"


def bucket(ms: int, bounds: tuple[int, ...]) -> str:
    """The first bound that is not below."""
    place = bisect_left(bounds, ms)
    return str(bounds[place]) if place < len(bounds) else ENDLESS


def code_class(result: Result, status: int) -> str:
    """The kind of answer: of a few, whatever a provider answers."""
    if status == _TOO_MANY:
        return "429"
    if status:
        return f"{status // 100}xx"
    return "no-answer" if result in {Result.UNKNOWN, Result.PENDING} else "not-sent"


# Of a decision.


def decided(decision: Decision) -> dict[str, int]:
    """Visits that end by it, and the run if it does."""
    found: dict[str, int] = {}
    for step, end in _closed(decision):
        name = field(STEP, decision.after.name, step, end)
        found[name] = found.get(name, 0) + 1
    if decision.after.end:
        found |= _ended(decision.after)
    return found


def doubt(decision: Decision) -> Doubt:
    """While what is in doubt is looked up, or sent again, its run stays where it was.

    So does one that never was in doubt: nearly all of them, which spares the script the work.
    """
    visits = decision.after.visits.values()
    if any(visit.phase is Phase.UNKNOWN for visit in visits):
        return "in"
    if any(visit.phase in IN_FLIGHT and visit.doubt for visit in visits):
        return ""
    return "out" if any(_was_in_doubt(v) for v in decision.before.visits.values()) else ""


def _was_in_doubt(visit: Visit) -> bool:
    """Once it was, a visit says so to its end, unless it was found to have done nothing."""
    return visit.doubt != 0 or visit.result == Result.UNDONE


def parked(decision: Decision) -> str:
    """What counts a run that comes to be in doubt by it; "" where none does."""
    changes = decision.event.fields["d"]
    step = next((change[1] for change in changes if change[0] == "park"), None)
    return "" if step is None else field(STEP, decision.after.name, step, Phase.UNKNOWN.value)


def _closed(decision: Decision) -> Iterator[tuple[str, str]]:
    closed = {c[1]: c[2] for c in decision.event.fields["d"] if c[0] == "close"}
    yield from ((step, str(phase)) for step, phase in closed.items())
    for step, visit in decision.before.visits.items():
        # A step that its own ways entered anew: the visit before is closed by that.
        if step not in closed and _is_left(visit, decision.after.visits[step]):
            yield step, _end_of(visit)


def _is_left(visit: Visit, after: Visit) -> bool:
    return visit.phase is Phase.SETTLED and after.number != visit.number


def _end_of(visit: Visit) -> str:
    done = visit.result == Result.SUCCEEDED
    return (Phase.SUCCEEDED if done else Phase.FAILED).value


def _ended(state: State) -> dict[str, int]:
    ms = max(0, state.ended - state.accepted)
    name = field(ENDED, state.name, state.end, _class_of(state), bucket(ms, RUN_BOUNDS))
    return {name: 1, field(ENDED_MS, state.name): ms}


def _class_of(state: State) -> str:
    if state.end != Status.FAILED:
        return "none"
    if state.code in _OWN:
        return state.code
    visit = state.visits.get(state.failed_step)
    return code_class(Result(visit.result), visit.status) if visit and visit.result else OTHER


__all__ = [
    "ACCEPTED", "ATTEMPT", "ATTEMPT_MS", "CALL_BOUNDS", "ENDED", "ENDED_MS", "ENDLESS", "KINDS",
    "LIMITED", "LONGEST", "LOST", "OTHER", "RUN_BOUNDS", "STEP", "STOPPED", "Attempt", "Doubt",
    "bounded", "bucket", "code_class", "decided", "doubt", "field", "parked", "parse",
]  # fmt: skip

"""What the journal has counted, held against the histories of all of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.engine.events import Event
from orchestrator.engine.state import IN_FLIGHT, Phase, State
from orchestrator.journal import counts
from orchestrator.journal.keys import Keys

_TOLD = {counts.ACCEPTED, counts.ENDED, counts.ATTEMPT, counts.LOST}


def check_counts(client: Any, histories: Sequence[Sequence[Event]]) -> None:
    """Once each, whatever was lost, doubled or fenced off. ``histories``: of all runs there are."""
    found: Counter[str] = Counter()
    for name, number in client.hgetall(Keys().counts).items():
        parsed = counts.parse(name.decode())
        assert parsed is not None, name
        if parsed[0] in _TOLD:
            found[parsed[0]] += int(number)
    assert found == _told(histories)


def check_doubt(client: Any, states: Iterable[tuple[str, State]]) -> None:
    """The set has all runs with a step that is unknown, and others only while that is found out."""
    members = {run.decode() for run in client.zrange(Keys().doubt, 0, -1)}
    for run, state in states:
        visits = state.visits.values()
        if any(visit.phase is Phase.UNKNOWN for visit in visits):
            assert run in members, run
        elif run in members:
            moving = any(
                visit.phase is Phase.SETTLED or (visit.phase in IN_FLIGHT and visit.doubt)
                for visit in visits
            )
            assert moving, run


def _told(histories: Sequence[Sequence[Event]]) -> Counter[str]:
    told: Counter[str] = Counter()
    for history in histories:
        calling: set[str] = set()
        for event in history:
            _tell(told, calling, event)
    return told


def _tell(told: Counter[str], calling: set[str], event: Event) -> None:
    match event.kind:
        case "accepted":
            told[counts.ACCEPTED] += 1
        case "begun":
            calling.add(event.fields["s"])
        case "claimed":
            told[counts.LOST] += event.fields["s"] in calling
            calling.discard(event.fields["s"])
        case "outcome":
            told[counts.ATTEMPT] += event.fields["s"] in calling
            calling.discard(event.fields["s"])
        case "decided":
            told[counts.ENDED] += sum(change[0] == "end" for change in event.fields["d"])
        case _:
            pass

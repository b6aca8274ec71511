"""What one scrape asks the journal: counts and names, in a bounded number of round trips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator import service
from orchestrator.canvas.canvas import Canvas
from orchestrator.journal.batches import Batch
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Rewound, Stop
from orchestrator.journal.trouble import answering
from orchestrator.settings import DEFAULT_LANE, LANE
from orchestrator.wiring import Wiring, connect, reach

#: With more unfinished runs than that, lanes that nobody has named yet are not looked for: it takes
#: a round trip for about every 200 of them.
_LOOKED: Final = 20_000
#: Each has three series, and takes four round trips.
LANES: Final = 50
#: Batches that are looked at, a round trip each: those with rows left first, then the newest.
BATCHES: Final = 100


class Kind(StrEnum):
    """Messages of a lane, in the order in which workers take them."""

    UNDER_WAY = "under-way"  #: of single runs that have begun
    FRESH = "fresh"  #: the very first of a single run
    BULK = "bulk"  #: of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    workers: int
    #: Runs that have not ended, those that wait or are unknown among them.
    unfinished: int
    #: In which these runs stand, and rows that are no runs yet.
    lanes: int
    messages: Mapping[tuple[str, Kind], int]
    #: Those only that have not ended.
    batches: Sequence[Batch]
    #: By provider; None for one that may be called.
    stops: Mapping[str, Stop | None]
    rewound: Rewound | None


class Gauge:
    """Reads a journal. One thread at a time."""

    def __init__(self, wiring: Wiring) -> None:
        """``wiring`` needs no key: nothing that is sealed is opened."""
        self._wiring = wiring
        self._client = connect(wiring.settings.redis_url)
        self._named = [DEFAULT_LANE, *sorted(wiring.settings.lanes.values())]
        self._seen: list[str] = []

    def read(self) -> Reading:
        """Raises JournalUnavailable, within seconds."""
        core, url = self._wiring.core, self._wiring.settings.redis_url
        # The journal's own client is patient, and a scrape is not.
        reach(url)
        with answering():
            unfinished = int(self._client.zcard(Keys().due))
        batches = self._batches()
        lanes = self._lanes(unfinished, batches)
        stops: dict[str, Stop | None] = dict.fromkeys(core.profiles)
        stops |= {stop.provider: stop for stop in service.stops(core)}
        return Reading(
            workers=len(core.journal.alive()),
            unfinished=unfinished,
            lanes=len(lanes),
            messages=waiting(self._wiring.canvas, self._kept(lanes)),
            batches=batches,
            stops=stops,
            rewound=core.journal.rewound(),
        )

    def _batches(self) -> list[Batch]:
        batches = self._wiring.core.batches
        names = list(dict.fromkeys([*batches.active(), *batches.all()]))[:BATCHES]
        found = (batches.read(name) for name in names)
        return [batch for batch in found if batch is not None and batch.ended < batch.total]

    def _lanes(self, unfinished: int, batches: Iterable[Batch]) -> set[str]:
        lanes = {*self._named, *(batch.lane for batch in batches)}
        return lanes | self._wiring.core.journal.lanes() if unfinished <= _LOOKED else lanes

    def _kept(self, lanes: Iterable[str]) -> list[str]:
        """Named ones first, and then with those that were seen before: a lane falls to 0, and does
        not disappear.
        """
        # ``submit`` takes any text for a lane, and not any text is to be a label.
        names = sorted(lane for lane in lanes if LANE.fullmatch(lane))
        self._seen = list(dict.fromkeys([*self._named, *names, *self._seen]))[:LANES]
        return self._seen


def waiting(canvas: Canvas, lanes: Iterable[str]) -> dict[tuple[str, Kind], int]:
    """Messages by lane and kind."""
    counts: dict[tuple[str, Kind], int] = {}
    for lane in lanes:
        counts[lane, Kind.UNDER_WAY] = canvas.backlog(lane, fresh=False)
        counts[lane, Kind.FRESH] = canvas.backlog(lane, fresh=True)
        counts[lane, Kind.BULK] = sum(
            canvas.backlog(lane, fresh=fresh, bulk=True) for fresh in (False, True)
        )
    return counts

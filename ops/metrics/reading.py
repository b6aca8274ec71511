"""What one scrape asks the journal: counts and names, in a bounded number of round trips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ops.metrics.lanes import Kind, Waiting, waiting
from orchestrator import service
from orchestrator.journal.batches import Batch
from orchestrator.journal.gauges import Gauges, Measured
from orchestrator.journal.port import Rewound, Stop
from orchestrator.journal.redis_gauges import RedisGauges
from orchestrator.policy.profiles import Limit, Profile
from orchestrator.settings import DEFAULT_LANE, LANE
from orchestrator.wiring import Wiring, connect, reach

#: With more unfinished runs than that, lanes that nobody has named yet are not looked for: it takes
#: a round trip for about every 200 of them.
_LOOKED: Final = 20_000
#: Each has three series.
LANES: Final = 50
#: Batches that are looked at, a round trip each: those with rows left first, then the newest.
BATCHES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    workers: int
    measured: Measured
    #: In which unfinished runs stand, and rows that are no runs yet.
    lanes: int
    messages: Mapping[tuple[str, Kind], Waiting]
    #: Those only that have not ended.
    batches: Sequence[Batch]
    #: By provider; None for one that may be called.
    stops: Mapping[str, Stop | None]
    #: Provider and limit, without an account → its scopes, with their limits.
    limits: Mapping[tuple[str, str], Mapping[str, Limit]]
    rewound: Rewound | None


class Gauge:
    """Reads a journal. One thread at a time."""

    def __init__(self, wiring: Wiring) -> None:
        """``wiring`` needs no key: nothing that is sealed is opened."""
        self._wiring = wiring
        self._gauges: Gauges = RedisGauges(connect(wiring.settings.redis_url))
        self._limits = limits_of(wiring.core.profiles.values())
        self._named = [DEFAULT_LANE, *sorted(wiring.settings.lanes.values())]
        self._seen: list[str] = []

    def read(self) -> Reading:
        """Raises JournalUnavailable, within seconds."""
        core = self._wiring.core
        # The journal's own client is patient, and a scrape is not.
        reach(self._wiring.settings.redis_url)
        measured = self._gauges.measure([s for scopes in self._limits.values() for s in scopes])
        batches = self._batches()
        lanes = self._lanes(measured.unfinished, batches)
        stops: dict[str, Stop | None] = dict.fromkeys(core.profiles)
        stops |= {stop.provider: stop for stop in service.stops(core)}
        return Reading(
            workers=len(core.journal.alive()),
            measured=measured,
            lanes=len(lanes),
            messages=waiting(self._gauges, self._kept(lanes), measured.now),
            batches=batches,
            stops=stops,
            limits=self._limits,
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
        # Earlier releases took any text for a lane, and not any text is to be a label.
        names = sorted(lane for lane in lanes if LANE.fullmatch(lane))
        self._seen = list(dict.fromkeys([*self._named, *names, *self._seen]))[:LANES]
        return self._seen


def limits_of(profiles: Iterable[Profile]) -> dict[tuple[str, str], dict[str, Limit]]:
    """Of accounts those whose rates were set: others come with the runs that name them."""
    found: dict[tuple[str, str], dict[str, Limit]] = {}
    for profile in profiles:
        named = [profile.of_account(label) for label, _ in profile.account_limits]
        for limit in (limit for one in (profile, *named) for limit in one.limits):
            usual, _, _ = limit.name.partition("@")
            scopes = found.setdefault((profile.name, usual), {})
            scopes[f"{profile.name}/{limit.name}"] = limit
    return found


__all__ = ["BATCHES", "LANES", "Gauge", "Reading", "limits_of"]

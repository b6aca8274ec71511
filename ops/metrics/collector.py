"""A reading as Prometheus' metric families. Lanes and providers are labels, nobody's ids are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ops.metrics.reading import Gauge, Reading
from orchestrator.errors import JournalUnavailable

_SECOND: Final = 1000
#: Values of a label that are there while nothing is in them: no series comes and goes.
_BATCHES: Final = ("running", "paused", "cancelled")

#: Name → what it is, and its labels.
FAMILIES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "durazzo_redis_up": ("1 if Redis answered this scrape, 0 if not.", ()),
    "durazzo_scrape_duration_seconds": ("How long it took to ask Redis.", ()),
    "durazzo_workers": ("Workers whose heartbeat has not ended.", ()),
    "durazzo_unfinished_runs": ("Runs that have not ended.", ()),
    "durazzo_lanes": ("Lanes that unfinished runs and rows stand in.", ()),
    "durazzo_waiting_messages": (
        "Messages that no worker has taken, by lane and kind.",
        ("lane", "kind"),
    ),
    "durazzo_batches": ("Batches that have not ended, by state.", ("state",)),
    "durazzo_batch_rows": ("Rows of batches that have not ended, by state.", ("state",)),
    "durazzo_provider_stopped": (
        "1 while a person has the provider stopped, else 0.",
        ("provider",),
    ),
    "durazzo_provider_waiting_steps": (
        "Steps that wait for a stopped provider to go on.",
        ("provider",),
    ),
    "durazzo_rewound_timestamp_seconds": (
        "When Redis was last found to have lost writes, 0 for never.",
        (),
    ),
    "durazzo_rewound_missing_calls": ("Calls that it had lost by then, at least.", ()),
}

#: Values of a family by its labels.
_Samples = Mapping[tuple[str, ...], float]


class JournalCollector(Collector):
    """Asks anew at every scrape; scrapes that come together ask one after the other."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._lock = Lock()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """For the registry, which would otherwise collect to learn the names."""
        return (_family(name, {}) for name in FAMILIES)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All that is known; of a Redis that cannot be asked, that it is down."""
        with self._lock:
            began = time.perf_counter()
            try:
                found = samples(self._gauge.read())
            except JournalUnavailable:
                found = {}
            took = time.perf_counter() - began
        yield _family("durazzo_redis_up", {(): float(bool(found))})
        yield _family("durazzo_scrape_duration_seconds", {(): took})
        for name, values in found.items():
            yield _family(name, values)


def samples(reading: Reading) -> dict[str, _Samples]:
    rewound, stops = reading.rewound, reading.stops.items()
    states = Counter(batch.state for batch in reading.batches)
    return {
        "durazzo_workers": {(): reading.workers},
        "durazzo_unfinished_runs": {(): reading.unfinished},
        "durazzo_lanes": {(): reading.lanes},
        "durazzo_waiting_messages": {
            (lane, kind.value): count for (lane, kind), count in reading.messages.items()
        },
        "durazzo_batches": {(state,): states[state] for state in _BATCHES},
        "durazzo_batch_rows": {
            ("waiting",): sum(batch.waiting for batch in reading.batches),
            ("busy",): sum(batch.busy for batch in reading.batches),
            ("in-doubt",): sum(batch.parked for batch in reading.batches),
        },
        "durazzo_provider_stopped": {(name,): float(stop is not None) for name, stop in stops},
        "durazzo_provider_waiting_steps": {
            (name,): stop.waiting if stop else 0 for name, stop in stops
        },
        "durazzo_rewound_timestamp_seconds": {(): rewound.at / _SECOND if rewound else 0},
        "durazzo_rewound_missing_calls": {(): rewound.missing if rewound else 0},
    }


def _family(name: str, values: _Samples) -> GaugeMetricFamily:
    told, labels = FAMILIES[name]
    family = GaugeMetricFamily(name, told, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


__all__ = ["FAMILIES", "JournalCollector", "samples"]

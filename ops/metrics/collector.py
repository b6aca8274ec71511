"""A reading as Prometheus' metric families. Names of documents, lanes and providers are labels,
nobody's ids are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from threading import Lock
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ops.metrics import limits, tally
from ops.metrics.families import FAMILIES, Samples, empty, family, histogram
from ops.metrics.reading import Gauge, Reading
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.gauges import Measured, Server

_SECOND: Final = 1000
#: Values of a label that are there while nothing is in them: no series comes and goes.
_BATCHES: Final = ("running", "paused", "cancelled")


class JournalCollector(Collector):
    """Asks anew at every scrape; scrapes that come together ask one after the other."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._lock = Lock()

    def describe(self) -> Iterator[Metric]:
        """For the registry, which would otherwise collect to learn the names."""
        return map(empty, FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """All that is known; of a Redis that cannot be asked, that it is down."""
        with self._lock:
            began = time.perf_counter()
            try:
                found = list(_families(self._gauge.read()))
            except JournalUnavailable:
                found = []
            took = time.perf_counter() - began
        yield family("durazzo_redis_up", {(): float(bool(found))})
        yield family("durazzo_scrape_duration_seconds", {(): took})
        yield family("durazzo_build_info", {(version("durazzo"),): 1})
        yield from found


def _families(reading: Reading) -> Iterator[Metric]:
    told = tally.told(reading.measured.counts)
    for name, values in (gauges(reading) | tally.counters(told)).items():
        yield family(name, values)
    for name, times in tally.histograms(told).items():
        yield histogram(name, times)


def gauges(reading: Reading) -> dict[str, Samples]:
    return {
        "durazzo_workers": {(): reading.workers},
        "durazzo_lanes": {(): reading.lanes},
        **_runs(reading.measured),
        **_messages(reading),
        **_batches(reading),
        **_stops(reading),
        **limits.samples(reading.measured, reading.limits),
        **_server(reading.measured.server),
    }


def _runs(measured: Measured) -> dict[str, Samples]:
    def since(at: int) -> float:
        return max(0, measured.now - at) / _SECOND if at else 0

    return {
        "durazzo_unfinished_runs": {(): measured.unfinished},
        "durazzo_waiting_runs": {(): measured.waiting},
        "durazzo_overdue_runs": {(): measured.overdue},
        "durazzo_unknown_runs": {(): measured.unknown},
        "durazzo_unknown_oldest_age_seconds": {(): since(measured.unknown_since)},
        "durazzo_timekeeper_leader": {(): float(measured.led)},
        "durazzo_timekeeper_last_tick_timestamp_seconds": {(): measured.ticked / _SECOND},
        "durazzo_timekeeper_lag_seconds": {(): since(measured.first_due)},
    }


def _messages(reading: Reading) -> dict[str, Samples]:
    rows = [((lane, kind.value), one) for (lane, kind), one in reading.messages.items()]
    return {
        "durazzo_waiting_messages": {labels: one.count for labels, one in rows},
        "durazzo_oldest_message_age_seconds": {labels: one.age / _SECOND for labels, one in rows},
    }


def _batches(reading: Reading) -> dict[str, Samples]:
    states = Counter(batch.state for batch in reading.batches)
    return {
        "durazzo_batches": {(state,): states[state] for state in _BATCHES},
        "durazzo_batch_rows": {
            ("waiting",): sum(batch.waiting for batch in reading.batches),
            ("busy",): sum(batch.busy for batch in reading.batches),
            ("in-doubt",): sum(batch.parked for batch in reading.batches),
        },
    }


def _stops(reading: Reading) -> dict[str, Samples]:
    rewound, stops = reading.rewound, reading.stops.items()
    return {
        "durazzo_provider_stopped": {(name,): float(stop is not None) for name, stop in stops},
        "durazzo_provider_waiting_steps": {
            (name,): stop.waiting if stop else 0 for name, stop in stops
        },
        "durazzo_rewound_timestamp_seconds": {(): rewound.at / _SECOND if rewound else 0},
        "durazzo_rewound_missing_calls": {(): rewound.missing if rewound else 0},
    }


def _server(server: Server) -> dict[str, Samples]:
    """What it does not say is not there: 0 would be a lie."""
    said = {
        "durazzo_redis_memory_bytes": server.memory,
        "durazzo_redis_memory_max_bytes": server.limit,
        "durazzo_redis_aof_delayed_fsync_total": server.delayed,
    }
    return {name: {(): value} for name, value in said.items() if value is not None}


__all__ = ["FAMILIES", "JournalCollector", "gauges"]

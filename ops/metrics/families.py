"""Every metric that is served: its name, what it is, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

_TOTAL: Final = "_total"
_LIMIT: Final = ("provider", "limit")

#: Name → what it is, and its labels. A name that ends with "_total" is a counter.
FAMILIES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "durazzo_redis_up": ("1 if Redis answered this scrape, 0 if not.", ()),
    "durazzo_scrape_duration_seconds": ("How long it took to ask Redis.", ()),
    "durazzo_build_info": ("1, by the version that serves this.", ("version",)),
    "durazzo_workers": ("Workers whose heartbeat has not ended.", ()),
    "durazzo_runs_accepted_total": ("Runs that were accepted.", ("workflow",)),
    "durazzo_runs_ended_total": (
        "Ends of runs, those that a retry took back among them.",
        ("workflow", "end", "code_class"),
    ),
    "durazzo_run_duration_seconds": (
        "From a run's acceptance to its end, with all its waits.",
        ("workflow",),
    ),
    "durazzo_attempts_total": (
        "Calls that came to an outcome.",
        ("workflow", "step", "provider", "outcome", "code_class"),
    ),
    "durazzo_attempt_duration_seconds": (
        "From a call's begin to its outcome.",
        ("workflow", "step"),
    ),
    "durazzo_lost_calls_total": ("Calls that lost their worker before they had an outcome.", ()),
    "durazzo_refused_total": ("Calls that were answered with 429.", ("provider",)),
    "durazzo_limited_total": (
        "Calls that had to wait: for a limit, or for a provider that is stopped.",
        ("provider", "why"),
    ),
    "durazzo_steps_ended_total": (
        "Steps that ended, or came to be in doubt.",
        ("workflow", "step", "end"),
    ),
    "durazzo_unfinished_runs": ("Runs that have not ended.", ()),
    "durazzo_waiting_runs": ("Of these, looked at more than a minute from now.", ()),
    "durazzo_overdue_runs": ("Of these, to be looked at more than a minute ago.", ()),
    "durazzo_unknown_runs": ("Runs with a step that is in doubt.", ()),
    "durazzo_unknown_oldest_age_seconds": ("How long the first of them is in doubt.", ()),
    "durazzo_timekeeper_leader": ("1 while somebody keeps time, else 0.", ()),
    "durazzo_timekeeper_last_tick_timestamp_seconds": (
        "When somebody last kept time, to a second; 0 for never.",
        (),
    ),
    "durazzo_timekeeper_lag_seconds": (
        "How long the first run that is due has been so, 0 when none is.",
        (),
    ),
    "durazzo_lanes": ("Lanes that unfinished runs and rows stand in, and named ones.", ()),
    "durazzo_waiting_messages": (
        "Messages that no worker has taken, by lane and kind.",
        ("lane", "kind"),
    ),
    "durazzo_oldest_message_age_seconds": (
        "How long the message that is taken next has waited, 0 when there is none.",
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
    "durazzo_provider_paused_until_timestamp_seconds": (
        "Until when the provider's own answer keeps calls back, 0 for not now.",
        ("provider",),
    ),
    "durazzo_limit_calls_per_second": ("The rate of a limit, without its factor.", _LIMIT),
    "durazzo_limit_factor": ("What refusals have left of the rate, from 0.05 to 1.", _LIMIT),
    "durazzo_limit_used_ratio": ("Of its burst, what is used up: at 1 calls wait.", _LIMIT),
    "durazzo_limit_wait_seconds": (
        "How long a call that comes now would wait, by line.",
        (*_LIMIT, "line"),
    ),
    "durazzo_limit_calls_under_way": ("Calls under way, where they are limited.", _LIMIT),
    "durazzo_limit_concurrency": ("How many may be under way.", _LIMIT),
    "durazzo_rewound_timestamp_seconds": (
        "When Redis was last found to have lost writes, 0 for never.",
        (),
    ),
    "durazzo_rewound_missing_calls": ("Calls that it had lost by then, at least.", ()),
    "durazzo_redis_memory_bytes": ("What Redis uses.", ()),
    "durazzo_redis_memory_max_bytes": ("What it may use, 0 for no limit.", ()),
    "durazzo_redis_aof_delayed_fsync_total": ("Writes of it that waited for its disk.", ()),
}
HISTOGRAMS: Final = frozenset({
    "durazzo_run_duration_seconds", "durazzo_attempt_duration_seconds",
})  # fmt: skip

#: Values of a family by its labels.
Samples: TypeAlias = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How many were no longer than each bound, and all of them together."""

    #: Bound as Prometheus writes it, in seconds → how many; "+Inf" last.
    buckets: Sequence[tuple[str, int]]
    #: Seconds.
    sum: float


def family(name: str, values: Samples) -> Metric:
    told, labels = FAMILIES[name]
    found: CounterMetricFamily | GaugeMetricFamily = (
        CounterMetricFamily(name.removesuffix(_TOTAL), told, labels=labels)
        if name.endswith(_TOTAL)
        else GaugeMetricFamily(name, told, labels=labels)
    )
    for label_values, value in values.items():
        found.add_metric(label_values, value)
    return found


def histogram(name: str, values: Mapping[tuple[str, ...], Times]) -> Metric:
    told, labels = FAMILIES[name]
    found = HistogramMetricFamily(name, told, labels=labels)
    for label_values, times in values.items():
        found.add_metric(label_values, list(times.buckets), times.sum)
    return found


def empty(name: str) -> Metric:
    return histogram(name, {}) if name in HISTOGRAMS else family(name, {})


__all__ = ["FAMILIES", "HISTOGRAMS", "Samples", "Times", "empty", "family", "histogram"]

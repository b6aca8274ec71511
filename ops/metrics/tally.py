"""The journal's counts as counters and histograms. Those that a later release counts are left."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

from ops.metrics.families import Samples, Times
from orchestrator.journal import counts

_SECOND: Final = 1_000
_REFUSED: Final = "429"

_Labels: TypeAlias = tuple[str, ...]
_Counts: TypeAlias = Mapping[_Labels, int]
#: By kind.
_Told: TypeAlias = Mapping[str, _Counts]


def told(fields: Mapping[str, int]) -> _Told:
    """``fields``: as the journal has them, see counts.py."""
    found: dict[str, dict[_Labels, int]] = {kind: {} for kind in counts.KINDS}
    for text, number in fields.items():
        parsed = counts.parse(text)
        if parsed is not None:
            kind, labels = parsed
            found[kind][labels] = found[kind].get(labels, 0) + number
    return found


def counters(told: _Told) -> dict[str, Samples]:
    calls = _summed(told[counts.ATTEMPT], _without_bucket)
    refused = {labels: number for labels, number in calls.items() if labels[-1] == _REFUSED}
    limited: dict[_Labels, float] = {
        (*provider, why): number
        for kind, why in ((counts.LIMITED, "limit"), (counts.STOPPED, "stop"))
        for provider, number in told[kind].items()
    }
    return {
        "durazzo_runs_accepted_total": told[counts.ACCEPTED],
        "durazzo_runs_ended_total": _summed(told[counts.ENDED], _without_bucket),
        "durazzo_attempts_total": calls,
        "durazzo_lost_calls_total": {(): told[counts.LOST].get((), 0)},
        "durazzo_refused_total": _summed(refused, lambda labels: labels[2:3]),
        "durazzo_limited_total": limited,
        "durazzo_steps_ended_total": told[counts.STEP],
    }


def histograms(told: _Told) -> dict[str, dict[_Labels, Times]]:
    return {
        "durazzo_run_duration_seconds": _times(
            told[counts.ENDED], told[counts.ENDED_MS], counts.RUN_BOUNDS, labels=1
        ),
        "durazzo_attempt_duration_seconds": _times(
            told[counts.ATTEMPT], told[counts.ATTEMPT_MS], counts.CALL_BOUNDS, labels=2
        ),
    }


def _times(
    found: _Counts, sums: _Counts, bounds: tuple[int, ...], *, labels: int
) -> dict[_Labels, Times]:
    """By the first ``labels`` of each; the last one is its bucket."""
    rows: dict[_Labels, list[int]] = defaultdict(lambda: [0] * (len(bounds) + 1))
    for named, number in found.items():
        rows[named[:labels]][_place(named[-1], bounds)] += number
    names = [*(str(bound / _SECOND) for bound in bounds), "+Inf"]
    return {
        named: Times(
            buckets=list(zip(names, accumulate(row), strict=True)),
            sum=sums.get(named, 0) / _SECOND,
        )
        for named, row in rows.items()
    }


def _place(bucket: str, bounds: tuple[int, ...]) -> int:
    """Of a bound that is none of this release's, the next one; of what is not told apart, the last.

    A time is in it that is no longer than the bound says.
    """
    return (
        bisect_left(bounds, int(bucket)) if bucket.isascii() and bucket.isdigit() else len(bounds)
    )


def _without_bucket(labels: _Labels) -> _Labels:
    return labels[:-1]


def _summed(found: _Counts, kept: Callable[[_Labels], _Labels]) -> dict[_Labels, int]:
    sums: dict[_Labels, int] = defaultdict(int)
    for labels, number in found.items():
        sums[kept(labels)] += number
    return dict(sums)


__all__ = ["counters", "histograms", "told"]

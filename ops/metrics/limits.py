"""How far providers' limits are used up. Of several accounts the one that is worst off is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from ops.metrics.families import Samples
from orchestrator.journal.gauges import Measured, Use
from orchestrator.policy.profiles import Limit

_SECOND: Final = 1_000
_SECOND_US: Final = 1_000_000
#: Provider and limit → its scopes.
_Limits: TypeAlias = Mapping[tuple[str, str], Mapping[str, Limit]]


def samples(measured: Measured, limits: _Limits) -> dict[str, Samples]:
    uses = {
        named: [(limit, measured.uses[scope]) for scope, limit in scopes.items()]
        for named, scopes in limits.items()
    }
    counted = {named: found for named, found in uses.items() if found[0][0].concurrency}
    return {
        "durazzo_limit_calls_per_second": {n: f[0][0].per_second for n, f in uses.items()},
        "durazzo_limit_factor": {n: min(u.factor for _, u in f) for n, f in uses.items()},
        "durazzo_limit_used_ratio": {n: max(_used(*one) for one in f) for n, f in uses.items()},
        "durazzo_limit_wait_seconds": {
            (*named, line): max(_wait(*one, line) for one in found)
            for named, found in uses.items()
            for line in ("urgent", "bulk")
        },
        "durazzo_limit_calls_under_way": {n: max(u.busy for _, u in f) for n, f in counted.items()},
        "durazzo_limit_concurrency": {n: f[0][0].concurrency for n, f in counted.items()},
        "durazzo_provider_paused_until_timestamp_seconds": _paused(measured, limits),
    }


def _used(limit: Limit, use: Use) -> float:
    return use.gate_us * limit.per_second * use.factor / _SECOND_US / limit.burst


def _wait(limit: Limit, use: Use, line: str) -> float:
    """Behind those in its line, and behind the gate; bulk up to a second behind the urgent.

    As lib.lua has it, ``turn_of``.
    """
    slack_us = (limit.burst - 1) * _SECOND_US / limit.per_second
    gate_us = use.gate_us - slack_us / use.factor
    urgent_us = use.urgent_us - slack_us
    behind = (use.bulk_us - slack_us, min(urgent_us, _SECOND_US))
    return max(0.0, gate_us, *(behind if line == "bulk" else (urgent_us,))) / _SECOND_US


def _paused(measured: Measured, limits: _Limits) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for (provider, _), scopes in limits.items():
        until = max(measured.uses[scope].until for scope in scopes)
        ahead = until / _SECOND if until > measured.now else 0
        found[provider,] = max(found.get((provider,), 0), ahead)
    return found


__all__ = ["samples"]

"""When an attempt is made again: exponential back-off with full jitter, as data and arithmetic."""

from __future__ import annotations

from orchestrator.policy.outcomes import Verdict
from orchestrator.policy.profiles import RetryPolicy


def delay_ms(
    policy: RetryPolicy, *, attempt: int, verdict: Verdict, jitter: float, elapsed_ms: int = 0
) -> int | None:
    """The wait before the next send, None when there is none to come.

    ``attempt``: sends of this visit so far, from 1. ``jitter``: uniform in [0, 1).
    ``elapsed_ms``: since the first send. A wait that the provider asks for is a lower bound; one
    above ``max_retry_after_ms`` counts as that much, so the next send may come too early and use
    up an attempt, but no provider can hold a run for days.
    """
    if verdict.stop or attempt >= policy.max_attempts:
        return None
    delay = int(jitter * _ceiling(policy, attempt))
    if verdict.retry_after_ms is not None:
        asked = min(verdict.retry_after_ms, policy.max_retry_after_ms)
        # Jitter on top: all that were told the same second would come back together.
        delay = max(delay, asked + int(jitter * policy.base_ms))
    return delay if elapsed_ms + delay <= policy.window_ms else None


def _ceiling(policy: RetryPolicy, attempt: int) -> float:
    try:
        return min(policy.base_ms * policy.factor ** (attempt - 1), policy.cap_ms)
    except OverflowError:
        return policy.cap_ms

"""A rate limit per endpoint."""

from __future__ import annotations

from collections import deque


class RateLimit:
    """A token bucket for each endpoint: `per_second` on average, and as many at once.

    `strict`: in no second more than `per_second`, whichever second is looked at.
    """

    def __init__(self, per_second: float | None, *, strict: bool = False) -> None:
        self._per_second = per_second
        self._strict = strict
        self._buckets: dict[str, tuple[float, float]] = {}
        #: When the latest were admitted.
        self._admitted: dict[str, deque[float]] = {}

    def admits(self, endpoint: str, now: float) -> bool:
        if self._per_second is None:
            return True
        if self._strict:
            return self._is_in_the_second(endpoint, now, self._per_second)
        burst = max(1.0, self._per_second)
        tokens, since = self._buckets.get(endpoint, (burst, now))
        tokens = min(burst, tokens + max(0.0, now - since) * self._per_second)
        admitted = tokens >= 1
        self._buckets[endpoint] = (tokens - admitted, now)
        return admitted

    def _is_in_the_second(self, endpoint: str, now: float, per_second: float) -> bool:
        most = max(1, int(per_second))
        latest = self._admitted.setdefault(endpoint, deque(maxlen=most))
        if len(latest) == most and now - latest[0] < most / per_second:
            return False
        latest.append(now)
        return True

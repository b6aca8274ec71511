"""A rate limit per endpoint."""

from __future__ import annotations


class RateLimit:
    """A token bucket for each endpoint: `per_second` on average, and as many at once."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, endpoint: str, now: float) -> bool:
        if self._per_second is None:
            return True
        burst = max(1.0, self._per_second)
        tokens, since = self._buckets.get(endpoint, (burst, now))
        tokens = min(burst, tokens + max(0.0, now - since) * self._per_second)
        admitted = tokens >= 1
        self._buckets[endpoint] = (tokens - admitted, now)
        return admitted

"""Access tokens, and how long they live."""

from __future__ import annotations

from ops.sandbox.exchange import Ids


class Tokens:
    def __init__(self, ids: Ids, *, lifetime: float) -> None:
        self._ids = ids
        self._lifetime = lifetime
        #: When each ends; the oldest first.
        self._ends: dict[str, float] = {}

    def mint(self, now: float) -> str:
        self._forget_ended(now)
        token = self._ids.letters("fin_test_", 48)
        self._ends[token] = now + self._lifetime
        return token

    def holds(self, token: str, now: float) -> bool:
        return now < self._ends.get(token, now)

    def __len__(self) -> int:
        return len(self._ends)

    def _forget_ended(self, now: float) -> None:
        while self._ends:
            token, end = next(iter(self._ends.items()))
            if now < end:
                return
            del self._ends[token]

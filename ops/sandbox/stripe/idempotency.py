"""Idempotency keys as Stripe keeps them.

What is kept is the outcome of a call that began to be carried out, be it a success, a declined
card or a 500. A refusal (401, 409, 429, bad parameters) frees the key again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Seconds. Stripe may forget a key from then on; here it does, and the key is new again.
KEY_LIFE: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer that every later call with the key gets."""

    status: int
    body: bytes
    headers: dict[str, str]
    request_id: str


@dataclass(slots=True)
class _Entry:
    path: str
    params: bytes
    at: float
    outcome: Outcome | None

    def expired(self, now: float) -> bool:
        return self.outcome is not None and now - self.at >= KEY_LIFE


@dataclass(frozen=True, slots=True)
class Fresh:
    """The key is this call's: carry it out, then `settle`."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The first call with the key is still being carried out."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key belongs to a call with other parameters, or to another path."""

    first_path: str


Claim = Fresh | Busy | Mismatch | Outcome


@dataclass(slots=True)
class Keys:
    """Two calls with one key are carried out at most once while the key lives."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def claim(self, key: str, *, path: str, params: bytes, now: float) -> Claim:
        self._forget_expired(now)
        entry = self._entries.get(key)
        if entry is None or entry.expired(now):
            self._entries.pop(key, None)
            self._entries[key] = _Entry(path, params, now, None)
            return Fresh()
        if (entry.path, entry.params) != (path, params):
            return Mismatch(entry.path)
        return entry.outcome or Busy()

    def settle(self, key: str, outcome: Outcome | None) -> None:
        """Ends what `claim` began: keeps the outcome, or frees the key when there is none."""
        if outcome is None:
            del self._entries[key]
        else:
            self._entries[key].outcome = outcome

    def __len__(self) -> int:
        return len(self._entries)

    def _forget_expired(self, now: float) -> None:
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if not oldest.expired(now):
                return
            del self._entries[key]

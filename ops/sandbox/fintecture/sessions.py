"""Payment sessions: opened by the merchant, and settled by a payer whom nobody sees.

opened ──pending_after──► at the bank ──paid_after──► paid
   └────────── the payer's page, at any time before ──► paid, or refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from ops.sandbox.exchange import Ids
from ops.sandbox.fintecture.orders import Order
from ops.sandbox.settings import FintectureSettings


class Stage(StrEnum):
    OPENED = "opened"
    AT_BANK = "at the bank"
    PAID = "paid"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: str
    order: Order
    created: float
    #: When the payer is at the bank, and when he has paid, if his page is not asked before.
    pending_at: float
    paid_at: float
    #: What became of it on the payer's page, and when.
    settled: tuple[Stage, float] | None = None

    def stage(self, now: float) -> Stage:
        return self._since(now)[0]

    def changed(self, now: float) -> float:
        """When it came to the stage at which it is."""
        return self._since(now)[1]

    def open(self, now: float) -> bool:
        return self.stage(now) in {Stage.OPENED, Stage.AT_BANK}

    def _since(self, now: float) -> tuple[Stage, float]:
        if self.settled is not None:
            return self.settled
        if now >= self.paid_at:
            return Stage.PAID, self.paid_at
        if now >= self.pending_at:
            return Stage.AT_BANK, self.pending_at
        return Stage.OPENED, self.created


class Sessions:
    def __init__(self, *, settings: FintectureSettings, ids: Ids) -> None:
        self._settings = settings
        self._ids = ids
        #: In the order of their opening.
        self._sessions: dict[str, Session] = {}

    def begin(self, order: Order, now: float) -> Session:
        """Another session at each call: nothing makes two of them one."""
        session = Session(
            id=self._ids.hexadecimal(""),
            order=order,
            created=now,
            pending_at=now + self._settings.pending_after,
            paid_at=now + self._settings.paid_after,
        )
        self._sessions[session.id] = session
        return session

    def find(self, name: str) -> Session | None:
        return self._sessions.get(name)

    def settle(self, name: str, stage: Stage, now: float) -> Session | None:
        """What the payer does on his page. None when no session waits for him."""
        session = self._sessions.get(name)
        if session is None or not session.open(now):
            return None
        self._sessions[name] = replace(session, settled=(stage, now))
        return self._sessions[name]

    def newest(self, count: int, wanted: Callable[[Session], bool]) -> Iterator[Session]:
        return islice(filter(wanted, reversed(self._sessions.values())), count)

    def __len__(self) -> int:
        return len(self._sessions)

"""A world whose Redis loses what it has acknowledged, while processes and providers live on.

The journal that is left is consistent, and older. Who was alive before may remember more. What
then holds is less than in ``World``: nothing is texted again that was not looked up in between.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from orchestrator.engine.state import State
from tests.fakes.provider import KEY_LIFE, Sent
from tests.fakes.world import Message, World

#: What a run comes to later than this has nothing to do with what was lost. ms.
REACH = 7 * 24 * 3_600_000


class RewindingWorld(World):
    def __init__(self, workers: int = 2, *, guard: bool = True) -> None:
        super().__init__(workers, guard=guard)
        #: When Redis lost something, as (ms, texts and charges asked for by then, look-ups).
        self.rewinds: list[tuple[int, int, int]] = []
        self._kept: tuple[dict[bytes, Any], list[Message]] | None = None
        self._begun = 0

    @property
    def _data(self) -> dict[bytes, Any]:
        server = self.client.connection_pool.connection_kwargs["server"]
        found: dict[bytes, Any] = server.dbs[0]._dict
        return found

    # What Redis does.

    def keep(self) -> None:
        """All that is here now is on the disk."""
        self._kept = deepcopy(self._data), [*self.broker.queue]
        self._begun = self._begins()

    def can_be_told(self) -> bool:
        """Whether somebody alive would remember what ``rewind`` takes."""
        if self._kept is None:
            return False
        remembered = [w.raw._witness.seen.begun for w in self.workers if w.raw._witness]
        awake = [n for n, w in zip(remembered, self.workers, strict=True) if not w.frozen]
        return self._begins() == self._begun or max(awake, default=0) > self._begun

    def rewind(self, *, messages: bool) -> None:
        """Fall back to what was kept. Until every worker is heard, nobody begins anything.

        ``messages``: the broker's as well.
        """
        assert self._kept is not None
        data, queue = self._kept
        books = self.provider
        self.rewinds.append((self.clock.now, len(books.sent), len(books.looked)))
        self._data.clear()
        self._data.update(deepcopy(data))
        if messages:
            self.broker.queue[:] = queue
        self.runs = {run: flow for run, flow in self.runs.items() if self.raw.read(run)}
        for worker in self.workers:
            worker.beat()

    def _begins(self) -> int:
        return int(self.client.hget("{durazzo}:server", "begun") or 0)

    # What holds all the same.

    def _check_fold(self, run: str) -> None:
        """Who comes back with what a lost event told him writes it down without that event."""
        if not self.rewinds:
            super()._check_fold(run)

    def _check_counts(self) -> None:
        """Of what is written so, nothing is known."""
        if not self.rewinds:
            super()._check_counts()

    def _check_books(self) -> None:
        if not self.rewinds:
            super()._check_books()
            return
        books = self.provider
        assert not books.changed, "one key, other bytes"
        last: dict[str, int] = {}
        for charge in books.charges:
            # After a day a provider has forgotten the key, as it says.
            before = last.get(charge.key, charge.at - KEY_LIFE - 1)
            assert charge.at - before > KEY_LIFE, f"one intent charged twice: {books.charges}"
            last[charge.key] = charge.at
        self._check_texts()

    def _check_texts(self) -> None:
        for first, again in self.sent_again():
            assert self._looked_up(first, again), f"sent blindly: {first}, {again}"

    def _looked_up(self, first: Sent, again: Sent) -> bool:
        """Whether Redis lost something after the first, and somebody looked before the second."""
        books = self.provider
        before, then = (n for n, sent in enumerate(books.sent) if sent is first or sent is again)
        for at, sent, looks in self.rewinds:
            if again.given <= at or again.given - at > REACH:
                # It stood still on its way out, where nothing can stop it; or for too long.
                return True
            since = [look for look in books.looked[looks:] if look.of(again)]
            if before < sent <= then and any(look.after <= then for look in since):
                return True
        return False

    def _check_ended(self, run: str, state: State) -> None:
        """What was lost with a run's events may stand at the provider; what it knows does."""
        if not self.rewinds:
            super()._check_ended(run, state)
            return
        known = [
            e.fields["s"] for e in self.raw.history(run)
            if e.kind == "outcome" and e.fields["k"] == "succeeded"
        ]  # fmt: skip
        for step in known:
            assert known.count(step) <= self.effects(run).count(step), f"{run}: {step} is not so"

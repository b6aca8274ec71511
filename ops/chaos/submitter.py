"""Who submits: as an application does that may be told that Redis is away, and tries again."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, TypeAlias

from ops.chaos.schedule import Customer
from orchestrator.engine.state import State
from orchestrator.errors import JournalUnavailable, UnknownRun
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import Plan
from orchestrator.service import Core, cancel, pause, resume, submit

#: Before the same is tried again. s.
_AGAIN: Final = 0.25
#: Between an order and the same order once more. s.
_TWICE: Final = 0.4
_Act: TypeAlias = Callable[[], None]


class Submitter:
    """A thread of its own: its Redis may hang, the storm may not."""

    def __init__(
        self,
        core: Core,
        plan: Plan,
        customers: Sequence[Customer],
        inputs: Callable[[Customer], Mapping[str, Json]],
    ) -> None:
        #: By the customer's number: what was accepted.
        self.runs: dict[int, str] = {}
        #: What went wrong that no application could be asked to cope with.
        self.problems: list[str] = []
        #: Runs that turned up under a key that stood for another, and accepted runs that were
        #: unheard of later: by run, the customer's number.
        self.others: dict[str, int] = {}
        self.unheard: dict[str, int] = {}
        #: How often Redis was away.
        self.unavailable = 0
        self._core = core
        self._plan = plan
        self._inputs = inputs
        self._order = count()
        self._acts: list[tuple[float, int, _Act]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="submitter", daemon=True)
        for customer in customers:
            self._push(customer.at, lambda customer=customer: self._submit(customer))  # type: ignore[misc]

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """What is not submitted by now never is."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while self._acts and not self._stop.is_set():
            at, _, act = self._acts[0]
            if self._stop.wait(max(0.0, at - self._now())):
                return
            heapq.heappop(self._acts)
            try:
                act()
            except JournalUnavailable:
                self.unavailable += 1
                self._push(self._now() + _AGAIN, act)
            except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
                self.problems.append(f"the submitter was told {type(error).__name__}")
                self._push(self._now() + _AGAIN, act)

    def _submit(self, customer: Customer) -> None:
        run = submit(self._core, self._plan, self._inputs(customer), key=customer.key).id
        if self.runs.setdefault(customer.number, run) != run:
            self.others[run] = customer.number
            return
        if customer.control == "cancel":
            self._later(customer.after, lambda: self._control(cancel, customer, run))
        elif customer.control == "pause":
            self._later(customer.after, lambda: self._pause(customer, run))
        if customer.twice:
            self._later(_TWICE, lambda: self._submit_again(customer))

    def _submit_again(self, customer: Customer) -> None:
        run = submit(self._core, self._plan, self._inputs(customer), key=customer.key).id
        if run != self.runs[customer.number]:
            self.others[run] = customer.number

    def _pause(self, customer: Customer, run: str) -> None:
        self._control(pause, customer, run)
        self._later(customer.paused, lambda: self._control(resume, customer, run))

    def _control(self, control: Callable[..., State], customer: Customer, run: str) -> None:
        try:
            control(self._core, run, by="chaos")
        except UnknownRun:
            self.unheard[run] = customer.number

    def _later(self, seconds: float, act: _Act) -> None:
        self._push(self._now() + seconds, act)

    def _push(self, at: float, act: _Act) -> None:
        heapq.heappush(self._acts, (at, next(self._order), act))

    def _now(self) -> float:
        return time.monotonic() - self._began

"""Who submits: as an application does that may be told that Redis is away, and tries again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ops.chaos.agenda import Agenda
from ops.chaos.schedule import Customer
from orchestrator.engine.state import State
from orchestrator.errors import UnknownRun
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import Plan
from orchestrator.service import Core, cancel, pause, resume, submit

#: Between an order and the same order once more. s.
_TWICE: Final = 0.4


class Submitter:
    def __init__(
        self,
        core: Core,
        plan: Plan,
        customers: Sequence[Customer],
        inputs: Callable[[Customer], Mapping[str, Json]],
    ) -> None:
        self.agenda = Agenda("submitter")
        #: By the customer's number: what was accepted.
        self.runs: dict[int, str] = {}
        #: Runs that turned up under a key that stood for another, and accepted runs that were
        #: unheard of later: by run, the customer's number.
        self.others: dict[str, int] = {}
        self.unheard: dict[str, int] = {}
        self._core = core
        self._plan = plan
        self._inputs = inputs
        for customer in customers:
            self.agenda.at(customer.at, lambda customer=customer: self._submit(customer))  # type: ignore[misc]

    def start(self) -> None:
        self.agenda.start()

    def stop(self) -> None:
        self.agenda.stop()

    def expects_more(self) -> bool:
        return False

    def repair(self) -> bool:
        return False

    def _submit(self, customer: Customer) -> None:
        run = submit(self._core, self._plan, self._inputs(customer), key=customer.key).id
        if self.runs.setdefault(customer.number, run) != run:
            self.others[run] = customer.number
            return
        later = self.agenda.later
        if customer.control == "cancel":
            later(customer.after, lambda: self._control(cancel, customer, run))
        elif customer.control == "pause":
            later(customer.after, lambda: self._pause(customer, run))
        if customer.twice:
            later(_TWICE, lambda: self._submit_again(customer))

    def _submit_again(self, customer: Customer) -> None:
        run = submit(self._core, self._plan, self._inputs(customer), key=customer.key).id
        if run != self.runs[customer.number]:
            self.others[run] = customer.number

    def _pause(self, customer: Customer, run: str) -> None:
        self._control(pause, customer, run)
        self.agenda.later(customer.paused, lambda: self._control(resume, customer, run))

    def _control(self, control: Callable[..., State], customer: Customer, run: str) -> None:
        try:
            control(self._core, run, by="chaos")
        except UnknownRun:
            self.unheard[run] = customer.number

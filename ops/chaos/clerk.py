"""Who starts a batch, and does to it what ``durazzo batch`` lets a person do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from itertools import islice
from typing import Final

from ops.chaos.agenda import Agenda
from ops.chaos.gauge import Gauge
from ops.chaos.schedule import Customer, Instruction, Order, Schedule
from ops.chaos.workflows import Workflow
from orchestrator.batch import Screening
from orchestrator.engine.state import State
from orchestrator.errors import JournalUnavailable, UnknownRun
from orchestrator.journal.batches import Batch, run_of
from orchestrator.service import Core, cancel, pause, resume, submit
from orchestrator.service import batch as service
from orchestrator.service.many import Done

#: The input that is every row's run key as well.
_KEY: Final = "order"
#: Between two looks for a run that is none yet. s.
_LOOK: Final = 0.4
#: Failed runs that go on while others are admitted, each as soon as the window has room for it.
_RETRIED: Final = 10
#: The window is looked at so often for that, and for so long at most. s.
_ROOM: Final = 0.02
_PATIENCE: Final = 1.0
_WHO: Final = "chaos"


class _FullError(Exception):
    """The window has had no room for a while."""


class Clerk:
    def __init__(
        self,
        desk: Core,
        judge: Core,
        workflow: Workflow,
        schedule: Schedule,
        *,
        kept: Callable[[], object],
    ) -> None:
        """``desk`` works over a line that breaks; ``judge`` looks past it. ``kept`` returns when no
        power cut takes what was written before: that a batch was lost as a whole is told to nobody.
        """
        self.agenda = Agenda("clerk")
        self.gauge = Gauge(judge)
        self.batch = ""
        #: By the customer's number: orders that were submitted by themselves as well.
        self.singles: dict[int, str] = {}
        self.others: Mapping[str, int] = {}
        self.unheard: Mapping[str, int] = {}
        self._desk = desk
        self._plan = workflow.plan()
        self._customers = schedule.customers
        self._options = schedule.options
        self._inputs = workflow.inputs
        self._kept = kept
        self._file = b"".join(
            json.dumps(workflow.inputs(c)).encode() + b"\n" for c in schedule.customers
        )
        self._let_go = self._repaired = False
        self._plan_for(schedule)

    def _plan_for(self, schedule: Schedule) -> None:
        for order in schedule.orders:
            self.agenda.at(order.at, lambda order=order: self._obey(order))  # type: ignore[misc]
        for customer in schedule.customers:
            act = self._act_on(customer)
            if act is not None:
                self.agenda.at(customer.at + customer.after, act)
            if customer.twice and not schedule.options.forgetful:
                # Where an admission may be lost with the power, so may the key that it took.
                self.agenda.at(customer.at, lambda customer=customer: self._submit(customer))  # type: ignore[misc]

    @property
    def runs(self) -> Mapping[int, str]:
        """By the customer's number; of a row whose key was used before, the run of that key."""
        return {c.number: self.singles.get(c.number, self._row(c)) for c in self._customers}

    def start(self) -> None:
        """The batch is there when this returns; nothing has been struck yet."""
        self._start()
        self._kept()
        self.gauge.start(self.batch)
        self.agenda.start()

    def stop(self) -> None:
        self.gauge.stop()
        self.agenda.stop()

    def expects_more(self) -> bool:
        """After the storm: what a power cut has let nobody remember is said again.

        Whether rows are to become runs yet.
        """
        try:
            found = self._found()
            if found.stopped:
                service.resume(self._desk, self.batch, by=_WHO)
            if not self.agenda.busy and not self._let_go:
                self._resume_all()
        except JournalUnavailable:
            return True
        return bool(found.stopped or found.waiting)

    def repair(self) -> bool:
        """Once nothing moves: every failed run goes on, once. Whether any does."""
        self.gauge.stop()
        if self._repaired:
            return False
        self._repaired = True
        done = list(self._retried(lambda: time.sleep(_ROOM)))
        return not all(one.refused for one in done)

    # What a person does.

    def _obey(self, order: Order) -> None:
        match order.what:
            case Instruction.PAUSE:
                service.pause(self._desk, self.batch, by=_WHO, reason="")
                self.agenda.later(order.seconds, lambda: self._say(service.resume))
            case Instruction.RETRY:
                self._retry_some()
            case Instruction.AGAIN:
                self._start_again()

    def _say(self, control: Callable[..., object]) -> None:
        control(self._desk, self.batch, by=_WHO)

    def _retry_some(self) -> None:
        ends = time.monotonic() + _PATIENCE

        def wait() -> None:
            if time.monotonic() > ends:
                raise _FullError
            time.sleep(_ROOM)

        with suppress(_FullError):
            for _ in islice(self._retried(wait), _RETRIED):
                pass

    def _retried(self, wait: Callable[[], object]) -> Iterator[Done]:
        return service.retry_failed(self._desk, self.batch, by=_WHO, wait=wait)

    def _start_again(self) -> None:
        if self._start():
            self.agenda.problems.append("the clerk was told that the same batch is a new one")

    def _start(self) -> bool:
        """As ``durazzo batch start``; whether it is new."""
        upload = service.Upload(self._desk)
        screening = Screening(
            self._plan,
            BytesIO(self._file),
            file="orders.jsonl",
            format="jsonl",
            salt=self._desk.entropy.token(16),
            key=_KEY,
        )
        for row in screening:
            upload.add(row)
        screening.raise_if_bad()
        terms = service.Terms(window=self._options.window, keyed=True)
        digest = screening.summary.digest
        found, new = service.start(
            self._desk, self._plan, upload, digest=digest, terms=terms, by=_WHO
        )
        self.batch = found.id
        return new

    def _act_on(self, customer: Customer) -> Callable[[], None] | None:
        match customer.control:
            case "cancel":
                return lambda: self._when_there(customer, lambda run: self._control(cancel, run))
            case "pause":
                return lambda: self._when_there(customer, lambda run: self._pause(customer, run))
            case _:
                return None

    def _when_there(self, customer: Customer, act: Callable[[str], bool]) -> None:
        """Done to a row's run as soon as there is one."""
        if not act(self._row(customer)) and self._found().waiting:
            self.agenda.later(_LOOK, lambda: self._when_there(customer, act))

    def _pause(self, customer: Customer, run: str) -> bool:
        done = self._control(pause, run)
        if done:
            self.agenda.later(customer.paused, lambda: self._resume(run))
        return done

    def _resume(self, run: str) -> None:
        self._control(resume, run)

    def _resume_all(self) -> None:
        for customer in self._customers:
            if customer.control == "pause":
                self._control(resume, self._row(customer))
        self._let_go = True

    def _control(self, control: Callable[..., State], run: str) -> bool:
        """Whether there is such a run."""
        try:
            control(self._desk, run, by=_WHO)
        except UnknownRun:
            return False
        return True

    def _submit(self, customer: Customer) -> None:
        """The same order by itself: its row knows of it, or it of its row."""
        found = submit(self._desk, self._plan, self._inputs(customer), key=customer.key)
        self.singles[customer.number] = found.id

    def _row(self, customer: Customer) -> str:
        return run_of(self.batch, customer.number + 1)

    def _found(self) -> Batch:
        return service.find(self._desk, self.batch)

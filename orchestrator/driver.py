"""For one run: read → advance → decide → duties. Safe to call twice, by anybody.

A worker uses the parts after its own commit; the timekeeper, a cancel and the error
callback use the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Final, Protocol

from orchestrator.canvas.messages import TaskId
from orchestrator.engine.advance import Decision, advance
from orchestrator.engine.effects import Totals
from orchestrator.engine.state import Phase, State
from orchestrator.journal.batches import Record
from orchestrator.journal.port import Committed, Journal
from orchestrator.plan import codec
from orchestrator.plan.graph import Graph

#: Racing branches and controls each cost a turn; more than this is a bug, not a race.
_TURNS: Final = 50
_CACHED_PLANS: Final = 256


class Sender(Protocol):
    """The canvas, as the driver needs it."""

    def send(self, task: TaskId, state: State, graph: Graph) -> None: ...

    def announce(self, run: str, state: State) -> None: ...


class Plans:
    """Plans by digest, as graphs; read once a process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._graphs: OrderedDict[str, Graph] = OrderedDict()

    def graph(self, digest: str) -> Graph:
        graph = self._graphs.get(digest)
        if graph is None:
            graph = Graph(codec.decode(self._journal.plan(digest)), digest)
            self._graphs[digest] = graph
            if len(self._graphs) > _CACHED_PLANS:
                self._graphs.popitem(last=False)
        return graph


class Driver:
    def __init__(
        self,
        journal: Journal,
        plans: Plans,
        sender: Sender,
        fill: Callable[[str], object] = lambda _batch: None,
    ) -> None:
        """``fill``: admits a batch's next rows; where nobody does it here, the timekeeper does."""
        self._journal = journal
        self._plans = plans
        self._sender = sender
        self._fill = fill

    def carry_on(self, run: str) -> State | None:
        """Decide whatever the run's state calls for, and do what follows from it.

        The state that was reached; None for a run that is unheard of.
        """
        state = None
        for _ in range(_TURNS):
            state = self._journal.read(run)
            if state is None:
                return None
            decision = advance(self._plans.graph(state.plan), state, self._journal.now())
            if decision is None:
                self.pay(run, state)
                return state
            if self._journal.decide(run, decision) is Committed.YES:
                self.follow(run, decision)
        return state

    def follow(
        self, run: str, decision: Decision, carried: Container[tuple[str, int]] = ()
    ) -> None:
        """Send what a decision entered, but for what Celery itself carries on; pay its duties."""
        state = decision.after
        for step, visit in decision.entered:
            if (step, visit) not in carried:
                self.send(TaskId(run, step, visit), state)
        self.pay(run, state)

    def send(self, task: TaskId, state: State) -> None:
        self._sender.send(task, state, self._plans.graph(state.plan))

    def send_entered(self, run: str, step: str, visit: int) -> int:
        """Send what the decision upon a failed visit entered: the error callback's whole work.

        Only what the journal holds, and only while nobody has taken it up. How many were sent.
        """
        state = self._journal.read(run)
        failed = state.visits.get(step) if state else None
        if state is None or failed is None or failed.number != visit:
            return 0
        sent = 0
        for target, number in failed.entered:
            ready = state.visits.get(target)
            if ready and ready.number == number and ready.phase is Phase.READY:
                self.send(TaskId(run, target, number, ready.sends), state)
                sent += 1
        return sent

    def pay(self, run: str, state: State) -> None:
        """The duties of a finished run: each may be done twice and is done at least once."""
        if not state.end or not state.outbox:
            return
        self._sender.announce(run, state)
        record = _record(run, state) if state.batch else None
        if self._journal.settle(run, state.batch, record):
            self._fill(state.batch)


def _record(run: str, state: State) -> Record:
    """What stays of a run in its batch."""
    totals = Totals.of(state.effects)
    sums = {
        f"{what}:{currency}": amount
        for what, found in totals.amounts.items()
        for currency, amount in found.items()
    }
    texts = (f"{step} {visit.effects}" for step, visit in state.in_order if visit.effects)
    return Record(
        end=state.end,
        code=state.code,
        run=run,
        step=state.failed_step,
        at=state.ended,
        effects="\n".join(texts),
        sums=sums | dict(totals.counts),
    )

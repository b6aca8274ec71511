"""A worker and a timekeeper in this process, over a real server and the sandbox: real journal,
engine and HTTP. The broker is a list, and time is moved by whoever tests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ops.lab import base_environ
from ops.sandbox.server import BackgroundSandbox
from orchestrator.canvas.canvas import Canvas
from orchestrator.driver import Driver
from orchestrator.engine.state import State, Status
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Ref
from orchestrator.plan.model import Plan
from orchestrator.service import submit
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, wire
from tests.fakes.world import Broker, Message
from workers.process import build
from workers.told import Said

#: Of the recorded journals: 32 bytes, as DURAZZO_KEYS wants them.
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
_DAY = 24 * 3_600_000


class Died(BaseException):
    """A worker's end, in the middle of what it did."""


@dataclass(slots=True)
class Offset:
    """The sandbox's clock, and with ``Hands.pass_time`` the journal's."""

    ms: int = 0

    def __call__(self) -> float:
        return time.time() + self.ms / 1000


class Queue(Broker):
    #: False: whoever does a finished run's duties dies in them.
    announces = True

    def announce(self, run: str, state: State) -> None:
        if not self.announces:
            raise Died
        super().announce(run, state)


class Undecided:
    """The journal of a worker that dies between the two parts of its commit."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, ref: Ref, fence: int, settlement: Any, _decision: object) -> Any:
        self._inner.commit(ref, fence, settlement, None)
        raise Died


@dataclass(slots=True)
class Hands:
    url: str
    sandbox: BackgroundSandbox
    clock: Offset
    #: (checkpoint, step): the worker dies there.
    dies: tuple[str, str] = ("", "")
    undecided: bool = False
    #: The wiring, as it comes and over ``broker``.
    wiring: Wiring = field(init=False)
    broker: Queue = field(init=False)
    _process: Any = field(init=False)

    def __post_init__(self) -> None:
        environ = {
            **base_environ(), **self.sandbox.env, "DURAZZO_REDIS_URL": self.url,
            "DURAZZO_KEYS": KEY, "DURAZZO_HEARTBEAT": "3600",
        }  # fmt: skip
        wiring = wire(from_environ(environ))
        self.broker = Queue()
        core = wiring.core
        journal = cast("Any", Undecided(core.journal)) if self.undecided else core.journal
        core = replace(core, journal=journal, driver=Driver(journal, core.plans, self.broker))
        self.wiring = replace(wiring, core=core, canvas=cast("Canvas", self.broker))
        self._process = build(self.wiring, self._reached)
        self._process.pulse._beat()

    @property
    def client(self) -> Any:
        return cast("Any", self.wiring.core.journal)._client

    def _reached(self, point: object, ref: Ref) -> None:
        if (str(point), ref.step) == self.dies:
            raise Died

    def close(self) -> None:
        self._process.caller.close()
        self.client.close()
        self.wiring.app.close()

    # What is done.

    def submit(self, plan: Plan, inputs: Mapping[str, Json], *, key: str | None = None) -> str:
        return submit(self.wiring.core, plan, inputs, key=key).id

    def work(self) -> None:
        """Every message that is out, and those that follow."""
        while self.broker.queue:
            self._deliver(self.broker.queue.pop(0))

    def work_until_death(self) -> None:
        try:
            self.work()
        except Died:
            self.broker.queue.clear()
            return
        raise AssertionError("nobody died")

    def _deliver(self, message: Message) -> None:
        """As ``workers.tasks`` does, and Celery around it."""
        task, *rest = message.tasks
        ref = Ref(task.run, task.step, task.visit)
        if message.kind == "fallback":
            self._process.fall_back(ref)
            return
        told = self._process.attempt.drive(ref, {(t.step, t.visit) for t in rest[:1]})
        if told.said is Said.HANDLED:
            self.broker.put(Message("fallback", message.tasks[:1]))
        elif told.said is Said.GO_ON and rest:
            self.broker.put(Message("step", tuple(rest)))

    def tick(self) -> None:
        self._process.pulse._beat()
        while self._process.pulse._tick():
            pass

    def finish(self, run: str, *, hops: int = 40) -> State:
        """Everything that becomes due within a day, as soon as it is."""
        for _ in range(hops):
            self.tick()
            self.work()
            state = self.state(run)
            wait = self.due(run)
            if wait is None or (wait > _DAY and state.status is not Status.RUNNING):
                return state
            self.pass_time(max(wait, 0) + 1)
        return self.state(run)

    def pass_time(self, ms: int) -> None:
        self.client.incrby(Keys().clock, ms)
        self.clock.ms += ms

    # What is seen.

    def state(self, run: str) -> State:
        state = self.wiring.core.journal.read(run)
        assert state is not None
        return state

    def due(self, run: str) -> int | None:
        """ms until the run is looked at; None when it is not in the due-set."""
        score = self.client.zscore(Keys().due, run)
        return None if score is None else round(score) - self.wiring.core.journal.now()

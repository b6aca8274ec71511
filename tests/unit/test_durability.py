"""What a server says of how well it keeps what it acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.lab import free_port, valkey, wait_for
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.durability import Durability, ask
from tests.fakes.servers import fake_redis

ONCE = Retry(NoBackoff(), 0)
server = pytest.mark.server


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Of a server whose configuration the test may change."""
    with valkey(tmp_path) as url, redis.Redis.from_url(url) as found:
        yield found


def as_user(client: Any, password: str, *rights: str) -> redis.Redis:
    """The same server, as a user with these rights and the password ``right``."""
    client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">right", "~*", "+@all", *rights)
    path = client.connection_pool.connection_kwargs["path"]
    return redis.Redis(unix_socket_path=path, username="bob", password=password, retry=ONCE)


@server
def test_a_server_says_all_of_itself(client: Any) -> None:
    told = ask(client)
    assert told.server is not None
    assert told.server.startswith("Valkey ")
    assert (told.aof, told.fsync, told.snapshots) == (True, "everysec", False)
    assert (told.eviction, told.limit, told.replica) == ("noeviction", 0, False)
    assert (told.failing, told.waitaof) == (False, True)
    assert told.used is not None
    assert told.used > 0


@server
def test_what_it_does_otherwise_is_told(client: Any) -> None:
    client.config_set("appendonly", "no")
    client.config_set("save", "60 1")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", 1 << 28)
    client.config_set("appendfsync", "always")
    client.replicaof("127.0.0.1", str(free_port()))
    told = ask(client)
    assert (told.aof, told.fsync, told.snapshots) == (False, "always", True)
    assert (told.eviction, told.limit, told.replica) == ("allkeys-lru", 1 << 28, True)


@server
def test_a_failed_snapshot_is_told(client: Any, tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").mkdir()
    client.bgsave()
    wait_for(lambda: ask(client).failing, "the failure of a snapshot")


@server
def test_what_an_acl_forbids_is_none_and_the_rest_is_told(client: Any) -> None:
    told = ask(as_user(client, "right", "-config"))
    assert (told.fsync, told.snapshots) == (None, None)
    assert (told.aof, told.eviction) == (True, "noeviction")
    assert ask(as_user(client, "right", "-config", "-info", "-command")) == Durability()


def test_a_server_that_knows_none_of_the_questions_is_no_error() -> None:
    with fake_redis() as client:
        told = ask(client)
    assert (told.server, told.aof, told.fsync, told.eviction) == (None, None, None, None)
    assert told.waitaof is False


@server
def test_a_wrong_password_is_said_and_not_repeated(client: Any) -> None:
    with pytest.raises(JournalUnavailable, match="refuses the user or the password") as caught:
        ask(as_user(client, "wrong-4711"))
    assert "4711" not in caught.value.message


@server
def test_a_user_who_may_not_even_ping_is_said(client: Any) -> None:
    with pytest.raises(JournalUnavailable, match="the user may not run PING, which durazzo needs"):
        ask(as_user(client, "right", "-ping"))


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(JournalUnavailable, match="no connection comes about"):
        ask(redis.Redis(port=free_port(), retry=ONCE))

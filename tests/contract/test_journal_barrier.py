"""What must not be lost is on disk before anything follows from it, where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from ops import lab
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Began, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import NoSeal
from orchestrator.wiring import connect
from tests.fakes import plans

pytestmark = pytest.mark.server

A1 = Ref("run-1", "a", 1)


@contextmanager
def server(folder: Path) -> Iterator[redis.Redis]:
    with lab.valkey(folder, appendfsync="always") as url, connect(url) as client:
        yield client


def waits(client: redis.Redis) -> int:
    stats: Any = client.info("commandstats")
    found: int = stats.get("cmdstat_waitaof", {}).get("calls", 0)
    return found


def begun(journal: RedisJournal, *, durable: bool) -> Began:
    journal.accept(plans.new_run(plans.linear("a"), "run-1"))
    journal.heartbeat("w1", ttl_ms=60_000)
    claim = journal.claim(A1, "w1")
    assert claim.state is not None
    fence = claim.state.visits["a"].fence
    return journal.begin(
        A1, fence, deadline_ms=1_000, frozen=b"x", limits=[], durable=durable
    ).verdict


@pytest.mark.parametrize(("durable", "waited"), [(True, 2), (False, 1)])
def test_accepted_runs_and_calls_without_a_key_wait_for_the_disk(
    tmp_path: Path, durable: bool, waited: int
) -> None:
    with server(tmp_path) as client:
        assert begun(RedisJournal(client, NoSeal(), barrier=True), durable=durable) is Began.YES
        assert waits(client) == waited


def test_without_the_barrier_nobody_waits(tmp_path: Path) -> None:
    with server(tmp_path) as client:
        assert begun(RedisJournal(client, NoSeal()), durable=True) is Began.YES
        assert waits(client) == 0


def test_a_server_that_keeps_nothing_is_said_instead_of_trusted(tmp_path: Path) -> None:
    with server(tmp_path) as client:
        client.config_set("appendonly", "no")
        with pytest.raises(JournalUnavailable, match="appendonly yes"):
            begun(RedisJournal(client, NoSeal(), barrier=True), durable=True)

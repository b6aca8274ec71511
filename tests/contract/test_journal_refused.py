"""A server that refuses writes: nothing begins, what was begun ends, and the reason is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.engine.state import Phase, Result
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Began, Claimed, Committed, Ref
from tests.contract.conftest import World
from tests.fakes import plans

A1 = Ref("run-1", "a", 1)


@pytest.fixture
def real(world: World) -> Iterator[World]:
    """fakeredis has no memory to be full, and no role."""
    if not world.real:
        pytest.skip("a real server's business")
    yield world
    world.client.config_set("maxmemory", 0)
    world.client.config_set("min-replicas-to-write", 0)
    world.client.replicaof("NO", "ONE")


def fill(world: World) -> None:
    world.client.config_set("maxmemory", 1)


def make_replica(world: World) -> None:
    world.client.replicaof("127.0.0.1", "1")


def lose_replicas(world: World) -> None:
    world.client.config_set("min-replicas-to-write", 1)


@contextmanager
def refused(reason: str) -> Iterator[None]:
    with pytest.raises(JournalUnavailable) as caught:
        yield
    assert caught.value.reason == reason
    assert "run-1" not in caught.value.message


def test_a_full_server_accepts_and_begins_nothing(real: World) -> None:
    graph = real.accept(plans.linear("a"))
    lease = real.take(graph, "a")
    before = sorted(real.everything())
    fill(real)
    with refused("out-of-memory"):
        real.raw.require_writable()
    with refused("out-of-memory"):
        real.raw.accept(plans.new_run(plans.linear("a"), "run-2"))
    with refused("out-of-memory"):
        real.raw.claim(A1, "w2")
    with refused("out-of-memory"):
        lease.begin()
    assert sorted(real.everything()) == before, "nothing is written by halves"


def test_on_a_full_server_a_call_that_was_made_lands_and_its_lease_is_kept(real: World) -> None:
    graph = real.accept(plans.linear("a", "b"))
    lease = real.take(graph, "a")
    assert lease.begin().verdict is Began.YES
    fill(real)
    real.journal.heartbeat("w1", ttl_ms=60_000)
    assert real.journal.tick("t1", lease_ms=1_000, limit=10).leader
    assert real.journal.alive() == {"w1"}
    assert lease.commit(Result.SUCCEEDED) is Committed.YES
    assert real.journal.control("run-1", "cancel", by="a test", reason="") is not None
    state = real.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.SUCCEEDED


def test_with_memory_again_a_run_is_taken_up_where_it_was(real: World) -> None:
    real.accept(plans.linear("a"))
    fill(real)
    with refused("out-of-memory"):
        real.raw.claim(A1, "w1")
    real.client.config_set("maxmemory", 0)
    real.raw.require_writable()
    real.journal.heartbeat("w1", ttl_ms=60_000)
    assert real.journal.claim(A1, "w1").verdict is Claimed.YES


@pytest.mark.parametrize(
    ("trouble", "reason"), [(make_replica, "read-only"), (lose_replicas, "no-replicas")]
)
def test_a_server_that_refuses_every_write_is_read_and_written_by_nobody(
    real: World, trouble: Callable[[World], None], reason: str
) -> None:
    real.accept(plans.linear("a"))
    before = sorted(real.everything())
    trouble(real)
    journal = real.raw
    works: list[Callable[[], Any]] = [
        journal.require_writable,
        lambda: journal.claim(A1, "w1"),
        lambda: journal.heartbeat("w1", ttl_ms=60_000),
        lambda: journal.tick("t1", lease_ms=1_000, limit=10),
        lambda: journal.settle("run-1"),
        lambda: journal.postpone({"run-1": (1, 1)}),
    ]
    for work in works:
        with refused(reason):
            work()
    assert journal.read("run-1") is not None
    assert journal.now() > 0
    assert sorted(real.everything()) == before


def test_a_server_that_takes_writes_is_written_nothing_to_by_asking(world: World) -> None:
    before = world.everything()
    world.raw.require_writable()
    assert world.everything() == before

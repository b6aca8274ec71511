"""What a newer release wrote is left for it: seen, and not touched."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.state import VERSION
from orchestrator.errors import NewerRelease
from orchestrator.journal.port import Claimed, Ref
from orchestrator.journal.redis import NEWER_CHECK
from tests.contract.conftest import World
from tests.fakes.plans import linear

REF = Ref("run-2", "a", 1)


def held(world: World, run: str = "run-2") -> Any:
    """Everything that Redis holds of the run, but for when it is looked at."""
    keys = world.keys
    log = world.client.lrange(keys.log(run), 0, -1)
    return world.client.hgetall(keys.run(run)), log, world.client.hgetall(keys.data(run))


@pytest.fixture
def newer(world: World) -> World:
    """Two runs that are due: one of this release, one of the next."""
    world.accept(linear("a"))
    world.accept(linear("a"), "run-2")
    told = {"v": str(VERSION + 1), "s:a": '["a visit of the next"]'}
    world.client.hset(world.keys.run("run-2"), mapping=told)
    world.advance(60_000)
    world.raw.heartbeat("w1", ttl_ms=600_000)
    return world


def test_a_run_of_a_newer_release_is_not_claimed(newer: World) -> None:
    before = held(newer)
    claim = newer.raw.claim(REF, "w1")
    assert (claim.verdict, claim.state) == (Claimed.NEWER, None)
    assert held(newer) == before
    assert newer.raw.claim(Ref("run-1", "a", 1), "w1").verdict is Claimed.YES


def test_a_run_of_a_newer_release_stays_due_and_is_met_seldom(newer: World) -> None:
    before = held(newer)
    tick = newer.raw.tick("t1", lease_ms=60_000, limit=10)
    assert [due.run for due in tick.due] == ["run-1"]
    assert tick.newer == ("run-2",)
    assert 0 < (newer.due("run-2") or 0) <= NEWER_CHECK
    assert newer.raw.tick("t1", lease_ms=60_000, limit=10).newer == ()
    newer.advance(NEWER_CHECK)
    assert newer.raw.tick("t1", lease_ms=60_000, limit=10).newer == ("run-2",)
    assert held(newer) == before


def test_a_newer_release_takes_the_lead_and_an_older_one_does_not_take_it_back(
    newer: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone can look after all of the runs."""
    assert newer.raw.tick("old", lease_ms=60_000, limit=10).leader
    monkeypatch.setattr("orchestrator.journal.redis.VERSION", VERSION + 1)
    assert newer.raw.tick("new", lease_ms=60_000, limit=0).leader
    assert newer.raw.tick("new", lease_ms=60_000, limit=0).leader
    assert not newer.raw.tick("another", lease_ms=60_000, limit=0).leader
    monkeypatch.undo()
    assert not newer.raw.tick("old", lease_ms=60_000, limit=10).leader


def test_a_leader_of_the_first_release_is_not_overtaken_by_its_like(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote its name without a version."""
    world.client.set(world.keys.leader, "w-of-0.1", px=60_000)
    monkeypatch.setattr("orchestrator.journal.redis.VERSION", 1)
    assert not world.raw.tick("old", lease_ms=60_000, limit=0).leader
    monkeypatch.undo()
    assert world.raw.tick("new", lease_ms=60_000, limit=0).leader


def test_reading_a_run_of_a_newer_release_says_so(newer: World) -> None:
    with pytest.raises(NewerRelease, match="written by a newer release"):
        newer.raw.read("run-2")


@pytest.mark.parametrize(
    "visit", ['{"n":1,"p":"dreaming"}', '{"n":1,"p":"dreaming","u":1,"w":"w0"}']
)
def test_a_phase_that_is_none_of_this_releases_is_left_alone(world: World, visit: str) -> None:
    """Its run should say its version; without, nothing is concluded either."""
    world.accept(linear("a"), "run-2")
    world.client.hset(world.keys.run("run-2"), "s:a", visit)
    world.advance(60_000)
    before = held(world)
    assert world.raw.claim(REF, "w1").verdict is Claimed.NEWER
    assert world.raw.tick("t1", lease_ms=60_000, limit=10).newer == ("run-2",)
    assert held(world) == before
    assert world.due("run-2") is not None

"""A worker that ends in order: what it had is free at once, and it acts on none of it."""

from __future__ import annotations

from ops.lab import wait_for
from orchestrator.clock import SystemClock
from orchestrator.journal.port import Claimed, Ref
from tests.contract.conftest import World
from tests.fakes.plans import linear
from workers.process import resign
from workers.pulse import Pulse


def pulse(world: World) -> Pulse:
    return Pulse(
        worker="w1", journal=world.raw, clock=SystemClock(), ttl_ms=600_000, tick=lambda: False
    )


def test_the_leases_of_a_worker_that_retired_are_free_and_it_knows(world: World) -> None:
    world.accept(linear("a"))
    beating = pulse(world)
    beating.start()
    ref = Ref("run-1", "a", 1)
    assert world.raw.claim(ref, "w1").verdict is Claimed.YES
    assert world.raw.claim(ref, "w2").verdict is Claimed.BUSY
    assert beating.alive()
    beating.stop()
    assert not beating.alive(), "a lease it still holds in hand is another's by now"
    assert world.raw.claim(ref, "w2").verdict is Claimed.YES


def test_a_timekeeper_that_resigns_is_followed_at_once(world: World) -> None:
    assert world.raw.tick("t1", lease_ms=600_000, limit=1).leader
    resign(world.raw, "t2")
    assert not world.raw.tick("t2", lease_ms=600_000, limit=1).leader, "it was not his to give"
    resign(world.raw, "t1")
    wait_for(lambda: world.raw.tick("t2", lease_ms=600_000, limit=1).leader, "the next leader")

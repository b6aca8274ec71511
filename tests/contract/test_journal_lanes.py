"""lanes and unended: what a worker must serve so that nothing is left behind."""

from __future__ import annotations

import pytest

from orchestrator.driver import Driver, Plans
from orchestrator.engine.state import Result
from orchestrator.journal.batches import Row
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import NoSeal
from orchestrator.service import Core, pause, unfinished
from orchestrator.wiring import load_profiles
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.batching import no_batches, open_batch
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.journal import carry_on
from tests.fakes.world import Broker

FLOW = plans.linear("a")


def core_of(world: World) -> Core:
    known = Plans(world.raw)
    return Core(
        journal=world.raw,
        plans=known,
        driver=Driver(world.raw, known, Broker()),
        **no_batches(known),
        profiles=load_profiles(),
        clock=ManualClock(),
        entropy=SeededEntropy(1),
    )


def accepted(world: World, *runs: str, lane: str = "default") -> None:
    for run in runs:
        assert world.raw.accept(plans.new_run(FLOW, run, lane=lane)).new


@pytest.mark.parametrize("later", [0, 1, 2_500])
def test_the_lane_of_a_run_is_met_however_many_came_later(world: World, later: int) -> None:
    accepted(world, "early", lane="dunning")
    accepted(world, "late")
    with world.client.pipeline(transaction=False) as pipeline:
        for run in (f"late-{n}" for n in range(later)):
            pipeline.copy(world.keys.run("late"), world.keys.run(run))
            pipeline.zadd(world.keys.due, {run: 0})
        pipeline.execute()
    assert world.journal.lanes() == unfinished(core_of(world)).lanes == {"dunning", "default"}


def test_a_lane_in_which_all_has_ended_is_none(world: World) -> None:
    graph = world.accept(FLOW)
    world.take(graph, "a").commit(Result.SUCCEEDED)
    carry_on(world.journal, graph, "run-1")
    world.journal.settle("run-1")
    assert world.journal.lanes() == frozenset()


def test_the_lane_of_a_batch_is_met_before_it_has_a_run(world: World) -> None:
    batches = RedisBatches(world.client, NoSeal(), world.keys, key_life_ms=1)
    open_batch(batches, FLOW, "b-1", [Row(number=1)])
    assert world.client.zcard(world.keys.due) == 0
    assert world.journal.lanes() == {"default"}


def test_what_is_unfinished_is_counted_and_more_than_that_is_said(world: World) -> None:
    core = core_of(world)
    assert unfinished(core).told == ""
    accepted(world, "r-a")
    assert unfinished(core).told == "1 unfinished run"
    accepted(world, "r-b", "r-c")
    assert unfinished(core).told == "3 unfinished runs"
    assert unfinished(core, limit=3).told == "3 unfinished runs"
    assert unfinished(core, limit=2).told == "2 or more unfinished runs"


def test_what_waits_for_a_person_is_not_counted(world: World) -> None:
    core = core_of(world)
    accepted(world, "r-a", "r-b")
    pause(core, "r-a", by="ops", reason="")
    assert unfinished(core).told == "1 unfinished run"
    assert [one.run for one in world.journal.unended(0, 10)] == ["r-a", "r-b"]
    assert [one.run for one in world.journal.unended(1, 10)] == ["r-b"]

"""Turned away until the attempts are used up: the document's ways on from a failure are taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.engine.state import Phase, Status
from tests.fakes import plans
from tests.fakes.world import World


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.close()


def test_a_step_that_was_turned_away_for_good_takes_its_failure_edge(world: World) -> None:
    run = world.submit(plans.fallback_loop())
    for _ in range(400):
        if world.state(run).visited("remind"):
            break
        while world.broker.queue:
            charges = world.broker.queue[0].tasks[0].step == "charge"
            world.deliver(weather="429" if charges else "answer")
        world.pass_time(1_000)
        world.tick()
    assert world.state(run).visits["charge"].status == 429
    assert world.provider.charges == []
    world.heal()
    world.check()
    assert world.state(run).status is Status.SUCCEEDED


def test_without_such_an_edge_the_run_fails_by_what_turned_it_away(world: World) -> None:
    run = world.submit(plans.charge_and_text())
    world.carry_on(400, sky="429")
    state = world.state(run)
    assert state.status is Status.FAILED
    visit = state.visits["charge"]
    assert (visit.phase, visit.status) == (Phase.FAILED, 429)
    assert "text" not in state.visits

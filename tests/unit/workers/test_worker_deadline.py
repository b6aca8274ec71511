"""Workers and a run's deadline: what is in doubt is looked up, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrator.engine.state import Phase, Status
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.provider import Weather
from tests.fakes.world import World

RUN = "run-0"
WITHIN = 30_000


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.check()
    found.close()


def charge() -> Plan:
    return plans.plan(plans.charge("charge"))


def look(world: World) -> None:
    """All that is to be looked up by itself."""
    for _ in range(8):
        world.pass_time(600_000)
        world.tick()
        while world.broker.queue:
            world.deliver()


def sends(world: World) -> int:
    return len(world.provider.sent)


@pytest.mark.parametrize("then", [None, "429", "401", "refused"])
@pytest.mark.parametrize(
    ("flow", "end", "step"),
    [(charge, Status.SUCCEEDED, ""), (plans.charge_and_text, Status.FAILED, "text")],
)
def test_a_charge_whose_answer_was_lost_is_looked_up_after_the_deadline(
    world: World, flow: Callable[[], Plan], end: Status, step: str, then: Weather | None
) -> None:
    """Its key still holds: before the deadline it would have been sent again."""
    world.submit(flow(), within=WITHIN)
    world.deliver(weather="dropped-after")
    while then is not None and sends(world) < 2:
        world.pass_time(500)
        world.tick()
        if world.broker.queue:
            world.deliver(weather=then)
    before = sends(world)
    assert world.state(RUN).visits["charge"].phase is Phase.WAITING
    world.pass_time(WITHIN)
    world.tick()
    assert world.state(RUN).visits["charge"].phase is Phase.UNKNOWN
    look(world)
    state = world.state(RUN)
    assert (state.status, state.failed_step) == (end, step)
    assert sends(world) == before
    assert world.effects(RUN) == ["charge"]


@pytest.mark.parametrize("passes", range(6))
def test_a_deadline_that_passes_at_any_place_of_a_send_in_doubt_leaves_it_to_a_look_up(
    world: World, passes: int
) -> None:
    world.submit(charge(), within=WITHIN)
    world.deliver(weather="dropped-after")
    world.pass_time(5_000)
    world.tick()
    world.deliver(fate="stop", passes=passes, weather="dropped-after")
    world.pass_time(WITHIN - 5_000)
    if world.parked:
        world.resume(0, weather="dropped-after")
    look(world)
    assert world.state(RUN).status is Status.SUCCEEDED
    assert world.effects(RUN) == ["charge"]


def test_a_message_that_comes_after_the_deadline_ends_the_run_at_once(world: World) -> None:
    """Whoever takes it up does not wait for the timekeeper."""
    world.submit(charge(), within=WITHIN)
    world.pass_time(WITHIN)
    world.deliver()
    state = world.state(RUN)
    assert (state.end, state.code, state.failed_step) == ("failed", "deadline-passed", "charge")
    assert sends(world) == 0

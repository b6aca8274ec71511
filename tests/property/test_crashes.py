"""Killed at every place of every attempt, the run ends right by the provider's books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from orchestrator.engine.state import Status
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.actors import Actor
from tests.fakes.provider import Weather
from tests.fakes.world import World

pytestmark = pytest.mark.slow

FLOWS: dict[str, Callable[[], Plan]] = {
    "charge-and-text": plans.charge_and_text,
    "fallback-loop": plans.fallback_loop,
    "fork-and-join": plans.fork_and_join,
    "retry-action": plans.retry_action,
}


@contextmanager
def world(*, quick: bool = False) -> Iterator[World]:
    found = World()
    found.quick = quick
    try:
        yield found
    finally:
        found.close()


def drive(found: World, run: str, deaths: list[int], weather: list[Weather]) -> bool:
    """Deliver all that comes; die at the places that are counted off. Whether all died."""
    left, skies = list(deaths), list(weather)
    for _ in range(60):
        found.check()
        if found.at_rest(run) and not found.broker.queue:
            break
        if not found.broker.queue:
            found.pass_time(7_000)
            found.tick()
            continue
        sky: Weather = skies.pop(0) if skies else "answer"
        actor: Actor
        if left:
            actor = found.deliver(fate="crash", passes=left[0], weather=sky)
            if actor.crashed:
                left.pop(0)
                found.kill(0)
            else:
                left[0] -= actor.passed
        else:
            found.deliver(weather=sky)
    return not left


@pytest.mark.parametrize("name", FLOWS)
def test_undisturbed_each_flow_does_its_work_once(name: str) -> None:
    with world() as found:
        run = found.submit(FLOWS[name]())
        drive(found, run, [], [])
        assert found.state(run).status is Status.SUCCEEDED
        assert found.broker.announced == {run: {"succeeded"}}
        steps = found.effects(run)
        assert len(steps) == len(set(steps)) >= 2


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("weather", [[], ["declined"], ["dropped-after", "dropped-after"]])
@pytest.mark.parametrize("quick", [False, True])
def test_killed_once_at_every_place_a_flow_ends_right(
    name: str, weather: list[Weather], *, quick: bool
) -> None:
    place, died = 0, True
    while died:
        with world(quick=quick) as found:
            run = found.submit(FLOWS[name]())
            died = drive(found, run, [place], weather)
            found.heal()
            found.check()
            assert found.state(run).status in {Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN}
        place += 1
    assert place > 10


@pytest.mark.slow
@pytest.mark.parametrize("sky", ["answer", "dropped-after"])
def test_killed_twice_at_every_two_places_of_a_charge_and_its_text(sky: Weather) -> None:
    """The second death finds what the first left: a doubt must outlive both."""
    for first in range(2, 14):
        for second in range(1, 7):
            with world() as found:
                run = found.submit(plans.charge_and_text())
                drive(found, run, [first, second], [sky])
                found.heal()
                found.check()

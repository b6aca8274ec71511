"""A timekeeper stands still at any place of its round while another leads, and then goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.engine.state import Status
from tests.fakes import plans
from tests.fakes.provider import Weather
from tests.fakes.world import World

pytestmark = pytest.mark.slow

#: Places of a round where it can stand still, a few more than there are for five runs.
PLACES = range(16)


@contextmanager
def world() -> Iterator[World]:
    found = World()
    try:
        yield found
    finally:
        found.close()


def of_all_kinds(found: World) -> list[str]:
    """A lost message, a wait that is over, a dead worker's call, a cancel not carried out."""
    lost = found.submit(plans.charge_and_text(), sent=False)
    waits = found.submit(plans.charge_and_text())
    found.deliver(weather="429")
    dead = found.submit(plans.charge_and_text())
    found.deliver(fate="crash", passes=5)
    found.kill(0)
    cancelled = found.submit(plans.charge_and_text())
    found.control(cancelled, "cancel", "stop", 1)
    for actor in list(found.parked):
        found.parked.remove(actor)
        actor.crash()
    found.broker.queue.clear()
    return [lost, waits, dead, cancelled]


@pytest.mark.parametrize("sky", ["answer", "dropped-after"])
@pytest.mark.parametrize("busy", [False, True])
def test_a_leader_that_wakes_up_after_another_took_over_sends_nothing_twice(
    sky: Weather, busy: bool
) -> None:
    """``busy``: workers have taken up what the other sent before the first one goes on."""
    for passes in PLACES:
        with world() as found:
            runs = of_all_kinds(found)
            found.pass_time(8_000)
            asleep = found.tick(0, "stop", passes)
            found.workers[0].frozen = True
            found.pass_time(8_000)
            found.tick(1)
            if busy:
                found.carry_on(3, sky)
            found.workers[0].frozen = False
            if asleep in found.parked:
                found.resume(found.parked.index(asleep))
            assert len(set(found.broker.queue)) == len(found.broker.queue), "one message twice"
            found.heal()
            found.check()
            ends = [found.state(run).status for run in runs]
            assert ends == [Status.SUCCEEDED] * 3 + [Status.CANCELLED]

"""Clocks that jump: Redis' own, which judges, and a worker's wall clock, which nobody asks.

What is promised is that nothing happens twice, and that only waits (a retry, a
look-up) last longer when Redis' clock goes back: the time that was written is all there is of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.engine.recovery import LOOK_CAP
from orchestrator.engine.state import Phase, Status
from tests.fakes import plans
from tests.fakes.provider import Weather
from tests.fakes.world import TTL, World

pytestmark = pytest.mark.slow

HOUR = 3_600_000
#: Places of an attempt where it can stand still, a few more than there are.
PLACES = range(11)
SKIES: tuple[Weather, ...] = ("answer", "dropped-after", "429", "late")


@contextmanager
def world() -> Iterator[World]:
    found = World()
    try:
        # The timekeeper has seen the time.
        found.tick()
        yield found
    finally:
        found.close()


def jump(found: World, ms: int) -> None:
    """Redis' TIME only: the machines' own clocks go on."""
    found.client.incrby("{durazzo}:clock", ms)


def wait(found: World, ms: int, sky: Weather = "answer") -> None:
    """So much time passes, and all that is due in it is done."""
    for _ in range(ms // 1_000):
        found.pass_time(1_000)
        found.tick()
        while found.broker.queue:
            found.deliver(weather=sky)


@pytest.mark.parametrize("span", [HOUR, -HOUR])
@pytest.mark.parametrize("sky", SKIES)
@pytest.mark.parametrize("text", [False, True])
def test_redis_clock_jumps_at_any_place_of_an_attempt_and_nothing_happens_twice(
    span: int, sky: Weather, text: bool
) -> None:
    for passes in PLACES:
        with world() as found:
            found.submit(plans.charge_and_text())
            if text:
                found.deliver()
            actor = found.deliver(0, 1, "stop", passes, sky)
            jump(found, span)
            wait(found, 12_000)
            found.check()
            if actor in found.parked:
                found.resume(found.parked.index(actor), weather=sky)
            found.heal()
            found.check()


@pytest.mark.parametrize("passes", [2, 3, 4])
def test_redis_clock_goes_back_and_a_dead_workers_run_is_taken_over_all_the_same(
    passes: int,
) -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(0, 1, "crash", passes)
        found.broker.queue.clear()
        dead = found.workers.pop(1)
        jump(found, -HOUR)
        wait(found, LOOK_CAP + TTL)
        visit = found.state(run).visits["charge"]
        assert visit.worker not in {"", dead.name}
        found.check()
        assert found.state(run).status is Status.SUCCEEDED


def test_redis_clock_goes_back_and_who_was_dead_before_does_not_come_back() -> None:
    with world() as found:
        found.raw.heartbeat("gone", ttl_ms=TTL)
        wait(found, 10 * 60_000)
        assert "gone" not in found.raw.alive()
        jump(found, -HOUR)
        found.tick()
        assert "gone" not in found.raw.alive()
        found.pass_time(1_000)
        assert found.raw.alive() == {worker.name for worker in found.workers}


def test_redis_clock_goes_back_and_a_rate_limits_line_goes_back_with_it() -> None:
    with world() as found:
        for _ in range(30):
            found.submit(plans.charge_and_text())
        while found.broker.queue:
            found.deliver()
        jump(found, -HOUR)
        run = found.submit(plans.charge_and_text())
        wait(found, 10_000)
        assert found.state(run).status is Status.SUCCEEDED
        found.check()


def test_redis_clock_goes_back_and_a_lost_message_is_sent_within_about_a_minute() -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text(), sent=False)
        jump(found, -HOUR)
        wait(found, LOOK_CAP + TTL)
        assert found.state(run).status is Status.SUCCEEDED


def test_redis_clock_goes_back_and_what_waits_in_a_long_lane_is_not_sent_again_and_again() -> None:
    with world() as found:
        for _ in range(20):
            found.submit(plans.charge_and_text())
            found.pass_time(500)
        # Nine were begun: the lane's mark lies an hour ahead from now on.
        for _ in range(9):
            found.deliver()
        jump(found, -HOUR)
        for _ in range(20):
            found.submit(plans.charge_and_text())
        waiting = len(found.broker.queue)
        for _ in range(300):
            found.pass_time(1_000)
            found.tick()
        assert len(found.broker.queue) == waiting


@pytest.mark.parametrize("sky", ["429", "refused"])
def test_redis_clock_goes_back_and_a_wait_lasts_longer_by_that_and_no_more(sky: Weather) -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather=sky)
        assert found.state(run).visits["charge"].phase is Phase.WAITING
        jump(found, -HOUR)
        wait(found, 20_000)
        assert found.state(run).status is Status.WAITING
        found.pass_time(HOUR)
        wait(found, 20_000)
        assert found.state(run).status is Status.SUCCEEDED
        found.check()


def test_redis_clock_jumps_ahead_and_a_wait_is_over_early() -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather="429")
        jump(found, HOUR)
        wait(found, 3_000)
        assert found.state(run).status is Status.SUCCEEDED
        found.check()


@pytest.mark.parametrize("span", [HOUR, -HOUR])
def test_redis_clock_jumps_there_and_back_and_all_that_was_accepted_ends(span: int) -> None:
    with world() as found:
        runs = [found.submit(plans.charge_and_text(), sent=sent) for sent in (True, False)]
        found.deliver(0, 1, "stop", 4)
        jump(found, span)
        wait(found, 5_000)
        jump(found, -span)
        wait(found, LOOK_CAP + TTL)
        found.heal()
        found.check()
        assert {found.state(run).status for run in runs} == {Status.SUCCEEDED}


@pytest.mark.parametrize("span", [HOUR, -HOUR])
@pytest.mark.parametrize("sky", SKIES)
def test_a_workers_wall_clock_jumps_and_the_run_is_the_same_event_for_event(
    span: int, sky: Weather
) -> None:
    def events(jumped: int) -> list[str]:
        with world() as found:
            found.clock.unix_ms = lambda: found.clock.now + jumped  # type: ignore[method-assign]
            run = found.submit(plans.charge_and_text())
            found.deliver(weather=sky)
            wait(found, 200_000)
            return [event.encode() for event in found.raw.history(run)]

    assert events(span) == events(0)

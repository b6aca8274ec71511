"""A step's timeout: its ways on are taken where nothing can have been done, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from orchestrator.engine.state import Phase, Status, Visit
from orchestrator.plan.model import Plan
from orchestrator.service import Core, resolve
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.batching import no_batches
from tests.fakes.provider import Weather
from tests.fakes.world import World
from workers.attempt import LEASE_MARGIN
from workers.judge import STEP_TIMEOUT

RUN = "run-0"
HOUR = 3_600_000
#: Of Stripe's and Twilio's profiles. ms.
LONGEST = load_profiles()["stripe"].deadline_ms


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.check()
    found.close()


def charge_in(ms: int) -> Plan:
    """A charge that has so long, and a text instead."""
    charge = replace(plans.charge("charge", (), plans.to("sorry")), timeout_ms=ms)
    return plans.plan(charge, plans.text("sorry"))


def text_in(ms: int) -> Plan:
    return plans.plan(replace(plans.text("text", (), plans.to("sorry")), timeout_ms=ms), SORRY)


SORRY = plans.text("sorry")


def visit(world: World, step: str) -> Visit:
    return world.state(RUN).visits[step]


def spell(world: World, sky: Weather, ms: int) -> None:
    """The provider is so for a while."""
    until = world.clock.now + ms
    while world.clock.now < until:
        while world.broker.queue:
            world.deliver(weather=sky)
        world.pass_time(500)
        world.tick()


@pytest.mark.parametrize(("sky", "last"), [("refused", "connect-failed"), ("429", "http-429")])
def test_a_step_that_nothing_was_done_of_in_time_takes_its_fallback(
    world: World, sky: Weather, last: str
) -> None:
    world.submit(charge_in(1_500))
    start = world.clock.now
    spell(world, sky, 4_000)
    found = visit(world, "charge")
    assert (found.phase, found.code, found.detail) == (Phase.FAILED, STEP_TIMEOUT, last)
    calls = [s for s in world.provider.sent if s.ref is not None and s.ref.step == "charge"]
    assert len(calls) > 1, "it was tried again within its time"
    assert all(call.at - start < 1_500 for call in calls)
    world.heal()
    assert world.state(RUN).status is Status.SUCCEEDED
    assert world.effects(RUN) == ["sorry"]


def test_without_a_way_on_the_run_has_failed_with_it(world: World) -> None:
    world.submit(plans.plan(replace(plans.charge("charge"), timeout_ms=1_000)))
    spell(world, "refused", 5_000)
    state = world.state(RUN)
    assert (state.status, state.code, state.failed_step) == (Status.FAILED, STEP_TIMEOUT, "charge")


def test_a_retry_of_the_documents_own_has_the_whole_time_again(world: World) -> None:
    again = (plans.one_of(plans.again(1)),)
    world.submit(plans.plan(replace(plans.charge("charge", (), again), timeout_ms=1_000)))
    spell(world, "refused", 2_000)
    assert visit(world, "charge").number == 2
    world.heal()
    assert world.effects(RUN) == ["charge"]


@pytest.mark.parametrize("sky", ["dropped-before", "dropped-after"])
def test_a_charge_in_doubt_is_not_failed_by_its_timeout_and_its_key_tells_what_became_of_it(
    world: World, sky: Weather
) -> None:
    world.submit(charge_in(4_000))
    spell(world, sky, 3_000)
    world.pass_time(HOUR)
    world.heal()
    assert world.state(RUN).status is Status.SUCCEEDED
    assert world.effects(RUN) == ["charge"]


def test_a_text_in_doubt_stays_unknown_though_its_timeout_has_passed(world: World) -> None:
    world.submit(text_in(2_000))
    spell(world, "dropped-before", 1_000)
    for _ in range(20):
        world.pass_time(HOUR)
        world.tick()
        while world.broker.queue:
            world.deliver()
    assert visit(world, "text").looks > 1
    assert world.state(RUN).status is Status.UNKNOWN
    assert "sorry" not in world.state(RUN).visits
    assert len(world.provider.sent) == 1


@pytest.mark.parametrize("flow", [charge_in, text_in])
def test_a_call_that_took_all_the_time_without_an_answer_is_unknown_and_no_failure(
    world: World, flow: Callable[[int], Plan]
) -> None:
    world.submit(flow(2_000))
    step = world.runs[RUN].starts[0]
    # While it is being sent.
    world.deliver(fate="stop", passes=4)
    assert world.provider.allowed == [2.0]
    world.pass_time(2_000)
    world.resume(0, weather="dropped-before")
    assert (visit(world, step).result, visit(world, step).doubt) == ("unknown", 1)
    assert "sorry" not in world.state(RUN).visits


def test_a_text_that_is_found_after_its_timeout_is_a_success(world: World) -> None:
    world.submit(text_in(2_000))
    spell(world, "dropped-after", 1_000)
    world.pass_time(HOUR)
    world.tick()
    world.heal()
    assert world.state(RUN).status is Status.SUCCEEDED
    assert world.effects(RUN) == ["text"]


def test_what_surely_did_nothing_is_not_sent_again_after_its_time(world: World) -> None:
    """Whatever said so, here a person: its time has run since the first call."""
    world.submit(text_in(5_000))
    spell(world, "dropped-before", 1_000)
    world.pass_time(HOUR)
    worker = world.workers[0]
    core = Core(
        journal=world.journal,
        plans=worker.driver._plans,
        driver=worker.driver,
        profiles=load_profiles(),
        **no_batches(worker.driver._plans),
        clock=world.clock,
        entropy=world.entropy,
    )
    resolve(core, RUN, "text", "resend", by="ops", reason="")
    world.heal()
    assert visit(world, "text").code == STEP_TIMEOUT
    assert world.effects(RUN) == ["sorry"]


def test_waiting_in_a_long_queue_before_the_first_call_takes_none_of_the_time(
    world: World,
) -> None:
    world.submit(charge_in(2_000))
    world.pass_time(HOUR)
    world.deliver()
    assert world.effects(RUN) == ["charge"]


def test_a_retry_that_comes_to_its_turn_too_late_is_not_made(world: World) -> None:
    world.submit(charge_in(60_000))
    world.deliver(weather="refused")
    assert visit(world, "charge").phase is Phase.WAITING
    world.pass_time(HOUR)
    world.tick()
    world.deliver()
    assert visit(world, "charge").code == STEP_TIMEOUT
    assert len(world.provider.sent) == 1


def test_a_refused_key_is_waited_for_no_longer_than_the_step_may_take(world: World) -> None:
    world.submit(charge_in(8_000))
    world.deliver(weather="401")
    found = visit(world, "charge")
    assert (found.phase, found.until - world.clock.now) == (Phase.WAITING, 8_000)
    spell(world, "401", 9_000)
    assert visit(world, "charge").code == STEP_TIMEOUT


def test_a_call_and_its_lease_have_what_is_left_of_the_time(world: World) -> None:
    world.submit(charge_in(10_000))
    world.deliver(weather="refused")
    world.pass_time(4_000)
    world.tick()
    # After its begin.
    world.deliver(fate="stop", passes=4, weather="dropped-after")
    assert visit(world, "charge").phase is Phase.CALLING
    assert visit(world, "charge").until - world.clock.now == 6_000 + LEASE_MARGIN
    world.resume(0, weather="dropped-after")
    assert world.provider.allowed == [10.0, 6.0]


def test_a_call_in_doubt_has_all_its_time(world: World) -> None:
    """Cut short it could only stay in doubt."""
    world.submit(charge_in(10_000))
    world.deliver(weather="dropped-before")
    world.pass_time(9_900)
    world.tick()
    world.deliver()
    assert world.provider.allowed == [10.0, LONGEST / 1000]
    assert world.effects(RUN) == ["charge"]


def test_a_step_without_a_timeout_has_its_providers_deadline(world: World) -> None:
    world.submit(plans.charge_and_text())
    world.deliver()
    assert world.provider.allowed == [LONGEST / 1000]

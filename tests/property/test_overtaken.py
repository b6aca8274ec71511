"""Stopped at every place while others go on, and let go on afterwards: every overlap of two.

Random search finds overlaps that nobody thought of; these are the ones that somebody did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from orchestrator.engine.state import Status
from tests.fakes import plans
from tests.fakes.actors import Actor
from tests.fakes.provider import Weather
from tests.fakes.world import World

pytestmark = pytest.mark.slow

HOUR = 3_600_000
#: Places of an attempt where it can stand still, a few more than there are.
PLACES = range(11)


@contextmanager
def world() -> Iterator[World]:
    found = World()
    try:
        yield found
    finally:
        found.close()


def finish(found: World) -> None:
    found.check()
    found.heal()
    found.check()


def let_go(found: World, actor: Actor, sky: Weather = "answer") -> None:
    if actor in found.parked:
        found.resume(found.parked.index(actor), weather=sky)


def overtake(found: World, passes: int, span: int, asleep: bool, sky: Weather = "answer") -> None:
    """One worker stands still; time passes; the others do what is due; it goes on."""
    actor = found.deliver(0, 1, "stop", passes, sky)
    found.workers[1].frozen = asleep
    found.pass_time(span)
    found.tick()
    found.carry_on(6)
    found.check()
    found.workers[1].frozen = False
    let_go(found, actor, sky)
    finish(found)


@pytest.mark.parametrize("span", [7_000, 31_000, 100_000, 25 * HOUR])
@pytest.mark.parametrize("asleep", [True, False])
@pytest.mark.parametrize("text", [False, True])
def test_a_worker_that_was_overtaken_at_any_place_does_no_harm(
    span: int, asleep: bool, text: bool
) -> None:
    for passes in PLACES:
        with world() as found:
            found.submit(plans.charge_and_text())
            if text:
                found.deliver()
            overtake(found, passes, span, asleep)


@pytest.mark.parametrize("asleep", [True, False])
@pytest.mark.parametrize("first", ["answer", "dropped-before", "late"])
def test_a_resend_that_stood_still_for_a_day_at_any_place_charges_nothing_twice(
    asleep: bool, first: Weather
) -> None:
    """Its key may be a day old by then, and Stripe has forgotten it."""
    for death, passes in product((4, 5, 6), PLACES):
        with world() as found:
            found.submit(plans.charge_and_text())
            found.deliver(fate="crash", passes=death, weather=first)
            found.kill(0)
            found.broker.queue.clear()
            found.pass_time(7_000)
            found.tick()
            actor = found.deliver(0, 1, "stop", passes)
            found.workers[1].frozen = asleep
            found.pass_time(25 * HOUR)
            found.workers[1].frozen = False
            let_go(found, actor)
            finish(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cancel", "pause"])
@pytest.mark.parametrize("sky", ["answer", "dropped-after"])
def test_a_control_at_any_place_of_an_attempt_is_obeyed_and_loses_nothing(
    kind: str, sky: Weather
) -> None:
    for text, passes, dies in product((False, True), PLACES, (False, True)):
        with world() as found:
            run = found.submit(plans.charge_and_text())
            if text:
                found.deliver()
            actor = found.deliver(0, 1, "stop", passes, sky)
            found.control(run, kind)
            found.check()
            if dies:
                found.kill(1)
            let_go(found, actor, sky)
            finish(found)
            state = found.state(run)
            if kind == "cancel":
                # A control that comes after the end changes nothing.
                assert state.end or state.status is Status.UNKNOWN
            elif state.status is Status.PAUSED:
                found.control(run, "resume")
                finish(found)
                assert found.state(run).status is not Status.PAUSED


@pytest.mark.slow
@pytest.mark.parametrize("skies", [("answer", "answer"), ("answer", "declined")])
def test_two_branches_that_overlap_at_any_places_both_reach_their_join(
    skies: tuple[Weather, Weather],
) -> None:
    for first, second in product(range(9), range(9)):
        with world() as found:
            run = found.submit(plans.fork_and_join())
            one = found.deliver(0, 0, "stop", first, skies[0])
            two = found.deliver(0, 1, "stop", second, skies[1])
            let_go(found, one, skies[0])
            let_go(found, two, skies[1])
            finish(found)
            assert found.state(run).status is Status.SUCCEEDED
            expected = {"answer": "second", "declined": "sorry"}[skies[1]]
            assert found.effects(run) == sorted(["first", expected, "receipt"])


@pytest.mark.parametrize("text", [False, True])
def test_a_doubled_message_at_any_place_changes_nothing(text: bool) -> None:
    for passes in PLACES:
        with world() as found:
            run = found.submit(plans.charge_and_text())
            if text:
                found.deliver()
            message = found.broker.queue[0]
            actor = found.deliver(0, 1, "stop", passes)
            found.broker.queue.append(message)
            found.deliver(-1)
            found.check()
            let_go(found, actor)
            finish(found)
            assert found.state(run).status is Status.SUCCEEDED
            assert found.effects(run) == ["charge", "text"]


DOUBTFUL: tuple[Weather, ...] = ("dropped-after", "dropped-before", "late", "500-after", "409")


@pytest.mark.parametrize("first", DOUBTFUL)
@pytest.mark.parametrize("then", ["429", "refused", "401", "500", "declined", "409"])
def test_a_doubt_is_not_forgotten_however_long_the_provider_refuses(
    first: Weather, then: Weather
) -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather=first)
        found.check()
        found.carry_on(40, then)
        finish(found)
        assert found.state(run).status is not Status.PENDING


@pytest.mark.parametrize("kind", ["pause", "nothing"])
@pytest.mark.parametrize("sky", ["dropped-after", "dropped-before"])
def test_a_wait_that_outlives_the_key_is_looked_up_and_not_sent(kind: str, sky: Weather) -> None:
    """Paused over the weekend, or no worker for two days: Stripe has forgotten the key."""
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather=sky)
        if kind == "pause":
            found.control(run, "pause")
        found.pass_time(48 * HOUR)
        if kind == "pause":
            found.control(run, "resume")
        finish(found)
        if sky == "dropped-after":
            assert found.state(run).status is Status.SUCCEEDED
            assert found.effects(run) == ["charge", "text"]
        else:
            # That nothing was found is no proof: it stays parked.
            assert found.state(run).status is Status.UNKNOWN
            assert found.effects(run) == []
        assert (
            sum(sent.ref is not None and sent.ref.step == "charge" for sent in found.provider.sent)
            == 1
        )


@pytest.mark.parametrize("secret", ["", "sk_test_\u20ac", "sk_\x00"])
def test_a_secret_that_broke_meanwhile_does_not_fail_what_may_have_been_charged(
    secret: str,
) -> None:
    """The re-send cannot be made: that says nothing of what the first send did."""
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather="dropped-after")
        found.secrets["STRIPE_SECRET_KEY"] = secret
        found.carry_on(8)
        found.check()
        assert found.state(run).status in {Status.WAITING, Status.RUNNING, Status.UNKNOWN}
        found.secrets["STRIPE_SECRET_KEY"] = "sk_test_x"
        finish(found)
        assert found.effects(run).count("charge") == 1


def test_a_key_that_is_young_enough_is_used_again() -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather="dropped-after")
        found.pass_time(20 * HOUR)
        finish(found)
        assert found.state(run).status is Status.SUCCEEDED
        assert found.effects(run) == ["charge", "text"]


def test_a_run_whose_first_message_never_went_out_is_finished() -> None:
    with world() as found:
        run = found.submit(plans.charge_and_text(), sent=False)
        finish(found)
        assert found.state(run).status is Status.SUCCEEDED


def test_one_run_that_cannot_be_carried_on_stops_no_other() -> None:
    """Its plan is of a newer release, or its key is not on the ring: the rest goes on."""
    with world() as found:
        runs = [
            found.submit(plan, sent=False) for plan in (plans.retry_action(), plans.linear("a"))
        ]
        del found.runs[runs[1]]
        for run in (runs[0], runs[1]):
            found.control(run, "cancel", "stop", 1)
        digest = found.state(runs[0]).plan
        found.client.delete(f"{{durazzo}}:plan:{digest}")
        for actor in list(found.parked):
            found.parked.remove(actor)
            actor.crash()
        found.kill(0)
        found.pass_time(10_000)
        found.tick()
        assert found.state(runs[1]).status is Status.CANCELLED


def test_a_lost_answer_outlives_a_long_trouble_at_the_provider_as_long_as_its_key() -> None:
    """Answer lost, then the account is refused for hours: it is replayed."""
    with world() as found:
        run = found.submit(plans.charge_and_text())
        found.deliver(weather="dropped-after")
        for _ in range(20):
            found.pass_time(600_000)
            found.tick()
            while found.broker.queue:
                found.deliver(weather="401")
        assert found.state(run).status is Status.WAITING
        finish(found)
        assert found.state(run).status is Status.SUCCEEDED

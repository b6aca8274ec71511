"""What a worker does about limits: it waits for a turn at hand, and tells of refusals."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from orchestrator.engine.state import Phase
from orchestrator.journal.keys import Keys
from orchestrator.policy.outcomes import Answer, classify
from orchestrator.wiring import limited, load_profiles
from tests.fakes import plans
from tests.fakes.world import World
from workers.timekeeper import TICK_EVERY, TURNS_EVERY

STRIPE = load_profiles()["stripe"]
CREATE = next(limit for limit in STRIPE.limits if limit.name == "payment-intents-create")
#: Longer than a worker holds a call. ms.
HOLD = 250


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.check()
    found.close()


def field(world: World, limit: str, name: str) -> bytes | None:
    found: bytes | None = world.client.hget(Keys().limit(limit), name)
    return found


def deliver_all(world: World) -> None:
    while world.broker.queue:
        world.deliver()


def test_a_call_whose_turn_is_at_hand_is_made_when_it_has_come(world: World) -> None:
    for _ in range(CREATE.burst + 3):
        world.submit(plans.plan(plans.charge("charge")))
    began = world.clock.now
    deliver_all(world)
    calls = [sent.at for sent in world.provider.sent]
    assert calls[: CREATE.burst] == [began] * CREATE.burst
    waits = [later - at for at, later in pairwise(calls[CREATE.burst - 1 :])]
    assert waits == pytest.approx([1000 / CREATE.per_second] * 3, abs=2)


def test_a_call_that_has_longer_to_wait_holds_no_worker(world: World) -> None:
    for _ in range(40):
        world.submit(plans.plan(plans.charge("charge")))
    world.client.hset(Keys().limit("stripe/account"), "until", world.clock.now + HOLD)
    began = world.clock.now
    deliver_all(world)
    assert world.clock.now == began
    assert world.provider.sent == []
    assert world.state("run-0").visits["charge"].phase is Phase.WAITING


def test_a_worker_that_is_stopped_while_it_waits_gives_the_call_back(world: World) -> None:
    for _ in range(CREATE.burst + 1):
        world.submit(plans.plan(plans.charge("charge")))
    for _ in range(CREATE.burst):
        world.deliver()
    worker, sent = world.workers[0], len(world.provider.sent)
    # Its heartbeat ends in the middle of the wait.
    worker._beat_at = world.clock.now - 6_000 + 10
    world.deliver()
    assert len(world.provider.sent) == sent
    last = world.state(f"run-{CREATE.burst}").visits["charge"]
    assert (last.phase, last.doubt) == (Phase.READY, 0)
    worker.beat()
    world.heal()


def test_a_429_is_held_against_the_narrowest_scope(world: World) -> None:
    world.submit(plans.plan(plans.charge("charge")))
    world.deliver(weather="429")
    assert field(world, "stripe/payment-intents-create", "factor") is not None
    assert field(world, "stripe/account", "factor") is None


def test_a_429_about_a_locked_object_says_nothing_about_the_pace() -> None:
    def verdict(code: str) -> bool:
        answer = Answer(status=429, headers={}, body={"error": {"code": code}})
        return classify(STRIPE, method="POST", keyed=True, result=answer, now_ms=0).one_object

    assert verdict("lock_timeout")
    assert not verdict("rate_limit")


def test_while_turns_come_the_timekeeper_looks_more_often(world: World) -> None:
    timekeeper = world.workers[0].timekeeper
    timekeeper.tick()
    assert timekeeper.every == TICK_EVERY
    line = (world.clock.now + 1_000) * 1_000
    world.client.hset(Keys().limit("stripe/account"), "urgent", line)
    world.submit(plans.plan(plans.charge("charge")))
    deliver_all(world)
    assert world.state("run-0").visits["charge"].phase is Phase.WAITING
    world.pass_time(1_000)
    timekeeper.tick()
    assert timekeeper.every == TURNS_EVERY
    deliver_all(world)
    world.pass_time(60_000)
    timekeeper.tick()
    assert timekeeper.every == TICK_EVERY


def test_a_test_accounts_own_rate_holds_unless_live_keys_are_allowed_or_it_is_set() -> None:
    def rates(*, live: bool, **set_: float) -> list[tuple[float, int]]:
        profiles = limited({"stripe": STRIPE}, set_, live=live)
        return [(limit.per_second, limit.burst) for limit in profiles["stripe"].limits[:1]]

    account = STRIPE.limits[0]
    assert rates(live=True) == [(account.per_second, account.burst)]
    assert rates(live=False) == [(account.test_per_second, account.burst // 4)]
    assert rates(live=False, **{"stripe/account": 49}) == [(49, account.burst // 2)]

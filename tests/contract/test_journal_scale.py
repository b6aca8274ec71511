"""Many runs that wait: what keeping time costs is counted in commands, never in seconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Driver, Plans
from orchestrator.engine.state import Result, State
from orchestrator.journal.port import Began, Claimed, Limit, Ref
from orchestrator.plan.graph import Graph
from orchestrator.policy.outcomes import Kind, Verdict
from orchestrator.policy.retry import delay_ms
from orchestrator.wiring import load_profiles
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.clock import SeededEntropy
from tests.fakes.journal import take
from workers.timekeeper import Timekeeper

HOUR = 3_600_000
LIMIT = Limit(scope="p/account", per_second=25, burst=25)


def commands(world: World, work: Callable[[], object]) -> int:
    """That the server carried out, inside of scripts as well."""

    def calls() -> int:
        rows = world.client.info("commandstats")
        return sum(row["calls"] for name, row in rows.items() if name != "cmdstat_info")

    before = calls()
    work()
    return calls() - before


def waiting(world: World, number: int, until: int) -> None:
    """So many runs in the due-set, each a copy of one that waits."""
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=until)
    score = world.client.zscore(world.keys.due, "run-1")
    with world.client.pipeline(transaction=False) as pipeline:
        for copy in (f"copy-{n}" for n in range(number)):
            pipeline.copy(world.keys.run("run-1"), world.keys.run(copy))
            pipeline.zadd(world.keys.due, {copy: score})
        pipeline.execute()
    world.client.zrem(world.keys.due, "run-1")


def cost(world: World, number: int, limit: int, pass_ms: int) -> int:
    world.client.flushall()
    waiting(world, number, HOUR)
    world.advance(pass_ms)
    # Scripts are loaded, and the time that was seen last is noted.
    world.raw.tick("t", lease_ms=60_000, limit=0)

    def tick() -> None:
        assert len(world.raw.tick("t", lease_ms=60_000, limit=limit).due) == (
            limit if pass_ms else 0
        )

    return commands(world, tick)


@pytest.mark.parametrize("pass_ms", [0, 2 * HOUR])
def test_a_tick_beside_thousands_of_waiting_runs_is_as_many_commands_as_beside_ten(
    world: World, pass_ms: int
) -> None:
    if not world.real:
        pytest.skip("fakeredis counts no commands")
    assert cost(world, 5_000, 10, pass_ms) == cost(world, 10, 10, pass_ms)


def test_a_run_that_waits_is_not_looked_at_before_its_time(world: World) -> None:
    waiting(world, 20, HOUR)
    for _ in range(10):
        world.advance(HOUR // 11)
        assert world.raw.tick("t", lease_ms=60_000, limit=100).due == ()


# After an outage.

OUT = 2_000
#: Of one tick of the timekeeper after the other. ms.
TICK = 500


@pytest.mark.slow
@pytest.mark.parametrize("nobody_works_ms", [0, 300_000])
def test_when_a_provider_is_back_two_thousand_retries_stay_in_its_limit(
    world: World, nobody_works_ms: int
) -> None:
    """Also when all were given their turn, and no worker was there when it came."""
    if not world.real:
        pytest.skip("takes minutes on fakeredis")
    began, tick = _after_an_outage(world, nobody_works_ms)
    assert len(began) == OUT, "each is called, once"
    # Whatever second is looked at: the rate, and the burst that had come together before. What was
    # to be called between two ticks is called at the second: on a slow machine that is more.
    most = LIMIT.per_second * (1 + 2 * tick / 1_000) + LIMIT.burst
    for at in began[::25]:
        assert sum(at <= other < at + 1_000 for other in began) <= most
    span = (began[-1] - began[0]) / 1_000
    assert span >= (OUT - LIMIT.burst) / LIMIT.per_second * 0.95


def _after_an_outage(world: World, nobody_works_ms: int) -> tuple[list[int], int]:
    """When each call began, and the longest time between two ticks. ms.

    All of them were refused, and wait for their next attempt.
    """
    policy, chance = load_profiles()["stripe"].retry, SeededEntropy()
    graph = world.accept(plans.linear("a"))
    world.raw.heartbeat("w1", ttl_ms=100 * HOUR)
    refused = Verdict(kind=Kind.TRANSIENT, code="connect-failed")
    for number in range(OUT):
        run = f"out-{number}"
        world.raw.accept(plans.new_run(plans.linear("a"), run))
        lease = take(world.raw, graph, Ref(run, "a", 1))
        lease.begin()
        delay = delay_ms(policy, attempt=5, verdict=refused, jitter=chance.uniform())
        assert delay is not None
        lease.commit(Result.TRANSIENT, delay=delay)
    world.client.zrem(world.keys.due, "run-1")
    return _called(world, nobody_works_ms)


class Queue:
    """A lane that loses nothing."""

    def __init__(self) -> None:
        self.tasks: list[TaskId] = []

    def send(self, task: TaskId, _state: State, _graph: Graph) -> None:
        self.tasks.append(task)

    def announce(self, _run: str, _state: State) -> None:
        raise AssertionError("nothing ends here")

    def backlog(self, _lane: str, *, fresh: bool | None = None, bulk: bool = False) -> int:
        return len(self.tasks)


def _called(world: World, nobody_works_ms: int) -> tuple[list[int], int]:
    queue, cache = Queue(), Plans(world.raw)
    began: list[int] = []
    ticks = [world.raw.now()]
    timekeeper = Timekeeper(
        me="t", journal=world.raw, plans=cache, driver=Driver(world.raw, cache, queue), queues=queue
    )
    for number in range(400):
        if len(began) == OUT:
            break
        # By the sixth, all have been to the limiter once.
        world.advance(TICK + (nobody_works_ms if number == 6 else 0))
        ticks.append(world.raw.now())
        while timekeeper.tick():
            pass
        for task in queue.tasks:
            began += _call(world, Ref(task.run, task.step, task.visit))
        queue.tasks.clear()
    gaps = (later - at for at, later in pairwise(ticks))
    return sorted(began), max(gap for gap in gaps if gap < nobody_works_ms or not nobody_works_ms)


def _call(world: World, ref: Ref) -> list[int]:
    claim = world.raw.claim(ref, "w1")
    assert (claim.verdict, claim.state is None) == (Claimed.YES, False)
    assert claim.state is not None
    fence = claim.state.visits["a"].fence
    begun = world.raw.begin(ref, fence, deadline_ms=HOUR, frozen=None, limits=[LIMIT])
    if begun.verdict is not Began.YES:
        return []
    world.client.zrem(world.keys.due, ref.run)
    return [begun.at]


def test_retries_of_one_moment_are_spread_over_their_whole_back_off() -> None:
    policy, chance = load_profiles()["stripe"].retry, SeededEntropy(7)
    refused = Verdict(kind=Kind.TRANSIENT, code="connect-failed")
    delays = [
        delay_ms(policy, attempt=5, verdict=refused, jitter=chance.uniform()) or 0
        for _ in range(OUT)
    ]
    ceiling = policy.base_ms * policy.factor**4
    tenths = [
        sum(n * ceiling / 10 <= d < (n + 1) * ceiling / 10 for d in delays) for n in range(10)
    ]
    assert min(tenths) > OUT / 10 * 0.7
    assert max(tenths) < OUT / 10 * 1.3

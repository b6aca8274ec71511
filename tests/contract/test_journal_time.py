"""The timekeeper's side: ticks, sends, postponements, heartbeats; and what things cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.engine.state import Phase, Result
from orchestrator.journal.port import Ref
from orchestrator.journal.redis import TICK_HOLD
from tests.contract.conftest import World
from tests.fakes import plans

A1 = Ref("run-1", "a", 1)


def tick_runs(world: World, limit: int = 100, leader: str = "t1") -> list[str]:
    return [due.run for due in world.journal.tick(leader, lease_ms=3_000, limit=limit).due]


def test_only_one_leads(world: World) -> None:
    assert world.journal.tick("t1", lease_ms=60_000, limit=1).leader
    assert not world.journal.tick("t2", lease_ms=60_000, limit=1).leader
    assert world.journal.tick("t1", lease_ms=60_000, limit=1).leader


def test_who_does_not_lead_takes_nothing(world: World) -> None:
    world.accept(plans.linear("a"))
    world.advance(10_000)
    world.journal.tick("t1", lease_ms=60_000, limit=0)
    assert tick_runs(world, leader="t2") == []
    assert (world.due() or 0) < 0, "it is still the leader's to take"


def test_another_leads_when_the_leaders_lease_is_over(world: World) -> None:
    assert world.journal.tick("t1", lease_ms=60_000, limit=1).leader
    world.client.delete(world.keys.leader)
    assert world.journal.tick("t2", lease_ms=60_000, limit=1).leader
    assert not world.journal.tick("t1", lease_ms=60_000, limit=1).leader


def test_a_leaders_lease_has_an_end(world: World) -> None:
    world.journal.tick("t1", lease_ms=60_000, limit=1)
    assert 0 < world.client.pttl(world.keys.leader) <= 60_000


def test_a_tick_takes_what_is_due_and_holds_it(world: World) -> None:
    for number in range(5):
        world.accept(plans.linear("a"), f"r{number}")
        world.advance(10)
    assert tick_runs(world) == []
    world.advance(4_000)
    assert tick_runs(world, limit=3) == ["r0", "r1", "r2"], "oldest first"
    assert tick_runs(world, limit=3) == ["r3", "r4"], "what was taken is held"
    assert tick_runs(world) == []
    world.advance(TICK_HOLD)
    assert sorted(tick_runs(world)) == [f"r{n}" for n in range(5)], "a dead timekeeper delays"


def test_a_tick_brings_states_and_who_is_alive(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a")
    world.advance(5_000)
    tick = world.journal.tick("t1", lease_ms=3_000, limit=10)
    assert tick.alive == {"w1"}
    assert [due.state for due in tick.due] == [world.journal.read("run-1")]
    assert abs(tick.now - world.journal.now()) < 1_000


def test_a_run_that_is_gone_leaves_the_due_set(world: World) -> None:
    world.accept(plans.linear("a"))
    world.client.delete(world.keys.run("run-1"))
    world.advance(10_000)
    assert tick_runs(world) == []
    assert world.due() is None


def test_two_timekeepers_never_send_one_message_twice(world: World) -> None:
    world.accept(plans.linear("a"))
    state = world.journal.read("run-1")
    assert state is not None
    seen = state.visits["a"]

    def send(_: int) -> int | None:
        return world.raw.mark_sent(A1, seen, patience_ms=8_000)

    with ThreadPoolExecutor(6) as pool:
        sends = list(pool.map(send, range(6)))
    assert [send for send in sends if send is not None] == [2]


def test_a_message_sent_again_has_a_number_of_its_own(world: World) -> None:
    world.accept(plans.linear("a"))
    for expected in (2, 3, 4):
        state = world.journal.read("run-1")
        assert state is not None
        world.advance(1_000)
        assert world.journal.mark_sent(A1, state.visits["a"], patience_ms=8_000) == expected
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].sends == 4
    assert abs(state.visits["a"].since - world.journal.now()) < 1_000


def test_a_visit_that_has_moved_on_is_not_sent(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    state = world.journal.read("run-1")
    assert state is not None
    seen = state.visits["a"]
    lease = world.take(graph, "a")
    assert world.journal.mark_sent(A1, seen, patience_ms=8_000) is None
    lease.begin()
    lease.commit()
    assert world.journal.mark_sent(A1, seen, patience_ms=8_000) is None
    assert world.journal.mark_sent(Ref("run-1", "z", 1), seen, patience_ms=1) is None
    assert world.journal.mark_sent(Ref("nobody", "a", 1), seen, patience_ms=1) is None


def test_a_wait_that_is_sent_is_ready(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=100)
    state = world.journal.read("run-1")
    assert state is not None
    assert world.journal.mark_sent(A1, state.visits["a"], patience_ms=8_000) == 2
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.READY


def test_a_dead_lease_that_is_sent_stays_a_lease(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    state = world.journal.read("run-1")
    assert state is not None
    world.journal.mark_sent(A1, state.visits["a"], patience_ms=8_000)
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.CALLING, "the call is still in doubt"


def test_a_send_of_one_branch_does_not_put_off_anothers_timer(world: World) -> None:
    flow = plans.plan(plans.step("a"), plans.step("b"), starts=("a", "b"))
    graph = world.accept(flow)
    lease = world.take(graph, "b")
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=2_000)
    state = world.journal.read("run-1")
    assert state is not None
    world.journal.mark_sent(A1, state.visits["a"], patience_ms=300_000)
    due = world.due()
    assert due is not None
    assert due <= TICK_HOLD, "b's retry is due in 2 s"


def test_a_postponement_holds_only_while_nothing_happened(world: World) -> None:
    world.accept(plans.linear("a"))
    state = world.journal.read("run-1")
    assert state is not None
    later = world.journal.now() + 60_000
    world.journal.postpone({"run-1": (state.seq, later)})
    assert (world.due() or 0) > 50_000
    world.journal.control("run-1", "pause", by="ops", reason="")
    world.journal.postpone({"run-1": (state.seq, later)})
    assert (world.due() or 0) <= 0


def test_a_postponement_does_not_bring_a_finished_run_back(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    state = world.journal.read("run-1")
    assert state is not None
    lease.commit()
    ended = world.journal.read("run-1")
    assert ended is not None
    world.journal.settle("run-1")
    for seq in (state.seq, ended.seq):
        world.journal.postpone({"run-1": (seq, world.journal.now() + 1)})
    assert world.due() is None
    world.journal.postpone({"nobody": (1, 1), "run-2": (0, 1)})
    assert world.due("nobody") is None


def test_a_heartbeat_lives_as_long_as_it_says(world: World) -> None:
    world.journal.heartbeat("w1", ttl_ms=6_000)
    world.journal.heartbeat("w2", ttl_ms=60_000)
    assert world.journal.alive() == {"w1", "w2"}
    world.advance(7_000)
    assert world.journal.alive() == {"w2"}
    world.journal.heartbeat("w1", ttl_ms=6_000)
    assert world.journal.alive() == {"w1", "w2"}
    world.journal.retire("w2")
    assert world.journal.alive() == {"w1"}


def test_workers_long_gone_are_forgotten(world: World) -> None:
    world.journal.heartbeat("w1", ttl_ms=1)
    world.advance(90_000_000)
    world.journal.tick("t1", lease_ms=1_000, limit=1)
    assert world.client.zcard(world.keys.workers) == 0


def test_the_clock_is_redis_own_with_the_tests_offset(world: World) -> None:
    seconds, micros = world.client.time()
    assert abs(world.journal.now() - (seconds * 1000 + micros // 1000)) < 2_000
    before = world.journal.now()
    world.advance(1_000_000)
    assert 1_000_000 <= world.journal.now() - before < 1_002_000


def commands(world: World) -> int:
    stats = world.client.info("commandstats")
    return sum(row["calls"] for name, row in stats.items() if name != "cmdstat_info")


@pytest.mark.parametrize("waiting", [10, 300])
def test_a_tick_costs_what_it_takes_however_many_runs_there_are(world: World, waiting: int) -> None:
    if not world.real:
        pytest.skip("fakeredis counts no commands")
    for number in range(waiting):
        world.raw.accept(plans.new_run(plans.linear("a"), f"r{number:04}"))
    world.advance(10_000)
    world.journal.tick("t1", lease_ms=60_000, limit=0)
    before = commands(world)
    tick = world.journal.tick("t1", lease_ms=60_000, limit=5)
    assert len(tick.due) == 5
    # Seven for the tick itself, four for each run that it takes, and the script's own call.
    assert commands(world) - before <= 9 + 4 * 5


def test_a_claim_costs_the_same_at_the_hundredth_step(world: World) -> None:
    if not world.real:
        pytest.skip("fakeredis counts no commands")
    names = [f"s{n}" for n in range(60)]
    graph = world.accept(plans.linear(*names))
    costs = []
    for name in names:
        world.raw.heartbeat("w1", ttl_ms=60_000)
        before = commands(world)
        claim = world.raw.claim(Ref("run-1", name, 1), "w1")
        costs.append(commands(world) - before)
        assert claim.verdict == "claimed"
        assert claim.state is not None
        lease = world.take_known(graph, claim.state, name)
        lease.begin()
        lease.commit(outputs={"x": "y" * 100})
    assert len(set(costs[1:-1])) == 1

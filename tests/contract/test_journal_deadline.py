"""A run's deadline on Redis' clock: kept at accept, and nothing is begun after it."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import DEADLINE_PASSED
from orchestrator.engine.recovery import RESEND_AFTER
from orchestrator.engine.state import Phase, Result, State, Status
from orchestrator.journal.port import Began, Claimed, Committed, Limit, Ref
from orchestrator.plan import codec
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import carry_on

A1 = Ref("run-1", "a", 1)
HOUR = 3_600_000
#: 100 s a call: however slow the test runs, its own time counts for nothing.
SLOW = Limit(scope="p/account", per_second=0.01, burst=1)


def accept(world: World, flow: Plan, *, deadline: int = 0, within: int = 0) -> Graph:
    new = plans.new_run(flow, deadline=deadline, within=within)
    assert world.journal.accept(new).new
    return Graph(flow, codec.digest(new.plan))


def read(world: World) -> State:
    state = world.journal.read("run-1")
    assert state is not None
    return state


def test_a_run_without_a_deadline_has_none(world: World) -> None:
    accept(world, plans.linear("a"))
    assert read(world).deadline == 0
    assert not world.client.hexists(world.keys.run("run-1"), "deadline")


def test_a_span_is_counted_from_the_acceptance(world: World) -> None:
    accept(world, plans.linear("a"), within=HOUR)
    state = read(world)
    assert state.deadline == state.accepted + HOUR


@pytest.mark.parametrize(("ahead", "counts"), [(HOUR, "time"), (3 * HOUR, "span")])
def test_of_a_time_and_a_span_the_earlier_counts(world: World, ahead: int, counts: str) -> None:
    at = world.journal.now() + ahead
    accept(world, plans.linear("a"), deadline=at, within=2 * HOUR)
    state = read(world)
    assert state.deadline == (at if counts == "time" else state.accepted + 2 * HOUR)


def test_an_accept_that_redis_got_twice_leaves_the_first_deadline(world: World) -> None:
    new = plans.new_run(plans.linear("a"), within=HOUR)
    world.journal.accept(new)
    before = read(world)
    world.advance(1_000)
    world.journal.accept(new)
    assert read(world) == before


def test_a_run_is_due_when_its_deadline_passes_however_soon(world: World) -> None:
    accept(world, plans.linear("a"), within=HOUR)
    assert 0 < (world.due() or 0) <= RESEND_AFTER
    world.client.flushall()
    accept(world, plans.linear("a"), within=RESEND_AFTER // 4)
    assert (world.due() or 0) <= RESEND_AFTER // 4


def test_a_claim_does_not_hide_a_deadline_that_comes_before_its_check(world: World) -> None:
    graph = accept(world, plans.linear("a"), within=HOUR)
    world.advance(HOUR - 1_000)
    world.take(graph, "a")
    assert (world.due() or 0) <= 1_000


def test_a_message_that_is_sent_again_does_not_hide_it_either(world: World) -> None:
    accept(world, plans.linear("a"), within=HOUR)
    world.advance(HOUR - 1_000)
    visit = read(world).visits["a"]
    assert world.journal.mark_sent(A1, visit, patience_ms=300_000)
    assert (world.due() or 0) <= 1_000


@pytest.mark.parametrize("phase", ["ready", "waiting", "paused"])
def test_nobody_can_claim_what_would_begin_late(world: World, phase: str) -> None:
    graph = accept(world, plans.linear("a"), within=HOUR)
    if phase == "waiting":
        lease = world.take(graph, "a")
        lease.begin()
        lease.commit(Result.TRANSIENT, delay=5 * HOUR)
    if phase == "paused":
        world.journal.control("run-1", "pause", by="ops", reason="")
    world.advance(HOUR)
    before = read(world)
    assert world.journal.claim(A1, "w2").verdict is Claimed.LATE
    assert read(world) == before
    state = carry_on(world.journal, graph, "run-1")
    assert (state.status, state.code, state.failed_step) == (Status.FAILED, DEADLINE_PASSED, "a")
    assert world.journal.claim(A1, "w2").verdict is Claimed.FINISHED


def test_a_lease_from_before_the_deadline_begins_nothing_after_it(world: World) -> None:
    graph = accept(world, plans.linear("a"), within=HOUR)
    world.advance(HOUR - 5_000)
    lease = world.take(graph, "a")
    world.advance(5_000)
    assert lease.begin(limits=[SLOW]).verdict is Began.HALTED
    assert not world.client.exists(world.keys.limit(SLOW.scope)), "it costs no token"
    assert lease.commit(Result.WITHDRAWN) is Committed.YES
    assert read(world).code == DEADLINE_PASSED


def test_a_call_begun_before_the_deadline_lands_after_it(world: World) -> None:
    graph = accept(world, plans.linear("a", "b"), within=HOUR)
    world.advance(HOUR - 5_000)
    lease = world.take(graph, "a")
    assert lease.begin().verdict is Began.YES
    world.advance(5_000)
    assert lease.commit(outputs={"id": "x"}) is Committed.YES
    state = read(world)
    assert (state.status, state.failed_step) == (Status.FAILED, "b")
    assert state.visits["a"].phase is Phase.SUCCEEDED
    assert "b" not in state.visits


def test_the_call_of_a_dead_worker_is_taken_over_after_the_deadline(world: World) -> None:
    """What it came to must land; and it is looked up, for it may have been executed."""
    graph = accept(world, plans.linear("a"), within=HOUR)
    world.take(graph, "a").begin()
    world.journal.retire("w1")
    world.advance(HOUR)
    lease = world.take(graph, "a", worker="w2")
    assert lease.visit.doubt
    assert lease.begin(None).verdict is Began.HALTED
    assert lease.look().verdict is Began.YES


def test_what_is_in_doubt_can_be_looked_up_after_the_deadline(world: World) -> None:
    graph = accept(world, plans.linear("a"), within=HOUR)
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.UNKNOWN, look=2 * HOUR)
    world.advance(2 * HOUR)
    again = world.take(graph, "a", worker="w2")
    assert again.look().verdict is Began.YES
    again.commit()
    assert read(world).status is Status.SUCCEEDED


@pytest.mark.parametrize("late", [True, False])
def test_a_retry_takes_a_deadline_away_only_when_it_has_passed(world: World, late: bool) -> None:
    graph = accept(world, plans.linear("a"), within=HOUR)
    lease = world.take(graph, "a")
    lease.begin()
    world.advance(HOUR if late else 0)
    lease.commit(Result.FINAL, code="card_declined")
    deadline = read(world).deadline
    assert world.journal.reopen("run-1", "a", 1, by="ops", reason="") == 2
    assert read(world).deadline == (0 if late else deadline)
    assert world.take(graph, "a", visit=2).begin().verdict is Began.YES

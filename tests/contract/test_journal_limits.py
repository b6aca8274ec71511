"""Limits: a turn at hand is waited for, refusals slow a scope down, and bulk goes behind urgent."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine.events import fold
from orchestrator.engine.state import Outcome, Phase, Result, Visit
from orchestrator.journal.port import Began, Begun, Limit, Ref
from orchestrator.plan import codec
from orchestrator.plan.graph import Graph
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import Lease, take

#: A call in 100 s: however slow the test runs, its own time counts for nothing.
SLOW = Limit(scope="p/account", per_second=0.01, burst=1)
SPACING = 100_000
WIDE = Limit(scope="p/account", per_second=100, burst=100)
FLOW = plans.linear("a")


def leased(world: World, run: str, *, batch: str = "") -> Lease:
    new = plans.new_run(FLOW, run)
    if world.raw.accept(new).new and batch:
        world.client.hset(world.keys.run(run), "batch", batch)
    world.raw.heartbeat("w1", ttl_ms=600_000_000)
    return take(world.raw, Graph(FLOW, codec.digest(new.plan)), Ref(run, "a", 1))


def begin(world: World, run: str, limit: Limit = SLOW, *, batch: str = "") -> Begun:
    return leased(world, run, batch=batch).begin(limits=[limit])


def to(world: World, time: int) -> None:
    world.advance(time - world.raw.now())


def visit(world: World, run: str) -> Visit:
    state = world.raw.read(run)
    assert state is not None
    folded = fold(world.raw.history(run)).visits["a"]
    assert folded == state.visits["a"], "the events are the state"
    return folded


def field(world: World, name: str, limit: Limit = SLOW) -> float:
    return float(world.client.hget(world.keys.limit(limit.scope), name) or 0)


# A turn at hand.


def test_a_turn_is_sent_for_ahead_of_its_time_and_waited_for_by_who_has_it(world: World) -> None:
    begin(world, "first")
    waits = begin(world, "second").until
    turn = visit(world, "second").turn
    assert 0 < turn - waits <= 250
    to(world, waits)
    lease = leased(world, "second")
    begun = lease.begin(limits=[SLOW], deadline_ms=10_000)
    assert (begun.verdict, begun.at) == (Began.YES, max(turn, begun.now))
    assert begun.until == begun.at + 10_000, "the wait is not taken from its lease"
    assert visit(world, "second") == lease.visit
    assert lease.visit.turn == 0


def test_a_turn_that_was_missed_is_used_where_nobody_else_has_it(world: World) -> None:
    begin(world, "first")
    waits = begin(world, "second").until
    to(world, waits + 5 * SPACING)
    begun = begin(world, "second")
    assert (begun.verdict, begun.at) == (Began.YES, begun.now)


def test_turns_that_were_missed_do_not_go_in_a_bunch(world: World) -> None:
    begin(world, "first")
    last = max(begin(world, f"late-{number}").until for number in range(5))
    to(world, last + SPACING)
    found = [begin(world, f"late-{number}").verdict for number in range(5)]
    assert found == [Began.YES, *4 * [Began.LIMITED]]


def test_a_look_up_goes_through_the_same_gate(world: World) -> None:
    parked = leased(world, "parked")
    parked.begin(limits=[SLOW])
    assert parked.commit(Result.UNKNOWN, look=0) == "committed"
    assert leased(world, "parked").look([SLOW]).verdict is Began.LIMITED
    to(world, visit(world, "parked").until)
    lease = leased(world, "parked")
    looked = lease.look([SLOW], deadline_ms=10_000)
    assert (looked.verdict, looked.until) == (Began.YES, looked.at + 10_000)
    assert visit(world, "parked") == lease.visit


# Refusals.


def refused(world: World, run: str, limit: Limit, pause: int = 0) -> None:
    lease = leased(world, run)
    assert lease.begin(limits=[limit]).verdict is Began.YES
    outcome = Outcome(result=Result.TRANSIENT, code="http-429", status=429, delay=0)
    settlement, decision = lease.settlement(outcome, pause=(limit.scope, pause))
    settlement = replace(settlement, refused=True)
    world.raw.commit(lease.ref, lease.fence, settlement, decision)


def test_a_refusal_slows_its_scope_down_and_within_a_minute_it_is_as_fast_as_before(
    world: World,
) -> None:
    begin(world, "first", replace(SLOW, burst=2))
    refused(world, "second", replace(SLOW, burst=2))
    factor = field(world, "factor")
    assert 0.6 < factor < 1
    waits = begin(world, "third", replace(SLOW, burst=2))
    assert waits.verdict is Began.LIMITED
    to(world, waits.until + 60_000)
    assert begin(world, "third", replace(SLOW, burst=2)).verdict is Began.YES
    # The gate is as far ahead as one call at the full rate.
    assert field(world, "gate") / 1_000 - world.raw.now() <= 2 * SPACING


def test_what_is_refused_within_a_second_counts_once_and_then_for_what_it_is(
    world: World,
) -> None:
    refused(world, "first", WIDE)
    factor = field(world, "factor", WIDE)
    for number in range(5):
        refused(world, f"at-once-{number}", WIDE)
    if world.raw.now() - field(world, "cut", WIDE) < 1_000:
        assert field(world, "factor", WIDE) == factor
    for number in range(20):
        world.advance(1_000)
        refused(world, f"later-{number}", WIDE)
    assert 0.05 <= field(world, "factor", WIDE) < factor


def test_one_refusal_among_many_calls_costs_little(world: World) -> None:
    begin(world, "first", WIDE)
    world.client.hset(world.keys.limit(WIDE.scope), "sent", 1_000)
    refused(world, "second", WIDE)
    assert field(world, "factor", WIDE) >= 0.97


def test_a_retry_after_pauses_the_scope_and_shortens_no_longer_pause(world: World) -> None:
    first, second = leased(world, "first"), leased(world, "second")
    first.begin(limits=[WIDE])
    second.begin(limits=[WIDE])
    first.commit(Result.OPERATOR, delay=30_000, pause=(WIDE.scope, 30_000))
    until = field(world, "until", WIDE)
    second.commit(Result.TRANSIENT, delay=0, pause=(WIDE.scope, 1_000))
    assert field(world, "until", WIDE) == until
    assert begin(world, "third", WIDE).until == until


# Urgent and bulk.


def test_an_urgent_call_goes_before_a_line_of_bulk_calls(world: World) -> None:
    begin(world, "first", batch="b")
    line = [begin(world, f"bulk-{number}", batch="b").until for number in range(5)]
    urgent = begin(world, "urgent")
    assert urgent.verdict is Began.LIMITED
    assert urgent.until <= line[0] + 250, "the next turn of all"
    to(world, line[0])
    assert begin(world, "bulk-0").verdict is Began.LIMITED, "it is the urgent call's now"
    to(world, max(urgent.until, world.raw.now()))
    assert begin(world, "urgent").verdict is Began.YES
    assert visit(world, "bulk-0").turn > visit(world, "bulk-4").turn, "at the line's end"


def test_bulk_that_is_put_back_for_the_tenth_time_stands_among_the_urgent(world: World) -> None:
    begin(world, "first")
    waits, urgent = begin(world, "bulk", batch="b"), 0
    for number in range(10):
        assert visit(world, "bulk").preferred == 0
        begin(world, f"urgent-{number}")
        urgent = visit(world, f"urgent-{number}").turn
        to(world, waits.until)
        # Those before it never come: they keep their place all the same.
        waits = begin(world, "bulk")
        assert waits.verdict is Began.LIMITED
    assert visit(world, "bulk").preferred == 1
    assert visit(world, "bulk").turn > urgent
    assert begin(world, "after").until > waits.until, "nobody overtakes it any more"
    to(world, waits.until)
    assert begin(world, "bulk").verdict is Began.YES
    assert visit(world, "bulk").preferred == 0


# Calls under way at once.

FEW = replace(WIDE, concurrency=2)


def test_no_more_calls_are_under_way_than_a_scope_allows(world: World) -> None:
    first = leased(world, "first")
    assert first.begin(limits=[FEW]).verdict is Began.YES
    assert begin(world, "second", FEW).verdict is Began.YES
    third = begin(world, "third", FEW)
    assert third.verdict is Began.LIMITED
    assert visit(world, "third").phase is Phase.WAITING
    settlement, decision = first.settlement(Outcome(result=Result.SUCCEEDED))
    settlement = replace(settlement, freed=(FEW.scope,))
    world.raw.commit(first.ref, first.fence, settlement, decision)
    to(world, max(third.until, world.raw.now()))
    assert begin(world, "third", FEW).verdict is Began.YES


def test_a_call_whose_worker_died_counts_no_longer_than_its_lease(world: World) -> None:
    ends = max(begin(world, f"dies-{number}", FEW).until for number in range(2))
    assert begin(world, "third", FEW).verdict is Began.LIMITED
    to(world, ends + 1)
    assert begin(world, "third", FEW).verdict is Began.YES


def test_a_scope_without_a_concurrency_counts_nothing(world: World) -> None:
    begin(world, "first", WIDE)
    assert not world.client.exists(world.keys.busy(WIDE.scope))

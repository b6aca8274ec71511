"""begin: token taken, request frozen, attempt counted, in one script; then one call."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import LOST, Phase, Result
from orchestrator.journal.port import Began, Claimed, Committed, Limit, Ref
from orchestrator.journal.redis import HOLD
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import Lease, take

A1 = Ref("run-1", "a", 1)
#: 100 s a call: however slow the test runs, its own time counts for nothing.
SLOW = Limit(scope="p/account", per_second=0.01, burst=1)


def leased(world: World, run: str = "run-1") -> Lease:
    graph = world.accept(plans.linear("a"), run)
    world.journal.heartbeat("w1", ttl_ms=600_000_000)
    return take(world.journal, graph, Ref(run, "a", 1))


def test_a_begun_attempt_is_counted_and_has_the_calls_lease(world: World) -> None:
    lease = leased(world)
    begun = lease.begin(deadline_ms=85_000)
    assert (begun.verdict, begun.attempt) == (Began.YES, 1)
    assert begun.first == begun.now
    assert begun.until == begun.now + 85_000
    state = world.journal.read("run-1")
    assert state is not None
    visit = state.visits["a"]
    assert (visit.phase, visit.attempts, visit.until) == (Phase.CALLING, 1, begun.until)
    assert visit == lease.visit, "what the holder knows is what the journal has"


def test_a_second_begin_of_one_lease_is_lost_so_that_one_call_is_made(world: World) -> None:
    lease = leased(world)
    lease.begin()
    assert lease.begin().verdict is Began.LOST


def test_a_lease_that_another_has_taken_begins_nothing(world: World) -> None:
    lease = leased(world)
    world.journal.retire("w1")
    assert world.journal.claim(A1, "w2").verdict is Claimed.YES
    before = world.journal.read("run-1")
    assert lease.begin().verdict is Began.LOST
    assert world.journal.read("run-1") == before


def test_a_lease_that_has_run_out_begins_nothing_though_nobody_took_it(world: World) -> None:
    """Who stood still for a day asked a day ago whether the key is young enough."""
    lease = leased(world)
    world.advance(HOLD)
    assert lease.begin().verdict is Began.LOST
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].attempts == 0
    assert world.journal.claim(A1, "w2").verdict is Claimed.YES


def test_a_lease_of_an_earlier_visit_begins_nothing(world: World) -> None:
    flow = plans.plan(plans.step("a", (), [plans.one_of(plans.again(1, 0))]))
    graph = world.accept(flow)
    old = world.take(graph, "a")
    old.begin()
    old.commit(Result.FINAL)
    world.take(graph, "a", 2)
    assert old.begin().verdict is Began.LOST


@pytest.mark.parametrize("kind", ["cancel", "pause"])
def test_a_run_that_was_halted_meanwhile_begins_nothing_and_gives_the_visit_back(
    world: World, kind: str
) -> None:
    lease = leased(world)
    world.journal.control("run-1", kind, by="ops", reason="")
    assert lease.begin(limits=[SLOW]).verdict is Began.HALTED
    assert lease.commit(Result.WITHDRAWN) is Committed.NEWS, "the control is news to the worker"
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.SETTLED
    assert state.visits["a"].attempts == 0


def test_a_halted_run_costs_no_token(world: World) -> None:
    lease = leased(world)
    world.journal.control("run-1", "pause", by="ops", reason="")
    lease.begin(limits=[SLOW])
    assert not world.client.exists(world.keys.limit(SLOW.scope))


def test_the_request_is_frozen_at_the_first_attempt_and_never_again(world: World) -> None:
    lease = leased(world)
    lease.begin(b"first bytes")
    lease.commit(Result.TRANSIENT, delay=0)
    claim = world.journal.claim(A1, "w1")
    assert claim.frozen == b"first bytes"
    assert claim.state is not None
    lease.state = claim.state
    begun = lease.begin(None)
    assert (begun.verdict, begun.attempt) == (Began.YES, 2)
    world.journal.retire("w1")
    assert world.journal.claim(A1, "w2").frozen == b"first bytes"


def test_the_first_call_of_a_visit_is_remembered_over_its_attempts(world: World) -> None:
    lease = leased(world)
    first = lease.begin().first
    lease.commit(Result.UNKNOWN, delay=50_000)
    world.advance(50_000)
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    begun = lease.begin(None)
    assert begun.first == first
    assert begun.now >= first + 50_000


# The limiter: GCRA on Redis' clock, shared by all.


def began(world: World, number: int, limits: list[Limit]) -> tuple[Began, int]:
    begun = leased(world, f"run-{number}").begin(limits=limits)
    return begun.verdict, begun.until - begun.now


def test_the_first_call_of_all_goes_at_once_also_with_a_burst_of_one(world: World) -> None:
    for number in range(5):
        limit = Limit(scope=f"p/{number}", per_second=0.01, burst=1)
        assert began(world, number, [limit])[0] is Began.YES


def test_a_burst_goes_at_once_and_the_rest_at_the_rate(world: World) -> None:
    limit = Limit(scope="p/account", per_second=0.01, burst=3)
    found = [began(world, number, [limit]) for number in range(7)]
    assert [verdict for verdict, _ in found] == [Began.YES] * 3 + [Began.LIMITED] * 4
    waits = [wait for verdict, wait in found if verdict is Began.LIMITED]
    # Each has a turn of its own, 100 s after the last; scripts take their own few ms.
    assert waits == sorted(waits)
    for place, wait in enumerate(waits, 1):
        assert 100_000 * place - 90_000 < wait <= 100_000 * place


def test_the_rate_holds_over_time(world: World) -> None:
    limit = Limit(scope="p/account", per_second=0.01, burst=2)
    started = 0
    for number in range(20):
        world.advance(50_000)
        started += began(world, number, [limit])[0] is Began.YES
    # Ten intervals, and the burst; what was reserved counts as well.
    assert 2 <= started <= 12


def test_a_call_that_must_wait_has_its_turn_and_sends_nothing(world: World) -> None:
    leased(world, "run-0").begin(limits=[SLOW])
    lease = leased(world)
    begun = lease.begin(limits=[SLOW])
    assert begun.verdict is Began.LIMITED
    assert 0 < begun.until - begun.now <= 100_000
    state = world.journal.read("run-1")
    assert state is not None
    visit = state.visits["a"]
    assert (visit.phase, visit.attempts, visit.until) == (Phase.WAITING, 0, begun.until)
    assert (world.due() or 0) <= 100_000
    assert world.journal.claim(A1, "w1").verdict is Claimed.WAITING


def test_a_reserved_turn_is_not_paid_for_twice(world: World) -> None:
    for number in range(3):
        leased(world, f"other-{number}").begin(limits=[SLOW])
    lease = leased(world)
    begun = lease.begin(limits=[SLOW])
    assert begun.verdict is Began.LIMITED
    world.advance(begun.until - world.journal.now())
    line = world.client.hget(world.keys.limit(SLOW.scope), "urgent")
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(limits=[SLOW]).verdict is Began.YES
    assert world.client.hget(world.keys.limit(SLOW.scope), "urgent") == line


def test_a_turn_is_good_for_one_attempt(world: World) -> None:
    leased(world, "run-0").begin(limits=[SLOW])
    lease = leased(world)
    world.advance(lease.begin(limits=[SLOW]).until - world.journal.now())
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(limits=[SLOW]).verdict is Began.YES
    lease.commit(Result.TRANSIENT, delay=0)
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(None, limits=[SLOW]).verdict is Began.LIMITED


def test_of_several_limits_all_are_paid_or_none(world: World) -> None:
    wide = Limit(scope="p/account", per_second=100, burst=100)
    narrow = Limit(scope="p/create", per_second=0.01, burst=1)
    assert began(world, 1, [wide, narrow])[0] is Began.YES
    world.journal.heartbeat("w1", ttl_ms=60_000)
    verdict, wait = began(world, 2, [wide, narrow])
    assert verdict is Began.LIMITED
    assert 0 < wait <= 100_000
    # A pause of one scope is the other's as well: nothing is taken.
    before = world.client.hget(world.keys.limit(wide.scope), "urgent")
    world.client.hset(world.keys.limit(narrow.scope), "until", world.journal.now() + 60_000)
    assert began(world, 3, [wide, narrow])[0] is Began.LIMITED
    assert world.client.hget(world.keys.limit(wide.scope), "urgent") == before


def test_scopes_are_apart(world: World) -> None:
    assert began(world, 1, [SLOW])[0] is Began.YES
    other = Limit(scope="p/other", per_second=0.01, burst=1)
    assert began(world, 2, [other])[0] is Began.YES


def test_a_paused_provider_is_called_by_nobody_until_its_pause_is_over(world: World) -> None:
    wide = Limit(scope="p/account", per_second=100, burst=100)
    first = leased(world, "run-0")
    first.begin(limits=[wide])
    first.commit(Result.OPERATOR, delay=30_000, pause=(wide.scope, 30_000))
    lease = leased(world)
    begun = lease.begin(limits=[wide])
    assert begun.verdict is Began.LIMITED
    assert 29_000 < begun.until - begun.now <= 30_000
    world.advance(30_000)
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(limits=[wide]).verdict is Began.YES


def test_a_pause_does_not_lose_a_turn_that_was_reserved(world: World) -> None:
    leased(world, "run-0").begin(limits=[SLOW])
    lease = leased(world)
    turn = lease.begin(limits=[SLOW]).until
    world.advance(turn - world.journal.now())
    until = world.journal.now() + 5_000
    world.client.hset(world.keys.limit(SLOW.scope), "until", until)
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(limits=[SLOW]).until == until
    world.advance(5_000)
    line = world.client.hget(world.keys.limit(SLOW.scope), "urgent")
    claim = world.journal.claim(A1, "w1")
    assert claim.state is not None
    lease.state = claim.state
    assert lease.begin(limits=[SLOW]).verdict is Began.YES
    assert world.client.hget(world.keys.limit(SLOW.scope), "urgent") == line


def test_a_limited_visit_that_was_in_doubt_stays_in_doubt(world: World) -> None:
    leased(world, "run-0").begin(limits=[SLOW])
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a").begin()
    world.journal.retire("w1")
    lease = world.take(graph, "a", worker="w2")
    assert lease.begin(None, limits=[SLOW]).verdict is Began.LIMITED
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].doubt == LOST


def test_a_rate_that_was_set_by_mistake_does_not_outlive_its_correction(world: World) -> None:
    lease, other = leased(world), leased(world, "run-2")
    never = Limit(scope="p/account", per_second=1e-9, burst=1)
    assert lease.begin(limits=[never]).verdict is Began.YES
    assert (
        other.begin(limits=[Limit(scope="p/account", per_second=10, burst=1)]).verdict is Began.YES
    )

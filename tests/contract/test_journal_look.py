"""Looking up what is in doubt: parked until then, claimed by one, and adopted by one intent."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Phase, Result, Status
from orchestrator.journal.port import Began, Claimed, Committed, Limit, Ref
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import Lease, carry_on, take

A1 = Ref("run-1", "a", 1)
SLOW = Limit(scope="p/account", per_second=0.01, burst=1)
EFFECT = "twilio:SM1"


def parked(world: World, run: str = "run-1", *, look: int = 60_000) -> Lease:
    """A run whose only step may have been executed, to be looked up."""
    graph = world.accept(plans.linear("a"), run)
    world.journal.heartbeat("w1", ttl_ms=600_000_000)
    lease = take(world.journal, graph, Ref(run, "a", 1))
    lease.begin()
    assert lease.commit(Result.UNKNOWN, code="timeout", look=look) is Committed.YES
    return lease


def looking(world: World, lease: Lease) -> Lease:
    world.advance(60_000)
    return take(world.journal, lease.graph, lease.ref)


def test_what_is_parked_is_due_when_it_is_to_be_looked_up_and_not_claimed_before(
    world: World,
) -> None:
    parked(world)
    assert world.journal.claim(A1, "w1").verdict is Claimed.UNKNOWN
    due = world.due()
    assert due is not None
    assert 55_000 < due <= 60_000
    world.advance(60_000)
    claim = world.journal.claim(A1, "w1")
    assert claim.verdict is Claimed.YES
    assert claim.frozen == b"request"
    assert world.journal.claim(A1, "w2").verdict is Claimed.BUSY


def test_what_nothing_can_look_up_is_never_claimed_again(world: World) -> None:
    parked(world, look=-1)
    world.advance(365 * 86_400_000)
    assert world.journal.claim(A1, "w1").verdict is Claimed.UNKNOWN


def test_a_look_up_is_no_attempt_and_has_the_calls_lease(world: World) -> None:
    lease = looking(world, parked(world))
    begun = lease.look(deadline_ms=35_000)
    assert begun.verdict is Began.YES
    assert begun.until == begun.now + 35_000
    state = world.journal.read("run-1")
    assert state is not None
    visit = state.visits["a"]
    assert visit == lease.visit, "what the holder knows is what the journal has"
    assert (visit.phase, visit.attempts, visit.looks) == (Phase.HELD, 1, 1)


def test_a_look_up_that_is_begun_again_says_that_it_is_the_second(world: World) -> None:
    """Its first answer may have been lost, and what the worker knows must be what is kept."""
    lease = looking(world, parked(world))
    assert [lease.look().looks, lease.look().looks] == [1, 2]
    assert lease.commit(Result.UNKNOWN, code="timeout", look=60_000) is Committed.YES
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits[lease.ref.step].looks == 2


def test_runs_in_doubt_are_listed_whatever_else_there_is_and_the_longest_first(
    world: World,
) -> None:
    parked(world, "run-1")
    world.advance(1_000)
    lease = parked(world, "run-2")
    world.advance(1_000)
    world.accept(plans.linear("a"), "run-3")
    assert [one.run for one in world.journal.doubted(10)] == ["run-1", "run-2"]
    assert [one.run for one in world.journal.doubted(1)] == ["run-1"]
    again = looking(world, lease)
    assert again.commit(Result.SUCCEEDED) is Committed.YES
    assert [one.run for one in world.journal.doubted(10)] == ["run-1"]


def test_a_look_up_waits_for_its_turn_parked_and_pays_for_it_once(world: World) -> None:
    first, second = parked(world), parked(world, "run-2")
    world.advance(60_000)
    one = take(world.journal, first.graph, first.ref)
    two = take(world.journal, second.graph, second.ref)
    assert one.look([SLOW]).verdict is Began.YES
    limited = two.look([SLOW])
    assert limited.verdict is Began.LIMITED
    state = world.journal.read("run-2")
    assert state is not None
    assert (state.visits["a"].phase, state.visits["a"].until) == (Phase.UNKNOWN, limited.until)
    # A turn is rounded up to whole milliseconds, and a fast server is back within one.
    world.advance(100_001)
    assert take(world.journal, second.graph, second.ref).look([SLOW]).verdict is Began.YES


def test_a_cancelled_run_is_looked_up_and_ends_by_what_is_found(world: World) -> None:
    lease = parked(world)
    world.journal.control("run-1", "cancel", by="ops", reason="")
    assert carry_on(world.journal, lease.graph, "run-1").status is Status.UNKNOWN
    again = looking(world, lease)
    assert again.begin().verdict is Began.HALTED, "it is never sent again"
    assert again.look().verdict is Began.YES
    assert again.commit(Result.SUCCEEDED, effect=EFFECT, adopted=True) is Committed.YES
    state = world.journal.read("run-1")
    assert state is not None
    assert (state.end, state.visits["a"].phase) == ("cancelled", Phase.SUCCEEDED)


def test_a_paused_run_is_not_looked_up_until_it_is_resumed(world: World) -> None:
    parked(world)
    world.journal.control("run-1", "pause", by="ops", reason="")
    world.advance(60_000)
    assert world.journal.claim(A1, "w1").verdict is Claimed.PAUSED
    world.journal.control("run-1", "resume", by="ops", reason="")
    assert world.journal.claim(A1, "w1").verdict is Claimed.YES


def test_what_was_found_to_be_undone_is_sent_anew(world: World) -> None:
    again = looking(world, parked(world))
    again.look()
    assert again.commit(Result.UNDONE, delay=0) is Committed.YES
    world.advance(1)
    anew = take(world.journal, again.graph, A1)
    assert (anew.visit.doubt, anew.visit.first) == (0, 0)
    begun = anew.begin(frozen=None)
    assert (begun.verdict, begun.attempt, begun.first) == (Began.YES, 2, begun.now)


def test_an_effect_is_adopted_by_one_intent_only(world: World) -> None:
    """Two texts of the same words to one number, both lost, and one of them was sent."""
    first, second = parked(world), parked(world, "run-2")
    world.advance(60_000)
    one = take(world.journal, first.graph, first.ref)
    two = take(world.journal, second.graph, second.ref)
    one.look()
    two.look()
    assert one.commit(effect=EFFECT, adopted=True) is Committed.YES
    before = world.journal.read("run-2")
    assert two.commit(effect=EFFECT, adopted=True) is Committed.TAKEN
    assert world.journal.read("run-2") == before, "nothing was written"
    assert two.commit(Result.UNKNOWN, look=60_000) is Committed.YES


def test_what_an_answer_has_told_is_adopted_by_nobody_else(world: World) -> None:
    graph = world.accept(plans.linear("a"), "run-2")
    world.journal.heartbeat("w1", ttl_ms=600_000_000)
    answered = take(world.journal, graph, Ref("run-2", "a", 1))
    answered.begin()
    assert answered.commit(effect=EFFECT) is Committed.YES
    again = looking(world, parked(world))
    again.look()
    assert again.commit(effect=EFFECT, adopted=True) is Committed.TAKEN


@pytest.mark.parametrize("lost", ["taken-over", "run-out"])
def test_a_look_up_under_a_lost_lease_begins_nothing(world: World, lost: str) -> None:
    lease = looking(world, parked(world))
    if lost == "taken-over":
        world.journal.retire("w1")
        world.journal.heartbeat("w2", ttl_ms=60_000)
        assert world.journal.claim(A1, "w2").verdict is Claimed.YES
    else:
        world.advance(600_000)
    assert lease.look().verdict is Began.LOST

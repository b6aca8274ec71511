"""stop, go_on: nobody calls a provider until a person takes it back; then all go on, in turn."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.engine.recovery import RESEND_AFTER
from orchestrator.engine.state import Phase, Result, Status, Visit
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import SEALED, Began, Claimed, Limit, Pace, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from tests.contract.conftest import KEY, World
from tests.fakes import plans
from tests.fakes.journal import Lease, carry_on, take

WHO = {"by": "ops", "reason": "Ms Smith was charged twice"}
HOUR, TEN_MINUTES = 3_600_000, 600_000
PACE = Pace(batch=100, spacing_us=1_000_000, spread_ms=TEN_MINUTES)


def leased(world: World, run: str = "run-1", step: str = "a") -> Lease:
    graph = world.accept(plans.linear(step), run)
    world.journal.heartbeat("w1", ttl_ms=600_000_000)
    return take(world.journal, graph, Ref(run, step, 1))


def halted(world: World, run: str = "run-1", step: str = "a") -> Lease:
    """A run that met a stop."""
    lease = leased(world, run, step)
    assert lease.begin(provider="stripe").verdict is Began.STOPPED
    return lease


def visit(world: World, run: str = "run-1", step: str = "a") -> Visit:
    state = world.journal.read(run)
    assert state is not None
    return state.visits[step]


def wait(world: World, run: str) -> int:
    return visit(world, run).until - world.journal.now()


def claimed(world: World, lease: Lease, worker: str = "w1") -> None:
    claim = world.journal.claim(lease.ref, worker)
    assert claim.verdict is Claimed.YES
    assert claim.state is not None
    lease.state = claim.state


def test_a_stopped_provider_is_called_by_nobody_and_others_are(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    lease = halted(world)
    assert (visit(world).phase, visit(world).attempts) == (Phase.WAITING, 0)
    assert world.journal.claim(lease.ref, "w2").verdict is Claimed.WAITING
    assert leased(world, "run-2").begin(provider="twilio").verdict is Began.YES


def test_a_stop_does_not_end_by_itself(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    lease = halted(world)
    for _ in range(3):
        world.advance(2 * HOUR)
        claimed(world, lease)
        assert lease.begin(provider="stripe").verdict is Began.STOPPED
    assert [stop.waiting for stop in world.journal.stops()] == [1], "one step is one waiter"


def test_who_waits_is_not_sent_again_for_an_hour(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    begun = leased(world).begin(provider="stripe")
    assert HOUR <= begun.until - begun.now < HOUR + TEN_MINUTES
    world.advance(RESEND_AFTER)
    (due,) = world.journal.tick("t1", lease_ms=1_000, limit=10).due
    world.journal.postpone({"run-1": (due.state.seq, due.state.visits["a"].until)})
    world.advance(HOUR - 60_000)
    assert world.journal.tick("t1", lease_ms=1_000, limit=10).due == ()


def test_a_call_under_way_lands_and_what_follows_waits(world: World) -> None:
    lease = leased(world)
    lease.begin(provider="stripe")
    world.journal.stop("stripe", **WHO)
    lease.commit(outputs={"id": "pi_1"})
    assert visit(world).phase is Phase.SUCCEEDED


def test_a_stop_costs_no_token_and_loses_none_that_was_taken(world: World) -> None:
    slow = Limit(scope="stripe/account", per_second=0.01, burst=1)
    leased(world, "run-0").begin(limits=[slow], provider="stripe")
    line = world.client.hget(world.keys.limit(slow.scope), "urgent")
    reserved = leased(world)
    turn = reserved.begin(limits=[slow], provider="stripe").until
    taken = world.client.hget(world.keys.limit(slow.scope), "urgent")
    assert taken != line
    world.journal.stop("stripe", **WHO)
    world.advance(turn - world.journal.now())
    claimed(world, reserved)
    assert reserved.begin(limits=[slow], provider="stripe").verdict is Began.STOPPED
    world.journal.go_on("stripe", by="ops", reason="", pace=PACE)
    claimed(world, reserved)
    assert reserved.begin(limits=[slow], provider="stripe").verdict is Began.YES
    assert world.client.hget(world.keys.limit(slow.scope), "urgent") == taken


def test_what_may_have_been_done_is_looked_up_all_the_same(world: World) -> None:
    lease = leased(world)
    lease.begin(provider="stripe")
    world.journal.retire("w1")
    world.journal.stop("stripe", **WHO)
    world.journal.heartbeat("w2", ttl_ms=60_000)
    claimed(world, lease, "w2")
    assert lease.look().verdict is Began.YES


def test_a_call_in_doubt_that_waits_for_a_stop_stays_in_doubt(world: World) -> None:
    lease = leased(world)
    lease.begin(provider="stripe")
    world.journal.retire("w1")
    world.journal.stop("stripe", **WHO)
    world.journal.heartbeat("w2", ttl_ms=60_000)
    claimed(world, lease, "w2")
    assert lease.begin(None, provider="stripe").verdict is Began.STOPPED
    assert visit(world).doubt


def test_a_paused_or_cancelled_run_is_halted_before_it_is_stopped(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    lease = leased(world)
    world.journal.control("run-1", "pause", by="ops", reason="")
    assert lease.begin(provider="stripe").verdict is Began.HALTED


def test_a_run_that_waits_for_a_stop_can_be_cancelled(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    lease = halted(world)
    world.journal.control("run-1", "cancel", by="ops", reason="")
    assert carry_on(world.journal, lease.graph, "run-1").status is Status.CANCELLED
    wake = world.journal.go_on("stripe", by="ops", reason="", pace=PACE)
    assert (wake.woken, wake.left) == (0, 0)


# Going on.


def test_all_that_waited_goes_on_one_a_spacing(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    runs = [f"run-{number}" for number in range(5)]
    for run in runs:
        halted(world, run)
    wake = world.journal.go_on("stripe", by="ops", reason="", pace=PACE)
    assert (wake.taken_back, wake.woken, wake.left) == (True, 5, 0)
    times = sorted(visit(world, run).until for run in runs)
    assert [b - a for a, b in pairwise(times)] == [1_000] * 4
    assert times[0] <= world.journal.now()
    assert all((world.due(run) or 0) <= 5_000 for run in runs)
    assert world.journal.stops() == []


def test_it_is_done_in_batches_and_each_goes_on_behind_the_one_before(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    runs = [f"run-{number}" for number in range(5)]
    for run in runs:
        halted(world, run)
    pace = Pace(batch=2, spacing_us=1_000_000, spread_ms=TEN_MINUTES)
    wake = world.journal.go_on("stripe", by="ops", reason="", pace=pace)
    assert (wake.woken, wake.left) == (2, 3)
    assert world.journal.wake("stripe", pace=pace, woken=2).left == 1
    assert world.journal.wake("stripe", pace=pace, woken=4).left == 0
    waits = sorted(wait(world, run) for run in runs)
    assert 3_000 < waits[-1] <= 4_000


def test_however_slow_a_limit_is_all_go_on_within_the_spread(world: World) -> None:
    """Or a rate that was set by mistake would hold them back also after it was corrected."""
    world.journal.stop("stripe", **WHO)
    runs = [f"run-{number}" for number in range(5)]
    for run in runs:
        halted(world, run)
    never = Pace(batch=100, spacing_us=10**15, spread_ms=10_000)
    world.journal.go_on("stripe", by="ops", reason="", pace=never)
    assert max(wait(world, run) for run in runs) <= 8_000


def test_a_run_that_goes_on_calls_once(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    lease = halted(world)
    world.journal.go_on("stripe", by="ops", reason="", pace=PACE)
    claimed(world, lease)
    assert lease.begin(provider="stripe").verdict is Began.YES
    assert visit(world).attempts == 1


def test_a_new_stop_ends_the_waking_and_keeps_who_waits(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    for number in range(3):
        halted(world, f"run-{number}")
    one = Pace(batch=1, spacing_us=1, spread_ms=1)
    assert world.journal.go_on("stripe", by="ops", reason="", pace=one).left == 2
    world.journal.stop("stripe", by="eve", reason="not yet")
    wake = world.journal.wake("stripe", pace=one, woken=1)
    assert (wake.taken_back, wake.woken, wake.left) == (False, 0, 0)
    (stop,) = world.journal.stops()
    assert (stop.by, stop.waiting) == ("eve", 2)


def test_what_a_broken_off_go_on_has_left_the_next_one_wakes(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    for number in range(3):
        halted(world, f"run-{number}")
    one = Pace(batch=1, spacing_us=1, spread_ms=1)
    world.journal.go_on("stripe", by="ops", reason="", pace=one)
    wake = world.journal.go_on("stripe", by="ops", reason="", pace=PACE)
    assert (wake.taken_back, wake.woken, wake.left) == (False, 2, 0)


def test_a_wait_for_something_else_is_not_cut_short(world: World) -> None:
    """It looked by itself, called, and waits for its retry by now."""
    world.journal.stop("stripe", **WHO)
    lease = halted(world)
    world.client.hdel(world.keys.stops, "stripe")
    world.advance(2 * HOUR)
    claimed(world, lease)
    lease.begin(provider="stripe")
    lease.commit(Result.TRANSIENT, delay=500_000)
    before = world.journal.read("run-1")
    assert world.journal.go_on("stripe", by="ops", reason="", pace=PACE).woken == 0
    assert world.journal.read("run-1") == before


def test_a_step_may_have_any_name(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    halted(world, step="a b/7 %s")
    assert world.journal.go_on("stripe", by="ops", reason="", pace=PACE).woken == 1


# Who, when, why.


def test_a_provider_stays_as_it_was_stopped_first(world: World) -> None:
    first = world.journal.stop("stripe", **WHO)
    world.advance(1_000)
    again = world.journal.stop("stripe", by="eve", reason="me too")
    assert (again.by, again.at) == ("ops", first.at)
    assert [event.kind for event in world.journal.house()] == ["stopped"]


def test_stops_are_the_houses_own_events_with_who_when_and_why(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    world.journal.go_on("stripe", by="eve", reason="all is well", pace=PACE)
    world.journal.go_on("stripe", by="eve", reason="again", pace=PACE)
    told = [
        (e.kind, e.fields["p"], e.fields["by"], e.fields["why"])
        for e in world.journal.house(reasons=True)
    ]
    assert told == [
        ("stopped", "stripe", "ops", WHO["reason"]),
        ("went-on", "stripe", "eve", "all is well"),
    ]
    assert all("why" not in event.fields for event in world.journal.house())


def test_a_reason_for_a_stop_is_read_only_when_it_is_asked_for(world: World) -> None:
    world.journal.stop("stripe", **WHO)
    assert b"Smith" not in b"\n".join(world.everything())
    assert [stop.reason for stop in world.journal.stops()] == [""]
    assert [stop.reason for stop in world.journal.stops(reasons=True)] == [WHO["reason"]]
    stranger = RedisJournal(world.client, AesSeal([b"n" * 32]), Keys())
    assert [stop.reason for stop in stranger.stops(reasons=True)] == [SEALED]


@pytest.mark.parametrize("provider", ["stripe", "generic", 'a "b"'])
def test_any_provider_can_be_stopped_with_limits_or_without(world: World, provider: str) -> None:
    world.journal.stop(provider, **WHO)
    assert leased(world).begin(provider=provider).verdict is Began.STOPPED


def test_two_journals_on_one_server_are_stopped_apart(world: World) -> None:
    other = RedisJournal(world.client, AesSeal([KEY]), Keys("other"))
    other.stop("stripe", by="ops", reason="")
    assert leased(world).begin(provider="stripe").verdict is Began.YES

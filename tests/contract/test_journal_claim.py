"""claim: the lease of a visit that nobody drives, and what its step reads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.engine.recovery import LEASE_CHECK
from orchestrator.engine.state import LOST, Phase, Result
from orchestrator.expressions.nodes import Constant, Input, Output, Text
from orchestrator.journal.port import Claimed, Ref
from orchestrator.journal.redis import HOLD
from orchestrator.plan.model import HttpCall
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import carry_on

A1 = Ref("run-1", "a", 1)


def test_a_ready_visit_is_claimed_with_a_fence_and_a_lease(world: World) -> None:
    world.accept(plans.linear("a"))
    claim = world.journal.claim(A1, "w1")
    assert claim.verdict is Claimed.YES
    assert claim.state == world.journal.read("run-1")
    assert claim.state is not None
    visit = claim.state.visits["a"]
    assert (visit.phase, visit.fence, visit.worker) == (Phase.HELD, 1, "w1")
    assert visit.until == claim.now + HOLD
    assert not visit.doubt
    assert claim.frozen is None
    due = world.due()
    assert due is not None
    assert due <= LEASE_CHECK


def test_a_live_workers_visit_is_busy(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    assert world.journal.claim(A1, "w2").verdict is Claimed.BUSY
    assert world.journal.claim(A1, "w1").verdict is Claimed.BUSY, "not even its own, twice"
    lease.begin()
    assert world.journal.claim(A1, "w2").verdict is Claimed.BUSY


def test_what_is_unheard_of_is_absent(world: World) -> None:
    assert world.journal.claim(Ref("nobody", "a", 1), "w1").verdict is Claimed.ABSENT


@pytest.mark.parametrize("ref", [Ref("run-1", "a", 2), Ref("run-1", "b", 1), Ref("run-1", "z", 1)])
def test_another_visit_or_step_than_the_runs_is_stale(world: World, ref: Ref) -> None:
    world.accept(plans.linear("a", "b"))
    assert world.journal.claim(ref, "w1").verdict is Claimed.STALE


def test_an_old_visit_is_stale_once_the_step_was_entered_again(world: World) -> None:
    again = plans.one_of(plans.again(3, after_ms=0))
    graph = world.accept(plans.plan(plans.step("a", (), [again])))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.FINAL)
    assert world.journal.claim(A1, "w2").verdict is Claimed.STALE
    assert world.take(graph, "a", 2).fence == 2, "fences grow over visits"


def test_a_workers_death_frees_its_lease(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.heartbeat("w1", ttl_ms=25_000)
    world.journal.claim(A1, "w1")
    world.advance(20_000)
    assert world.journal.claim(A1, "w2").verdict is Claimed.BUSY
    world.advance(5_000)
    claim = world.journal.claim(A1, "w2")
    assert claim.verdict is Claimed.YES
    assert claim.state is not None
    assert claim.state.visits["a"].fence == 2


def test_a_worker_that_never_beat_has_no_lease_to_lose(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.claim(A1, "w1")
    assert world.journal.claim(A1, "w2").verdict is Claimed.YES


def test_a_worker_that_retired_frees_its_leases_at_once(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a")
    world.journal.retire("w1")
    assert world.journal.claim(A1, "w2").verdict is Claimed.YES


def test_a_lease_ends_by_the_clock_though_its_worker_lives(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a")
    world.advance(HOLD - 1_000)
    assert world.journal.claim(A1, "w2").verdict is Claimed.BUSY
    world.advance(1_000)
    assert world.journal.claim(A1, "w2").verdict is Claimed.YES


def test_a_call_taken_over_is_in_doubt_and_brings_its_frozen_request(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a").begin(b"the request")
    world.journal.retire("w1")
    claim = world.journal.claim(A1, "w2")
    assert claim.verdict is Claimed.YES
    assert claim.frozen == b"the request"
    assert claim.state is not None
    assert claim.state.visits["a"].doubt == LOST


def test_a_mere_hold_taken_over_is_in_no_doubt(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a")
    world.journal.retire("w1")
    claim = world.journal.claim(A1, "w2")
    assert claim.state is not None
    assert claim.state.visits["a"].doubt == 0


def test_a_doubt_outlives_every_later_holder(world: World) -> None:
    """Died in its call, then the next one died before it landed anything: still in doubt."""
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a").begin()
    for worker in ("w2", "w3", "w4"):
        world.journal.retire("w1")
        world.journal.heartbeat(worker, ttl_ms=60_000)
        claim = world.journal.claim(A1, worker)
        assert claim.state is not None
        assert claim.state.visits["a"].doubt == LOST
        assert claim.frozen == b"request"
        world.journal.retire(worker)


@pytest.mark.parametrize("result", [Result.TRANSIENT, Result.UNKNOWN, Result.OPERATOR])
def test_a_wait_is_waiting_until_its_time(world: World, result: Result) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin(b"the request")
    lease.commit(result, delay=3_000)
    assert world.journal.claim(A1, "w2").verdict is Claimed.WAITING
    world.advance(3_000)
    claim = world.journal.claim(A1, "w2")
    assert claim.verdict is Claimed.YES
    assert claim.frozen == b"the request", "every send of a visit repeats the same bytes"


def test_a_paused_run_is_claimed_by_nobody(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.control("run-1", "pause", by="ops", reason="")
    assert world.journal.claim(A1, "w1").verdict is Claimed.PAUSED
    world.journal.control("run-1", "resume", by="ops", reason="")
    assert world.journal.claim(A1, "w1").verdict is Claimed.YES


def test_a_run_on_its_way_to_its_end_begins_nothing(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.control("run-1", "cancel", by="ops", reason="")
    assert world.journal.claim(A1, "w1").verdict is Claimed.STALE


@pytest.mark.parametrize("paused", [False, True])
def test_a_dead_call_of_a_cancelled_run_can_be_taken_over_and_landed(
    world: World, paused: bool
) -> None:
    """Cancel is the last word, also over a pause: or the run could never end."""
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a").begin()
    if paused:
        world.journal.control("run-1", "pause", by="ops", reason="")
    world.journal.control("run-1", "cancel", by="ops", reason="")
    world.journal.retire("w1")
    claim = world.journal.claim(A1, "w2")
    assert claim.verdict is Claimed.YES
    assert claim.state is not None
    assert claim.state.visits["a"].doubt == LOST


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Result.SUCCEEDED, Claimed.SUCCEEDED),
        (Result.FINAL, Claimed.FAILED),
        (Result.UNKNOWN, Claimed.UNKNOWN),
    ],
)
def test_what_was_settled_is_told_and_called_no_more(
    world: World, result: Result, expected: Claimed
) -> None:
    two = plans.plan(
        plans.step("a", plans.to("b"), plans.to("b")), plans.step("b"), starts=("a", "b")
    )
    graph = world.accept(two)
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(result, code="the-code")
    claim = world.journal.claim(A1, "w2")
    assert claim.verdict is expected
    assert claim.state is not None
    assert claim.state.visits["a"].result == result


def test_an_outcome_that_nobody_decided_upon_is_settled(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    world.journal.control("run-1", "pause", by="ops", reason="")
    lease.commit()
    assert world.journal.claim(A1, "w2").verdict is Claimed.SETTLED


def test_a_finished_run_is_finished(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit()
    assert world.journal.claim(A1, "w2").verdict is Claimed.FINISHED


def test_a_cancelled_step_of_a_run_that_goes_on_is_stale(world: World) -> None:
    flow = plans.plan(plans.step("a"), plans.step("b"), starts=("a", "b"))
    graph = world.accept(flow)
    world.take(graph, "b").begin()
    world.journal.control("run-1", "cancel", by="ops", reason="")
    carry_on(world.journal, graph, "run-1")
    assert world.journal.claim(A1, "w2").verdict is Claimed.STALE


def test_only_one_of_many_claims_is_given(world: World) -> None:
    world.accept(plans.linear("a"))
    for number in range(8):
        world.journal.heartbeat(f"w{number}", ttl_ms=60_000)
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda n: world.raw.claim(A1, f"w{n}").verdict, range(8)))
    assert sorted(verdicts) == [Claimed.BUSY] * 7 + [Claimed.YES]


def reading() -> HttpCall:
    words = Text((Input("order"), Output("a", "id")))
    return HttpCall(
        provider="p", method="GET", server="https://x.test", path=(Constant("/"), words)
    )


def test_a_claim_brings_back_only_what_its_step_reads(world: World) -> None:
    flow = plans.plan(
        plans.step("a", plans.to("b")), plans.step("b", plans.to("c")),
        plans.step("c", call=reading()),
    )  # fmt: skip
    graph = world.accept(flow, order="o-1")
    for name in ("a", "b"):
        lease = world.take(graph, name)
        lease.begin()
        lease.commit(outputs={"id": f"{name}-1"})
    claim = world.journal.claim(Ref("run-1", "c", 1), "w1")
    assert claim.inputs == {"order": "o-1"}
    assert claim.outputs == {"a": {"id": "a-1"}}


def test_a_step_that_reads_nothing_is_given_nothing(world: World) -> None:
    world.accept(plans.linear("a"), order="o-1")
    claim = world.journal.claim(A1, "w1")
    assert (claim.inputs, claim.outputs) == ({}, {})


def test_outputs_that_are_not_there_are_not_made_up(world: World) -> None:
    flow = plans.plan(plans.step("c", call=reading()), plans.step("a"))
    world.accept(flow)
    claim = world.journal.claim(Ref("run-1", "c", 1), "w1")
    assert (claim.inputs, claim.outputs) == ({}, {})


def test_a_claim_marks_its_lane_so_that_older_messages_still_out_are_lost_ones(
    world: World,
) -> None:
    graph = world.accept(plans.linear("a", "b"))
    world.advance(100)
    world.accept(plans.linear("a"), "run-2")
    world.journal.claim(Ref("run-2", "a", 1), "w1")
    newer = world.journal.read("run-2")
    assert newer is not None
    world.take(graph, "a")
    world.advance(10_000)
    tick = world.journal.tick("t", lease_ms=1_000, limit=10)
    assert {due.lane_claimed for due in tick.due} == {newer.accepted}


def test_another_branchs_earlier_check_stays(world: World) -> None:
    flow = plans.plan(plans.step("a"), plans.step("b"), starts=("a", "b"))
    graph = world.accept(flow)
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=500)
    assert (world.due() or 0) <= 500
    world.take(graph, "b")
    assert (world.due() or 0) <= 500, "a's timer is not put off by b's claim"

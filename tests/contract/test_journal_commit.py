"""commit: the outcome lands whenever the fence holds; the decision on its own seq only."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import advance
from orchestrator.engine.state import Outcome, Phase, Result, Status
from orchestrator.journal.port import Claimed, Committed, Ref
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import carry_on

A1 = Ref("run-1", "a", 1)


def test_outcome_outputs_and_decision_land_together(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    assert lease.commit(outputs={"id": "x"}) is Committed.YES
    state = world.journal.read("run-1")
    assert state is not None
    assert (state.visits["a"].phase, state.visits["b"].phase) == (Phase.SUCCEEDED, Phase.READY)
    assert world.journal.outputs("run-1", ["a", "b"]) == {"a": {"id": "x"}}


def test_a_lease_lost_is_a_write_lost(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    world.journal.retire("w1")
    world.take(graph, "a", worker="w2")
    before = (world.journal.read("run-1"), world.journal.history("run-1"), world.everything())
    pause = ("p/account", 60_000)
    assert lease.commit(outputs={"id": "zombie"}, pause=pause) is Committed.LOST
    after = (world.journal.read("run-1"), world.journal.history("run-1"), world.everything())
    assert after == before


def test_a_second_commit_of_one_lease_is_lost(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    assert lease.commit() is Committed.YES
    assert lease.commit() is Committed.LOST
    assert len([e for e in world.journal.history("run-1") if e.kind == "outcome"]) == 1


def test_a_commit_to_a_run_that_is_gone_is_lost_and_makes_no_run(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    world.client.flushall()
    assert lease.commit() is Committed.LOST
    assert world.journal.read("run-1") is None


@pytest.mark.parametrize("kind", ["cancel", "pause"])
def test_a_call_in_flight_lands_though_the_run_was_halted_and_nothing_is_lost(
    world: World, kind: str
) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    world.journal.control("run-1", kind, by="ops", reason="")
    assert lease.commit(outputs={"id": "x"}) is Committed.NEWS
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.SETTLED
    assert world.journal.outputs("run-1", ["a"]) == {"a": {"id": "x"}}
    assert (world.due() or 0) <= 1_000, "somebody decides soon if this worker dies now"
    state = carry_on(world.journal, graph, "run-1")
    assert state.visits["a"].phase is Phase.SUCCEEDED
    assert state.status is (Status.CANCELLED if kind == "cancel" else Status.PAUSED)


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_two_branches_that_commit_on_a_stale_seq_reach_their_join_once(
    world: World, order: str
) -> None:
    flow = plans.plan(
        plans.step("b", plans.to("d")),
        plans.step("c", plans.to("d")),
        plans.step("d", awaits=("b", "c")),
        starts=("b", "c"),
    )
    graph = world.accept(flow)
    leases = {name: world.take(graph, name) for name in order}
    for lease in leases.values():
        lease.begin()
    settlements = {name: lease.settlement(Outcome(result=Result.SUCCEEDED, matched="0"))
                   for name, lease in leases.items()}  # fmt: skip
    verdicts = []
    for name in order:
        settlement, decision = settlements[name]
        lease = leases[name]
        verdicts.append(world.journal.commit(lease.ref, lease.fence, settlement, decision))
    # The first was claimed before the second: both of its claims' seq are stale or the last's is.
    assert Committed.NEWS in verdicts
    assert Committed.LOST not in verdicts
    state = carry_on(world.journal, graph, "run-1")
    assert {name: v.phase for name, v in state.visits.items()} == {
        "b": Phase.SUCCEEDED, "c": Phase.SUCCEEDED, "d": Phase.READY
    }  # fmt: skip
    assert state.visits["d"].number == 1
    entered = [c for e in world.journal.history("run-1") if e.kind == "decided"
               for c in e.fields["d"] if c[0] == "enter"]  # fmt: skip
    assert entered == [["enter", "d", 1]]


def test_a_decision_does_not_write_over_another_branchs_lease(world: World) -> None:
    flow = plans.plan(plans.step("a", plans.to("c")), plans.step("b"), plans.step("c"),
                      starts=("a", "b"))  # fmt: skip
    graph = world.accept(flow)
    b = world.take(graph, "b")
    a = world.take(graph, "a")
    a.begin()
    # b begins after a's claim: that moves no seq, for no decision depends on it.
    b.begin()
    assert a.commit() is Committed.YES
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["b"] == b.visit
    assert b.commit() is not Committed.LOST


def test_a_decision_on_a_stale_seq_is_refused_whole(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.journal.control("run-1", "cancel", by="ops", reason="")
    state = world.journal.read("run-1")
    assert state is not None
    decision = advance(graph, state, world.journal.now())
    assert decision is not None
    world.journal.control("run-1", "pause", by="ops", reason="")
    before = world.journal.history("run-1")
    assert world.journal.decide("run-1", decision) is Committed.NEWS
    assert world.journal.history("run-1") == before


def test_a_decision_is_made_once_though_it_is_sent_twice(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.journal.control("run-1", "cancel", by="ops", reason="")
    state = world.journal.read("run-1")
    assert state is not None
    decision = advance(graph, state, world.journal.now())
    assert decision is not None
    assert world.journal.decide("run-1", decision) is Committed.YES
    assert world.journal.decide("run-1", decision) is Committed.NEWS


def test_a_message_sent_again_meanwhile_is_not_forgotten_by_the_outcome(world: World) -> None:
    """The timekeeper gave a slow worker up; the worker lands its outcome all the same."""
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    state = world.journal.read("run-1")
    assert state is not None
    assert world.journal.mark_sent(A1, state.visits["a"], patience_ms=8_000) == 2
    lease.commit(Result.TRANSIENT, delay=1_000)
    state = carry_on(world.journal, graph, "run-1")
    assert state.visits["a"].sends == 2, "the next send needs an id of its own"


def test_the_due_time_is_the_decisions(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=90_000)
    due = world.due()
    assert due is not None
    assert 89_000 < due <= 90_000


def test_a_finished_run_stays_due_until_its_duties_are_done(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit()
    state = world.journal.read("run-1")
    assert state is not None
    assert state.outbox
    assert world.due() is not None
    world.journal.settle("run-1")
    assert world.due() is None
    state = world.journal.read("run-1")
    assert state is not None
    assert (state.outbox, state.status) == ("", Status.SUCCEEDED)


def test_settle_is_idempotent(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit()
    world.journal.settle("run-1")
    events = world.journal.history("run-1")
    world.journal.settle("run-1")
    assert world.journal.history("run-1") == events


def test_settle_of_a_run_with_no_duties_does_not_take_it_out_of_the_due_set(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.settle("run-1")
    assert world.due() is not None


@pytest.mark.parametrize(
    ("result", "delay", "kept"),
    [
        (Result.SUCCEEDED, -1, False),
        (Result.FINAL, -1, False),
        (Result.TRANSIENT, -1, False),
        (Result.TRANSIENT, 0, True),
        (Result.OPERATOR, 30_000, True),
        (Result.UNKNOWN, 500, True),
        (Result.UNKNOWN, -1, True),
        (Result.PENDING, -1, True),
    ],
)
def test_the_frozen_request_is_kept_only_while_it_may_be_needed(
    world: World, result: Result, delay: int, kept: bool
) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(result, delay=delay)
    assert world.client.hexists(world.keys.data("run-1"), "q:a") is kept


@pytest.mark.parametrize("result", [Result.SUCCEEDED, Result.FINAL])
def test_a_doubt_that_is_over_keeps_no_request(world: World, result: Result) -> None:
    """It holds a customer's data, and nobody will ever send or look it up again."""
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.UNKNOWN, delay=0)
    lease = world.take(graph, "a")
    lease.begin(None)
    lease.commit(result)
    assert not world.client.hexists(world.keys.data("run-1"), "q:a")


def test_a_visit_given_back_keeps_the_request_of_its_earlier_attempts(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin(b"first bytes")
    lease.commit(Result.TRANSIENT, delay=0)
    lease = world.take(graph, "a")
    lease.commit(Result.WITHDRAWN)
    carry_on(world.journal, graph, "run-1")
    assert world.journal.claim(A1, "w1").frozen == b"first bytes"


def test_an_operators_pause_reaches_the_providers_limit(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.OPERATOR, delay=30_000, pause=("stripe/account", 30_000))
    until = int(world.client.hget(world.keys.limit("stripe/account"), "until"))
    assert 29_000 < until - world.journal.now() <= 30_000


def test_a_pause_lands_with_an_outcome_whose_decision_was_refused(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    world.journal.control("run-1", "pause", by="ops", reason="")
    lease.commit(Result.OPERATOR, delay=30_000, pause=("stripe/account", 30_000))
    assert world.client.hexists(world.keys.limit("stripe/account"), "until")


# Control.


@pytest.mark.parametrize("kind", ["cancel", "pause", "resume"])
def test_control_is_journaled_with_who_and_why_and_is_due_at_once(world: World, kind: str) -> None:
    world.accept(plans.linear("a"))
    state = world.journal.control("run-1", kind, by='op "1"', reason="because/\n€")
    assert state == world.journal.read("run-1")
    event = world.journal.history("run-1", reasons=True)[-1]
    assert (event.kind, event.fields["k"]) == ("control", kind)
    assert (event.fields["by"], event.fields["why"]) == ('op "1"', "because/\n€")
    assert (world.due() or 0) <= 0


@pytest.mark.parametrize("kind", ["cancel", "pause", "resume"])
def test_control_of_nobody_or_of_a_finished_run_is_none(world: World, kind: str) -> None:
    assert world.journal.control("nobody", kind, by="ops", reason="") is None
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit()
    before = world.journal.history("run-1")
    assert world.journal.control("run-1", kind, by="ops", reason="") is None
    assert world.journal.history("run-1") == before
    assert world.journal.read("nobody") is None


@pytest.mark.parametrize("kind", ["cancel", "pause", "resume"])
def test_control_bumps_no_fence(world: World, kind: str) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    world.journal.control("run-1", kind, by="ops", reason="")
    assert lease.commit() is Committed.NEWS


def test_resume_says_that_no_message_is_out(world: World) -> None:
    world.accept(plans.linear("a", "b"))
    world.journal.control("run-1", "pause", by="ops", reason="")
    world.journal.control("run-1", "resume", by="ops", reason="")
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].since == 0


def test_a_second_cancel_keeps_the_first_end(world: World) -> None:
    graph = world.accept(plans.plan(plans.step("a"), plans.step("b"), starts=("a", "b")))
    b = world.take(graph, "b")
    b.begin()
    a = world.take(graph, "a")
    a.begin()
    a.commit(Result.FINAL, code="card_declined")
    state = world.journal.control("run-1", "cancel", by="ops", reason="")
    assert state is not None
    assert (state.ending, state.code) == ("failed", "card_declined")


def test_a_cancelled_run_is_claimed_no_more_after_its_end(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.journal.control("run-1", "cancel", by="ops", reason="")
    assert carry_on(world.journal, graph, "run-1").status is Status.CANCELLED
    assert world.journal.claim(A1, "w1").verdict is Claimed.FINISHED

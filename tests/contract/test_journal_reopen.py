"""A bad end taken back: the run goes on at a step, under a key that no call of it had."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.state import Phase, Result, Status
from orchestrator.journal.port import Claimed, Ref
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.journal import Lease, carry_on

WHO: Any = {"by": "ops", "reason": "the card works again"}


def failed(world: World) -> Lease:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.FINAL, code="card_declined")
    return lease


def test_a_failed_run_goes_on_at_the_step_in_a_new_visit(world: World) -> None:
    lease = failed(world)
    world.journal.settle("run-1")
    assert world.due() is None
    assert world.journal.reopen("run-1", "a", 1, **WHO) == 2
    state = world.journal.read("run-1")
    assert state is not None
    assert (state.status, state.code, state.end) == (Status.RUNNING, "", "")
    assert (state.visits["a"].number, state.visits["a"].phase) == (2, Phase.READY)
    due = world.due()
    assert due is not None
    assert due <= 0
    again = world.take(lease.graph, "a", visit=2)
    assert again.fence > lease.fence
    again.begin()
    again.commit()
    world.take(lease.graph, "b").begin()


def test_an_old_visits_message_does_nothing_after_it(world: World) -> None:
    failed(world)
    world.journal.reopen("run-1", "a", 1, **WHO)
    assert world.journal.claim(Ref("run-1", "a", 1), "w1").verdict is Claimed.STALE


def test_two_people_retry_it_once(world: World) -> None:
    failed(world)
    assert world.journal.reopen("run-1", "a", 1, **WHO) == 2
    assert world.journal.reopen("run-1", "a", 1, **WHO) is None


def test_a_step_that_was_never_entered_can_be_gone_on_from(world: World) -> None:
    failed(world)
    assert world.journal.reopen("run-1", "b", 0, **WHO) == 1


def test_a_cancelled_run_is_cancelled_no_more(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.journal.control("run-1", "cancel", by="ops", reason="")
    assert carry_on(world.journal, graph, "run-1").end == "cancelled"
    assert world.journal.reopen("run-1", "a", 1, **WHO) == 2
    world.take(graph, "a", visit=2)


@pytest.mark.parametrize("kind", ["running", "succeeded", "absent"])
def test_only_a_bad_end_is_taken_back(world: World, kind: str) -> None:
    if kind != "absent":
        graph = world.accept(plans.linear("a"))
        lease = world.take(graph, "a")
        lease.begin()
        if kind == "succeeded":
            lease.commit()
    before = world.journal.read("run-1")
    assert world.journal.reopen("run-1", "a", 1, **WHO) is None
    assert world.journal.read("run-1") == before

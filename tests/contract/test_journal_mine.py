"""A claim whose answer was lost: made good by the worker that has it, and by nobody else."""

from __future__ import annotations

from orchestrator.journal.port import Began, Claimed, Ref
from tests.contract.conftest import World
from tests.fakes import plans

A1 = Ref("run-1", "a", 1)


def test_a_lease_that_was_never_used_is_taken_anew_by_its_own_worker(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    first = world.take(graph, "a", worker="w1")
    assert world.journal.claim(A1, "w1").verdict is Claimed.BUSY
    again = world.journal.claim(A1, "w1", mine=True)
    assert again.verdict is Claimed.YES
    assert again.state is not None
    assert first.begin().verdict is Began.LOST, "the first claim's fence holds no more"
    assert world.take_known(graph, again.state, "a").begin().verdict is Began.YES


def test_another_s_lease_is_nobody_else_s(world: World) -> None:
    world.take(world.accept(plans.linear("a")), "a", worker="w1")
    assert world.journal.claim(A1, "w2", mine=True).verdict is Claimed.BUSY


def test_a_call_that_has_begun_is_never_begun_beside_itself(world: World) -> None:
    lease = world.take(world.accept(plans.linear("a")), "a", worker="w1")
    lease.begin()
    assert world.journal.claim(A1, "w1", mine=True).verdict is Claimed.BUSY

"""Forks and joins: a join waits until every way to it is settled, taken or not."""

from __future__ import annotations

from itertools import permutations

import pytest

from orchestrator.engine.state import Phase, Result, Status
from tests.fakes.bench import Bench
from tests.fakes.plans import goto, one_of, plan, step, to


def diamond() -> Bench:
    return Bench(
        plan(
            step("a", to("b", "c")),
            step("b", to("d")),
            step("c", to("d")),
            step("d", awaits=("b", "c")),
        )
    )


@pytest.mark.parametrize("order", list(permutations("bc")))
def test_a_join_is_entered_once_when_all_its_ways_were_taken(order: tuple[str, str]) -> None:
    bench = diamond()
    bench.run("a")
    bench.run(order[0])
    assert bench.phase("d") is None
    assert bench.run(order[1]).entered == (("d", 1),)
    bench.run("d")
    assert bench.status() is Status.SUCCEEDED
    assert bench.state.arrivals == {}


def test_a_way_that_was_not_taken_does_not_hold_a_join_up() -> None:
    bench = diamond()
    bench.run("a", matched="0;")
    assert bench.phase("d") is None, "b is still to come"
    bench.run("b")
    assert bench.ready == {"d"}
    assert bench.phase("c") is None


def test_a_way_that_is_left_at_the_joins_own_source_does_not_hold_it_up() -> None:
    bench = diamond()
    bench.run("a")
    bench.run("b", matched="")
    bench.run("c")
    assert bench.ready == {"d"}


def test_a_join_to_which_no_way_was_taken_is_skipped() -> None:
    bench = diamond()
    bench.run("a", matched=";")
    assert bench.phase("d") is None
    assert bench.status() is Status.SUCCEEDED


def test_a_join_that_is_skipped_tells_the_joins_behind_it() -> None:
    bench = Bench(
        plan(
            step("a", to("b", "c", "x")),
            step("b", to("d")),
            step("c", to("d")),
            step("d", to("e"), awaits=("b", "c")),
            step("x", to("e")),
            step("e", awaits=("d", "x")),
        )
    )
    bench.run("a", matched=";;0")
    bench.run("x")
    assert bench.ready == {"e"}, "d never came, and e knows"
    assert bench.phase("d") is None


def test_a_dead_way_is_followed_through_the_steps_on_it() -> None:
    bench = Bench(
        plan(
            step("a", to("b", "c")),
            step("b", to("b2")),
            step("b2", to("d")),
            step("c", to("d")),
            step("d", awaits=("b2", "c")),
        )
    )
    bench.run("a", matched=";0")
    bench.run("c")
    assert bench.ready == {"d"}


def test_a_failure_that_is_handled_away_from_a_join_settles_its_way_there() -> None:
    bench = Bench(
        plan(
            step("a", to("d"), to("sorry")),
            step("b", to("d")),
            step("sorry"),
            step("d", awaits=("a", "b")),
            starts=("a", "b"),
        )
    )
    bench.run("b")
    bench.fail("a")
    assert bench.ready == {"sorry", "d"}


def test_a_join_awaits_a_fallback_that_was_taken() -> None:
    bench = Bench(
        plan(
            step("a", to("d"), to("sorry")),
            step("sorry", to("d")),
            step("b", to("d")),
            step("d", awaits=("a", "b", "sorry")),
            starts=("a", "b"),
        )
    )
    bench.run("b")
    bench.fail("a")
    assert bench.ready == {"sorry"}
    bench.run("sorry")
    assert bench.ready == {"d"}


def test_a_join_does_not_wait_for_a_fallback_that_was_not_needed() -> None:
    bench = Bench(
        plan(
            step("a", to("d"), to("sorry")),
            step("sorry", to("d")),
            step("b", to("d")),
            step("d", awaits=("a", "b", "sorry")),
            starts=("a", "b"),
        )
    )
    bench.run("b")
    bench.run("a")
    assert bench.ready == {"d"}


def test_a_join_waits_for_a_branch_in_doubt() -> None:
    bench = diamond()
    bench.run("a")
    bench.run("b", Result.UNKNOWN)
    bench.run("c")
    assert bench.phase("d") is None
    assert bench.status() is Status.UNKNOWN


def test_two_branches_that_settle_before_anybody_decides_reach_their_join_together() -> None:
    bench = diamond()
    bench.run("a")
    for name in ("b", "c"):
        bench.claim(name)
        bench.begin(name)
        bench.land(name)
    decision = bench.decide()
    assert decision is not None
    assert decision.entered == (("d", 1),)


def looped() -> Bench:
    """b may go back to a; d joins b and x."""
    return Bench(
        plan(
            step("a", to("b")),
            step("b", [one_of("d", goto("a", 3))]),
            step("x", to("d")),
            step("d", awaits=("b", "x")),
            starts=("a", "x"),
        )
    )


@pytest.mark.parametrize("early", [True, False])
def test_a_join_waits_for_a_loop_that_goes_round_once_more(early: bool) -> None:
    bench = looped()
    if early:
        bench.run("x")
    bench.run("a")
    bench.run("b", matched="1")
    assert bench.visits("a") == 2
    assert bench.phase("d") is None, "b comes again, and may take its way then"
    if not early:
        bench.run("x")
        assert bench.phase("d") is None
    bench.run("a")
    bench.run("b", matched="0")
    assert bench.ready == {"d"}
    bench.run("d")
    assert bench.status() is Status.SUCCEEDED
    assert bench.visits("d") == 1


def fallback_before_a_join() -> Bench:
    """As a fallback edge in OSOP: pay fails, goes round by remind, and pays again."""
    return Bench(
        plan(
            step("pay", to("ship"), [one_of(goto("remind", 3))]),
            step("remind", [one_of(goto("pay", 3))]),
            step("pack", to("ship")),
            step("ship", awaits=("pay", "pack")),
            starts=("pay", "pack"),
        )
    )


@pytest.mark.parametrize("early", [True, False])
def test_a_join_waits_for_a_fallback_loop(early: bool) -> None:
    bench = fallback_before_a_join()
    if early:
        bench.run("pack")
    bench.fail("pay")
    assert bench.phase("ship") is None
    bench.run("remind")
    if not early:
        bench.run("pack")
    assert bench.phase("ship") is None
    bench.run("pay")
    assert bench.ready == {"ship"}
    bench.run("ship")
    assert bench.status() is Status.SUCCEEDED


def test_a_loop_around_a_join_waits_for_all_its_ways_anew() -> None:
    bench = Bench(
        plan(
            step("a", to("b", "c")),
            step("b", to("d")),
            step("c", to("d")),
            step("d", [one_of("z", goto("a", 3))], awaits=("b", "c")),
            step("z"),
        )
    )
    for _ in range(2):
        bench.run("a")
        bench.run("b")
        assert bench.phase("d") in {None, Phase.SUCCEEDED}
        bench.run("c")
        assert bench.phase("d") is Phase.READY
        bench.run("d", matched="1")
    assert bench.visits("d") == 2
    assert bench.ready == {"a"}


def test_a_way_into_a_shared_step_is_not_dead_while_another_may_still_take_it() -> None:
    """a goes to b, b may go to c: that a did not go to c itself settles nothing of c's ways."""
    bench = Bench(
        plan(
            step("a", [one_of("b", "c")]),
            step("b", to("c")),
            step("c", to("j")),
            step("x", to("j")),
            step("j", awaits=("c", "x")),
            starts=("a", "x"),
        )
    )
    bench.run("x")
    bench.run("a", matched="0")
    assert bench.phase("j") is None, "b leads to c, and c to j"
    bench.run("b")
    bench.run("c")
    assert bench.ready == {"j"}
    bench.run("j")
    assert bench.status() is Status.SUCCEEDED
    assert bench.visits("j") == 1

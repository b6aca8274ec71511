"""What a plan's routes say about order: segments, ways back, joins."""

from __future__ import annotations

import pytest

from orchestrator.expressions.nodes import Constant
from orchestrator.plan.graph import SEGMENT_STEPS, Graph
from orchestrator.plan.model import Choice, Plan, Route
from tests.fakes.plans import end, goto, linear, one_of, plan, step, to


def graph(flow: Plan) -> Graph:
    return Graph(flow, "d")


def test_steps_that_follow_one_another_are_one_segment() -> None:
    assert graph(linear("a", "b", "c")).segment("a") == ("a", "b", "c")
    assert graph(linear("a", "b", "c")).segment("b") == ("b", "c")


def test_a_segment_has_eight_steps_at_most_and_the_next_goes_on_where_it_stops() -> None:
    names = [f"s{n}" for n in range(20)]
    flow = graph(linear(*names))
    assert flow.segment("s0") == tuple(names[:SEGMENT_STEPS])
    assert SEGMENT_STEPS == 8
    assert flow.segment("s8") == tuple(names[8:16])


@pytest.mark.parametrize(
    "success",
    [
        [one_of("b", "c")],
        to("b", "c"),
        [Choice(routes=(Route(then=goto("b"), when=(Constant(True),)),))],
        [one_of(end())],
        [],
    ],
)
def test_a_segment_stops_at_a_decision(success: list[Choice]) -> None:
    assert graph(plan(step("a", success), step("b"), step("c"))).segment("a") == ("a",)


def test_a_segment_stops_before_a_join() -> None:
    flow = plan(
        step("a", to("b", "c")), step("b", to("b2")), step("b2", to("d")), step("c", to("d")),
        step("d", to("e"), awaits=("b2", "c")), step("e"),
    )  # fmt: skip
    assert graph(flow).segment("a") == ("a",)
    assert graph(flow).segment("b") == ("b", "b2")
    assert graph(flow).segment("d") == ("d", "e")


def test_a_segment_stops_where_a_loop_closes() -> None:
    flow = graph(plan(step("a", to("b")), step("b", to("c")), step("c", to("a"))))
    assert flow.segment("a") == ("a", "b", "c")
    assert flow.segment("b") == ("b", "c")


def test_a_step_that_leads_to_itself_is_a_segment_of_one() -> None:
    assert graph(plan(step("a", to("a")))).segment("a") == ("a",)


def test_failure_ways_do_not_end_a_segment() -> None:
    flow = plan(step("a", to("b"), to("c")), step("b"), step("c"))
    assert graph(flow).segment("a") == ("a", "b")


def test_the_way_that_closes_a_loop_goes_back_and_no_other() -> None:
    flow = graph(
        plan(
            step("create", to("confirm")),
            step("confirm", to("ship"), (one_of("notify"),)),
            step("notify", to("create")),
            step("ship"),
        )
    )
    pairs = [(a, b) for a in flow.steps for b in flow.steps if flow.goes_back(a, b)]
    assert pairs == [("notify", "create")]


def test_ways_that_merely_meet_do_not_go_back() -> None:
    flow = graph(plan(step("a", to("b", "c")), step("b", to("d")), step("c", to("d")), step("d")))
    assert not any(flow.goes_back(a, b) for a in flow.steps for b in flow.steps)


def test_a_step_into_itself_goes_back() -> None:
    assert graph(plan(step("a", to("a")))).goes_back("a", "a")


def test_a_step_leads_to_what_can_follow_it_but_not_through_the_step_to_go_around() -> None:
    flow = graph(plan(step("a", to("b")), step("b", to("c")), step("c", (), to("b"))))
    assert flow.leads("a", {"c"}, around="")
    assert not flow.leads("a", {"c"}, around="b")
    assert flow.leads("c", {"c"}, around="b"), "it is there"
    assert not graph(linear("a", "b")).leads("b", {"a"}, around="")


def test_a_very_long_plan_is_walked_without_recursion() -> None:
    names = [f"s{n}" for n in range(3_000)]
    assert graph(linear(*names)).segment("s0")[-1] == "s7"

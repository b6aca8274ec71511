"""Conditions in CEL: an answer is true or false, and anything else is an error with a code."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ConditionFailed
from orchestrator.expressions.evaluate import Context, evaluate, holds
from orchestrator.expressions.nodes import Cel, Input, Json, Output

STATE = Output("check-status", "state")


def context(**outputs: Json) -> Context:
    return Context(inputs={"limit": 3}, outputs={"check-status": outputs})


def cel(text: str) -> Cel:
    return Cel(text, (STATE, Input("limit")))


@pytest.mark.parametrize(
    ("text", "state", "held"),
    [
        ("outputs.check_status.state == 'succeeded'", "succeeded", True),
        ("outputs.check_status.state == 'succeeded'", "Succeeded", False),
        ("outputs.check_status.state == 1", "1", False),
        ("outputs.check_status.state == 1", 1.0, True),
        ("outputs.check_status.state == null", None, True),
        ("outputs.check_status.state", True, True),
        ("outputs.check_status.state.amount > inputs.limit", {"amount": 4}, True),
        ("outputs.check_status.state.exists(s, s.id == 'b')", [{"id": "a"}, {"id": "b"}], True),
    ],
)
def test_it_compares_as_cel_does(text: str, state: Json, held: bool) -> None:
    assert holds(cel(text), context(state=state)) is held


def test_what_is_missing_is_found_by_has_and_by_nothing_else() -> None:
    assert holds(cel("!has(outputs.check_status.state)"), context())
    with pytest.raises(ConditionFailed, match="not-found"):
        holds(cel("outputs.check_status.state == 'succeeded'"), context())


def test_what_another_side_decides_needs_no_answer() -> None:
    assert holds(cel("outputs.check_status.state == 'x' || inputs.limit == 3"), context())


@pytest.mark.parametrize("state", [1, "true", [], {}, None])
def test_only_true_and_false_are_answers(state: Json) -> None:
    with pytest.raises(ConditionFailed, match="no-boolean"):
        holds(cel("outputs.check_status.state"), context(state=state))


def test_the_error_says_what_kind_it_is_and_no_value() -> None:
    with pytest.raises(ConditionFailed) as caught:
        holds(cel("outputs.check_status.state + 1 == 2"), context(state="+15558675310"))
    assert "15558675310" not in caught.value.message


def test_a_condition_that_runs_for_ever_is_ended() -> None:
    """The budget of iterations is the library's; what counts is that it has one."""
    items = "outputs.check_status.state"
    text = f"{items}.all(a, {items}.all(b, {items}.all(c, a + b + c >= 0)))"
    with pytest.raises(ConditionFailed):
        holds(cel(text), context(state=list(range(200))))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_any_json_gives_an_answer_or_an_error(state: Any) -> None:
    with suppress(ConditionFailed):
        held = evaluate(cel("outputs.check_status.state == 'x'"), context(state=state))
        assert held is (state == "x")

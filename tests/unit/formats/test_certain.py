"""What is certain of conditions holds whatever the answer and the inputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.expressions.conditions import condition
from orchestrator.expressions.evaluate import Context, Response, holds
from orchestrator.expressions.nodes import Json
from orchestrator.formats.certain import SUCCESSES, certain, needed_inputs

OPERANDS = (
    "$statusCode", "$response.body#/x", "$inputs.a", "$inputs.b", "$response.header.h", "200",
    "299.5", "'201'", "'x'", "true", "false", "null",
)  # fmt: skip

_comparisons = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(OPERANDS),
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(OPERANDS),
    ),
)
conditions = st.recursive(
    _comparisons | st.sampled_from(OPERANDS),
    lambda inner: (
        st.builds("!({})".format, inner)
        | st.builds("({} && {})".format, inner, inner)
        | st.builds("({} || {})".format, inner, inner)
    ),
    max_leaves=6,
)
_values: st.SearchStrategy[Json] = st.sampled_from([None, True, False, 200, "x", "201"])
_inputs = st.dictionaries(st.sampled_from("ab"), _values)
_bodies = st.dictionaries(st.just("x"), _values)


@given(conditions, st.integers(100, 599), _inputs, _bodies)
def test_what_is_certain_is_so(
    text: str, status: int, inputs: dict[str, Json], body: dict[str, Json]
) -> None:
    node = condition(text).node
    response = Response(status=status, body=dict(body), headers={"h": "x"})
    held = holds(node, Context(inputs=inputs, response=response))
    assert certain(node) != ("never" if held else "always")
    if SUCCESSES[0] <= status <= SUCCESSES[1]:
        assert certain(node, SUCCESSES) != ("never" if held else "always")


@given(conditions, st.integers(100, 599), _inputs, _bodies)
def test_without_an_input_that_it_needs_a_condition_does_not_hold(
    text: str, status: int, inputs: dict[str, Json], body: dict[str, Json]
) -> None:
    node = condition(text).node
    response = Response(status=status, body=dict(body))
    if needed_inputs(node) - inputs.keys():
        assert not holds(node, Context(inputs=inputs, response=response))


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("$response.body#/s == $inputs.a", {"a"}),
        ("$inputs.a", {"a"}),
        ("!$inputs.a", {"a"}),
        ("$inputs.a == 1 && $inputs.b == 2", {"a", "b"}),
        ("$inputs.a == 1 || $inputs.b == 2", set()),
        ("!($inputs.a != 1 || $inputs.b != 2)", {"a", "b"}),
        # what null can be, and is meant to be
        ("$inputs.a == null", set()),
        ("$inputs.a != 'x'", set()),
    ],
)
def test_needed_is_what_every_way_to_hold_goes_through(text: str, needed: set[str]) -> None:
    assert needed_inputs(condition(text).node) == needed

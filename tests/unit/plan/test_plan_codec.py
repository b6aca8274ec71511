"""A plan's bytes: equal plans have equal bytes, and unknown ones are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import NewerRelease
from orchestrator.expressions import nodes as n
from orchestrator.plan import codec
from orchestrator.plan.model import Body, HttpCall, InputSchema, Plan
from tests.fakes import plans

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
_WORD = st.text(max_size=6)
_LEAVES = st.one_of(
    st.builds(n.Constant, _SCALARS),
    st.builds(n.Input, _WORD, _WORD),
    st.builds(n.Output, _WORD, _WORD, _WORD),
    st.just(n.StatusCode()),
    st.builds(n.ResponseBody, _WORD),
    st.builds(n.ResponseHeader, _WORD),
    st.builds(n.RequestPart, st.sampled_from(["url", "body", "header"]), _WORD, _WORD),
    st.builds(n.Secret, _WORD),
)


def _inner(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(children, max_size=3).map(tuple)
    return st.one_of(
        st.builds(n.Text, some),
        st.builds(n.Array, some),
        st.builds(n.Object, st.lists(st.tuples(_WORD, children), max_size=3).map(tuple)),
        st.builds(n.Compare, st.sampled_from(["==", "<="]), children, children),
        st.builds(n.And, children, children),
        st.builds(n.Or, children, children),
        st.builds(n.Not, children),
        st.builds(n.Cel, _WORD, st.lists(st.builds(n.Output, _WORD, _WORD), max_size=2).map(tuple)),
    )


NODES = st.recursive(_LEAVES, _inner, max_leaves=8)


def shipped() -> list[Plan]:
    return [
        plans.linear("a", "b"),
        plans.charge_and_text(),
        plans.fallback_loop(),
        plans.fork_and_join(),
        plans.retry_action(),
    ]


@pytest.mark.parametrize("flow", shipped(), ids=lambda flow: flow.name)
def test_a_plan_survives_its_bytes(flow: Plan) -> None:
    data = codec.encode(flow)
    assert codec.decode(data) == flow
    assert codec.encode(codec.decode(data)) == data


@given(NODES)
def test_every_expression_survives_its_bytes(node: n.Node) -> None:
    call = HttpCall(
        provider="p", method="POST", server="https://x.test", path=(n.Constant("/"),),
        body=Body(encoding="json", content_type="application/json", value=node),
    )  # fmt: skip
    flow = plans.plan(plans.step("a", call=call, outputs=(("o", node),)))
    again = codec.decode(codec.encode(flow))
    assert again == flow
    # 1, 1.0 and True are equal in Python, but not in a request.
    assert repr(again) == repr(flow)


def test_the_digest_names_the_bytes_and_stays_the_same_from_release_to_release() -> None:
    """A change of this digest makes every stored plan, and every run key, another one."""
    data = codec.encode(plans.charge_and_text())
    assert codec.digest(data) == codec.digest(codec.encode(plans.charge_and_text()))
    assert len(codec.digest(data)) == 32
    assert codec.digest(codec.encode(plans.linear("a", "b"))) == LINEAR_DIGEST


LINEAR_DIGEST = "3122e893762bf08fe8d03fbc26b8d846"


def test_plans_that_differ_have_other_digests() -> None:
    digests = {codec.digest(codec.encode(flow)) for flow in shipped()}
    assert len(digests) == len(shipped())


def test_defaults_are_left_out_so_that_a_new_field_keeps_old_digests() -> None:
    plain = json.loads(codec.encode(plans.linear("a")))
    assert set(plain["plan"]) == {"", "name", "steps", "starts"}
    assert InputSchema() == codec.decode(codec.encode(plans.linear("a"))).inputs


@pytest.mark.parametrize(
    "document",
    [
        {"v": 0, "plan": {"": "Plan"}},
        {"v": "2", "plan": {"": "Plan"}},
        {"plan": {"": "Plan"}},
        {"v": 1, "plan": {"": "Rocket"}},
        {"v": 1, "plan": {"name": "x"}},
        {"v": 1, "plan": {"": "End"}},
        {"v": 1, "plan": [1]},
        {"v": 1},
        {"v": 1, "plan": {"": "Plan", "name": "x", "steps": [], "starts": [], "wings": 2}},
        [],
        "plan",
    ],
)
def test_bytes_that_this_release_cannot_read_are_refused_with_a_code(document: object) -> None:
    with pytest.raises(codec.PlanUnreadable):
        codec.decode(json.dumps(document).encode())


def test_a_plan_of_a_newer_release_is_left_to_it() -> None:
    with pytest.raises(NewerRelease, match="version 2, this one reads 1"):
        codec.decode(b'{"v":2,"plan":["nothing that this release knows"]}')


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe"])
def test_bytes_that_are_no_plan_at_all_are_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(codec.PlanUnreadable):
        codec.decode(data)

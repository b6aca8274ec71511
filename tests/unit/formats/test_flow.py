"""Graphs of steps: what can have run before, and which ways lead back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.formats.flow import Graph, after, back_edges, before

graphs: st.SearchStrategy[Graph] = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4)
).map(lambda g: {step: tuple(t for t in targets if t in g) for step, targets in g.items()})


@given(graphs)
def test_before_is_after_seen_from_the_other_side(graph: Graph) -> None:
    entered = before(graph)
    for step in graph:
        assert entered(step) == {other for other in graph if step in after(graph, other)}


@given(graphs)
def test_without_the_edges_back_there_is_no_cycle(graph: Graph) -> None:
    back = back_edges(graph, ())
    forward = {s: tuple(t for t in ts if (s, t) not in back) for s, ts in graph.items()}
    assert all(step not in after(forward, step) for step in forward)

"""Whatever a document says, the answer is a plan or diagnostics: never another exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report, render
from orchestrator.plan.codec import decode, encode
from orchestrator.plan.model import Plan
from tests.unit.formats.loading import PUBLISHED, loaded, published, shipped_sources

SOURCES = shipped_sources()


def seeds() -> list[Any]:
    found = []
    for file in sorted(PUBLISHED.iterdir()):
        text = published(file.name)
        tree = source.parse(text, Report(file=file.name, text=text))
        assert tree is not None
        found.append(source.plain(tree))
    return found


SEEDS = seeds()

_odd: st.SearchStrategy[Any] = st.sampled_from([
    None, True, 0, -1, 1.5, "", "x", [], {}, [[]], [None], {"": None}, "$", "$inputs", "$inputs.",
    "${", "${}", "${a}", "{$inputs.x}", "$steps.a.outputs.b", "==", "(", "data", "data.x[*]",
    "https://", "http://[", "//", "/../..", "%", "a" * 5000, 10**30, "\u0000", "<<", "goto",
    {"$ref": "#"}, {"$ref": "#/components/inputs/x"}, {"type": "simple"}, {"x-a": 1},
])  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found += places(item, (*path, key))
    return found


def changed(value: Any, path: tuple[Any, ...], odd: Any, how: str) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    key, rest = path[0], path[1:]
    if rest or how == "replace":
        copy[key] = changed(copy[key], rest, odd, how)
    elif how == "remove":
        del copy[key]
    elif isinstance(copy, dict):
        copy[f"{key}x"] = copy.pop(key)
    return copy


@st.composite
def documents(draw: st.DrawFn) -> str:
    document = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        how = draw(st.sampled_from(["replace", "remove", "rename"]))
        document = changed(document, path, draw(_odd), how)
    return json.dumps(document)


def written(document: Any) -> int:
    """How many steps a document that could be loaded has: its plan has all of them."""
    holder = document if "nodes" in document else document["workflows"][0]
    return len(holder["nodes"] if "nodes" in holder else holder["steps"])


def emptied(document: Any) -> Iterator[str]:
    """The document with each of its texts, lists and mappings emptied in turn."""
    for path in places(document)[1:]:
        empty: tuple[Any, ...] = ("", [])
        for odd in empty:
            yield json.dumps(changed(document, path, odd, "replace"))


def judged(text: str) -> tuple[Plan | None, tuple[Diagnostic, ...]]:
    try:
        return loaded(text, sources=SOURCES).plan, ()
    except DocumentRefused as refusal:
        return None, refusal.diagnostics


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_no_step_is_dropped_for_what_it_leaves_empty(seed: int) -> None:
    for text in emptied(SEEDS[seed]):
        plan, refused = judged(text)
        assert all(d.code != "bug" for d in refused)
        assert plan is None or len(plan.steps) == written(json.loads(text))


@settings(max_examples=400, deadline=None)
@given(documents())
def test_a_damaged_document_is_loaded_or_refused(text: str) -> None:
    try:
        found = loaded(text, sources=SOURCES)
    except DocumentRefused as refusal:
        diagnostics = refusal.diagnostics
        assert any(d.severity == "error" for d in diagnostics)
        assert all(d.code != "bug" for d in diagnostics)
    else:
        diagnostics = found.diagnostics
        assert decode(encode(found.plan)) == found.plan
        ids = [step.id for step in found.plan.steps]
        assert len(set(ids)) == len(ids) == written(json.loads(text))
        assert {*found.plan.starts} <= {*ids}
        assert all(
            {*step.targets(), *step.reads(), *step.awaits} <= {*ids} for step in found.plan.steps
        )
    for diagnostic in diagnostics:
        assert diagnostic.line >= 1
        assert render(diagnostic)

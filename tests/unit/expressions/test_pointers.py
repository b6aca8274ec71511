"""JSON pointers: the library's word, at a dictionary's pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpointer import EndOfList, JsonPointer

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.expressions.pointers import found

NAMES = st.sampled_from(["a", "b", "", "0", "1", "-", "~", "/"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("text"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)


@given(value=VALUES, parts=st.lists(NAMES | st.just("01"), max_size=4))
def test_a_pointer_leads_where_the_library_says(value: Json, parts: list[str]) -> None:
    pointer = JsonPointer.from_parts(parts)
    expected = pointer.resolve(value, MISSING)
    wanted = MISSING if isinstance(expected, EndOfList) else expected
    assert found(value, pointer.path) is wanted


@pytest.mark.parametrize("pointer", ["a", "a/b", "/~2"])
def test_what_is_no_pointer_leads_to_nothing(pointer: str) -> None:
    assert found({"a": 1}, pointer) is MISSING


@pytest.mark.parametrize("value", [MISSING, None, {}, "text"])
def test_the_empty_pointer_is_the_whole_value(value: Json | Missing) -> None:
    assert found(value, "") is value

"""Targets are RFC 9535 JSONPath, and hostile ones come to an end."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.overlay.targets import (
    MAX_LENGTH,
    MAX_MATCHES,
    Budget,
    Location,
    TargetInvalid,
    Targets,
    TooCostly,
)
from orchestrator.formats.tree import Tree
from tests.unit.formats.overlaying import overlaid, overlay


def tree_of(value: Any) -> Tree:
    text = json.dumps(value)
    tree = source.parse(text, Report(file="f", text=text))
    assert tree is not None
    return tree


def select(target: str, value: Any) -> list[Location]:
    targets = Targets()
    return list(targets.select(targets.compile(target), tree_of(value)))


# The values of the RFC's own examples (1.5, 2.3.5.3, 2.5.2.3).
STORE = {
    "store": {
        "book": [
            {"category": "reference", "price": 8.95},
            {"category": "fiction", "price": 12.99},
            {"category": "fiction", "isbn": "0-553-21311-3", "price": 8.99},
            {"category": "fiction", "isbn": "0-395-19395-8", "price": 22.99},
        ],
        "bicycle": {"color": "red", "price": 399},
    }
}
FILTERED = {
    "a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}],
    "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}},
    "e": "f",
}
COMPARED = {"obj": {"x": "y"}, "arr": [2, 3]}
BOTH: list[Location] = [("obj",), ("arr",)]


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        ("$", {"a": 1}, [()]),
        ("$.o['j j']['k.k']", {"o": {"j j": {"k.k": 3}}}, [("o", "j j", "k.k")]),
        ("$[\"'\"]['@']", {"'": {"@": 2}}, [("'", "@")]),
        ("$['\\u263A']", {"☺": 1}, [("☺",)]),
        ("$[-2]", ["a", "b"], [(0,)]),
        ("$[5]", ["a"], []),
        ("$[5:1:-2]", list("abcdefg"), [(5,), (3,)]),
        ("$[0:2:0]", list("abc"), []),
        ("$.store.book[*]", STORE, [("store", "book", n) for n in range(4)]),
        ("$.store.*", STORE, [("store", "book"), ("store", "bicycle")]),
        ("$..book[-1]", STORE, [("store", "book", 3)]),
        ("$..book[0,1]", STORE, [("store", "book", 0), ("store", "book", 1)]),
        ("$..book[?@.isbn]", STORE, [("store", "book", 2), ("store", "book", 3)]),
        ("$..book[?@.price<10]", STORE, [("store", "book", 0), ("store", "book", 2)]),
        ("$..[?@.color]", STORE, [("store", "bicycle")]),
        ("$.a[?@.b == 'kilo']", FILTERED, [("a", 9)]),
        ("$.a[?@>3.5]", FILTERED, [("a", 1), ("a", 4), ("a", 5)]),
        ("$[?@[?@.b]]", FILTERED, [("a",)]),
        ('$.a[?@<2 || @.b == "k"]', FILTERED, [("a", 2), ("a", 7)]),
        ('$.a[?match(@.b, "[jk]")]', FILTERED, [("a", 6), ("a", 7)]),
        ('$.a[?search(@.b, "[jk]")]', FILTERED, [("a", 6), ("a", 7), ("a", 9)]),
        ("$.o[?@>1 && @<4]", FILTERED, [("o", "q"), ("o", "r")]),
        ("$[?length(@) == 10]", FILTERED, [("a",)]),
        ("$[?count(@.*) == 5]", FILTERED, [("o",)]),
        ("$[?value(@..u) == 6]", FILTERED, [("o",)]),
        ("$[?$.absent1 == $.absent2]", COMPARED, BOTH),
        ("$[?$.absent == 'g']", COMPARED, []),
        ("$[?13 == '13']", COMPARED, []),
        ("$[?$.obj == $.arr]", COMPARED, []),
        ("$[?$.obj == $.obj]", COMPARED, BOTH),
        ("$[?@ == $.arr]", COMPARED, [("arr",)]),
        ("$[?true <= true]", COMPARED, BOTH),
        ("$[?@ == true]", [1, True], [(1,)]),
        ("$[?@ == 1]", [1, True], [(0,)]),
        ("$[?@ == null]", [None, {}, 0], [(0,)]),
        ("$[?@.d == null]", [{}], []),
        ("$[?!@.a]", [{"a": None}, {}], [(1,)]),
        ("$[?match(@, 'a.c')]", ["axc", "a\nc", "axcd", 1], [(0,)]),
        ("$[?match(@, '[')]", ["["], []),
        ("$[?match(@, '\\\\p{Lu}')]", ["Ж", "ж"], [(0,)]),
    ],
)  # fmt: skip
def test_a_target_selects_what_rfc_9535_says(
    target: str, value: Any, expected: list[Location]
) -> None:
    assert select(target, value) == expected


@pytest.mark.parametrize(
    ("target", "offset"),
    [
        ("", 0), ("a", 0), ("@.a", 0), ("$a", 1), ("$.", 2), ("$..", 3), ("$ ", 1), ("$.a-b", 3),
        ("$.'a'", 2), ("$[01]", 2), ("$[-0]", 2), ("$[]", 1), ("$[a]", 2), ("$['a", 3),
        ("$[9007199254740992]", 2), ("$[?@.a=1]", 6), ("$[?@.a in ['b']]", 7), ("$[?true]", 3),
        ("$[?@.* == 1]", 7), ("$[?length(@)]", 2), ("$[?length(@.*)>1]", 3), ("$[?foo(@)]", 3),
        ("$[?@.a == {}]", 10), ("$[?@.a == True]", 10), ("$[(@.length-1)]", 2), ("$.a|$.b", 3),
        ("$[?@.a =~ /x/]", 8), ("$[?@.a == 1e999]", 0), ("$['\\x']", 2),
    ],
)  # fmt: skip
def test_what_is_no_jsonpath_is_refused_where_it_breaks_off(target: str, offset: int) -> None:
    with pytest.raises(TargetInvalid) as caught:
        Targets().compile(target)
    assert abs(caught.value.offset - offset) <= 1


WIDE = {"a": [{"b": f"text {n} eeeeeeeeee", "c": [1, 2, "x"]} for n in range(2_000)]}


@pytest.mark.parametrize(
    "target",
    [
        "$..[?$..[?$..*]]",
        "$..[?@ == $ || $..[?@ == $]]",
        "$..*",
        "$.a..[?count($..*) > 1]",
        "$.a[?match(@.b, '((a{999}){999}){999}')]",
        "$.a[?match(@.b, '(e+)+x')]",
        f"$.a[?match(@.b, '{'e*' * 100}')]",
    ],
)
def test_a_hostile_target_is_given_up(target: str) -> None:
    with pytest.raises(TooCostly):
        select(target, {"a": WIDE, **WIDE})


@pytest.mark.parametrize(
    "target",
    [
        "$" + "..*" * 150,
        "$[?" + "(" * 250 + "@" + ")" * 250 + "]",
        "$[?" + "!" * 400 + "@]",
        "$" + ".a" * 250,
        "$" + "[?@" * 120 + "]" * 120,
        "$[" + "1" * 500 + "]",
        "$[?@==1e" + "9" * 400 + "]",
        "$." + "a" * MAX_LENGTH,
    ],
)
def test_a_monstrous_target_is_refused_or_evaluated_but_never_crashes(target: str) -> None:
    with suppress(TargetInvalid, TooCostly):
        assert select(target, {"a": {"b": []}}) in ([], [("a",)])


def test_a_pattern_that_takes_too_long_is_given_up() -> None:
    targets = Targets(budget=Budget(pattern_s=0.05))
    query = targets.compile(f"$[?match(@, '{'e*' * 20}[xy]')]")
    with pytest.raises(TooCostly):
        targets.select(query, tree_of(["e" * 400]))


def test_one_budget_is_for_all_targets_together() -> None:
    targets, tree = Targets(budget=Budget(values=1_000)), tree_of({"a": list(range(100))})
    query = targets.compile("$.a[*]")
    selected = (targets.select(query, tree) for _ in range(10))
    with pytest.raises(TooCostly):
        list(selected)


def test_a_hostile_target_is_an_error_at_the_target_and_ends_the_overlay() -> None:
    document = json.dumps(WIDE)
    costly = "  - {target: '$..[?$..[?$..*]]', update: {}}\n  - {target: $.no, update: {}}\n"
    _, found = overlaid(document, costly)
    assert [(d.code, d.line, d.column) for d in found] == [("overlay-target-cost", 4, 14)]


def test_a_target_selects_so_many_nodes_at_most() -> None:
    many: dict[str, list[list[int]]] = {"a": [[] for _ in range(MAX_MATCHES + 1)]}
    with pytest.raises(TooCostly):
        select("$.a[*]", many)
    assert len(select("$.a[1:]", many)) == MAX_MATCHES


def test_what_comes_out_is_no_larger_than_what_may_come_in() -> None:
    """Updates that multiply, by breadth and by depth."""
    breadth = "  - {target: '$..a', update: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}\n" * 12
    wide = json.dumps({"a": [{"a": []} for _ in range(900)]})
    _, found = overlaid(wide, breadth)
    assert [d.code for d in found] in (["overlay-too-large"], ["overlay-target-cost"])
    level = "{a: " * 40 + "{}" + "}" * 40
    deeper = f"  - {{target: '$..[?length(@) == 0]', update: {level}}}\n"
    _, found = overlaid("{a: {}}", deeper * 3)
    assert [(d.code, d.line) for d in found] == [("overlay-too-large", 5)]


def test_many_wide_updates_are_paid_for_before_they_are_made() -> None:
    members = ", ".join(f"m{n}: 0" for n in range(5_000))
    document = json.dumps({"a": [{} for _ in range(5_000)]})
    _, found = overlaid(document, f"  - {{target: '$.a[*]', update: {{{members}}}}}")
    assert [d.code for d in found] == ["overlay-target-cost"]


_pieces = st.sampled_from([
    *"$.@[]()?*'\"\\,:-01 ab_=<>!&|~#^",
    "..",
    "?@",
    "&&",
    "==",
    "length(",
    "match(",
    "['a']",
    "1e9",
])


@given(st.lists(_pieces, max_size=24).map(lambda parts: "$" + "".join(parts)))
def test_no_target_makes_an_overlay_raise(target: str) -> None:
    action = f"  - {{target: {json.dumps(target)}, update: {{}}}}"
    _, found = overlaid("a: [1, {b: null}, x]", overlay(action))
    assert all(d.code.startswith("overlay-") for d in found)

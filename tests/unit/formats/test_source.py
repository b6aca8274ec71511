"""YAML 1.2 core with positions; nothing hostile gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.formats.diagnostics import Report
from orchestrator.formats.source import Limits, Mapping, Scalar, Tree, find, parse, plain, scalars


def read(text: str, **limits: int) -> tuple[Tree | None, list[str]]:
    report = Report(file="f.yaml", text=text)
    given_limits = {"size": 1 << 20, "depth": 64, "nodes": 100_000, "scalar": 1 << 16} | limits
    tree = parse(text, report, Limits(**given_limits))
    return tree, [d.code for d in report.diagnostics]


def value(text: str) -> Any:
    tree, problems = read(f"v: {text}\n")
    assert problems == []
    assert isinstance(tree, Mapping)
    found = tree.get("v")
    assert found is not None
    return plain(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None), ("~", None), ("", None), ("NULL", None),
        ("true", True), ("True", True), ("false", False),
        ("0", 0), ("-7", -7), ("0o17", 15), ("0xff", 255),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-1.", -1.0),
        ("no", "no"), ("on", "on"), ("yes", "yes"),
        ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"), ("0b11", "0b11"), ("'5'", "5"), ('"true"', "true"),
        ("!!str 5", "5"), ("1.0.1", "1.0.1"),
    ],
)  # fmt: skip
def test_a_plain_scalar_has_its_yaml_1_2_core_type(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("number", ["0912345678", "+15005550006", "007", "00"])
def test_a_number_that_would_lose_characters_stays_text(number: str) -> None:
    """Phone numbers: YAML 1.2 (10.3.2) would read 912345678 and 15005550006."""
    assert value(number) == number


def test_scalars_keep_how_they_were_written() -> None:
    tree, _ = read("version: 1.10\n")
    assert tree is not None
    assert [s.text for s in scalars(tree)] == ["1.10"]


def test_keys_are_texts_as_they_are_written() -> None:
    tree, problems = read("200: ok\ntrue: yes\n")
    assert problems == []
    assert tree is not None
    assert plain(tree) == {"200": "ok", "true": "yes"}


def test_every_duplicate_key_is_reported_where_it_is() -> None:
    report = Report(file="f.yaml", text="a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert parse(report.text, report) is None
    found = [(d.code, d.line, d.column) for d in report.diagnostics]
    assert found == [("yaml-duplicate-key", 2, 11), ("yaml-duplicate-key", 3, 1)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [1, 2\nb: 3", "yaml-syntax"),
        ("a: \x00", "yaml-syntax"),
        ("a\ud800: 1", "yaml-syntax"),
        ("\ta: 1", "yaml-syntax"),
        ("a: 1\n---\nb: 2\n", "yaml-several-documents"),
        ("", "yaml-empty"),
        ("# nothing\n", "yaml-empty"),
        ("a: !!python/object/apply:os.system [x]", "yaml-tag"),
        ("a: !mine {}", "yaml-tag"),
        ("a: !!binary aGk=", "yaml-tag"),
        ("a: !!set {}", "yaml-tag"),
        ("? [a]\n: 1", "yaml-key"),
        ("? {a: 1}\n: 1", "yaml-key"),
        ("a: .inf", "yaml-number"),
        ("a: .nan", "yaml-number"),
        ("a: 1e999", "yaml-number"),
        (f"a: {'9' * 65}", "yaml-number"),
        ("a: *nobody", "yaml-alias"),
        ("a: &a [*a]", "yaml-alias"),
        ("a: &a {b: {c: *a}}", "yaml-alias"),
        ("<<: 5", "yaml-merge-key"),
    ],
)
def test_what_is_no_plain_document_is_refused(text: str, code: str) -> None:
    tree, problems = read(text)
    assert tree is None
    assert problems == [code]


def test_a_syntax_error_is_shown_where_it_is() -> None:
    report = Report(file="f.yaml", text="a:\n  b: [1, 2\nc: 3\n")
    parse(report.text, report)
    [problem] = report.diagnostics
    assert (problem.line, problem.excerpt) == (3, "c: 3")


def test_aliases_are_written_out() -> None:
    tree, problems = read("a: &x {n: [1]}\nb: *x\n")
    assert problems == []
    assert tree is not None
    assert plain(tree) == {"a": {"n": [1]}, "b": {"n": [1]}}
    found = find(tree, "/b/n/0")
    assert found is not None
    assert (found.place.pointer, found.place.line) == ("/b/n/0", 2)


def test_a_merge_brings_in_what_the_mapping_does_not_have() -> None:
    tree, problems = read("a: &x {n: 1, m: 1}\nb: &y {m: 2, o: 2}\nc: {<<: [*x, *y], n: 3}\n")
    assert problems == []
    assert isinstance(tree, Mapping)
    merged = tree.get("c")
    assert merged is not None
    assert plain(merged) == {"n": 3, "m": 1, "o": 2}


def test_an_alias_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert read("\n".join(lines)) == (None, ["yaml-too-large"])


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_and_does_not_crash(opening: str) -> None:
    tree, problems = read(opening * 20_000)
    assert tree is None
    assert problems[0] in {"yaml-too-deep", "yaml-key"}


def test_deep_aliases_are_deep() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 80)]
    assert read("\n".join(lines)) == (None, ["yaml-too-deep"])


def test_large_documents_and_texts_are_refused() -> None:
    assert read("a: 1", size=3) == (None, ["yaml-too-large"])
    assert read("[1, 2, 3]", nodes=3) == (None, ["yaml-too-large"])
    assert read("a: abcdef", scalar=5) == (None, ["yaml-too-large"])


_json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
_json = st.recursive(
    _json_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner)
    ),
    max_leaves=20,
)


@given(_json)
def test_json_documents_are_read_as_json_reads_them(document: Any) -> None:
    """JSON is YAML, but for "<<", 1024-character keys and surrogate pairs, which are joined."""
    text = json.dumps({"v": document})
    if '"<<"' in text:
        return
    tree, problems = read(text)
    assert problems == []
    assert tree is not None
    assert plain(tree) == json.loads(text)


@given(_json)
def test_every_value_is_found_by_its_own_pointer(document: Any) -> None:
    text = json.dumps({"v": document}, indent=1)
    tree, _ = read(text)
    if tree is None:
        return
    lines = text.splitlines()
    for scalar in scalars(tree):
        assert find(tree, scalar.place.pointer) is scalar
        assert 1 <= scalar.place.line <= len(lines)


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    tree, problems = read(text)
    assert (tree is None) == (problems != [])


def test_a_place_inside_of_a_text_is_found() -> None:
    tree, _ = read("a: plain text\nb: 'quoted text'\nc: |\n  block text\nd: \"esc\\taped\"\n")
    assert isinstance(tree, Mapping)
    places = {}
    for key, found in tree.entries:
        assert isinstance(found, Scalar)
        at = found.at(6)
        places[key.text] = (at.line, at.column)
    assert places == {"a": (1, 10), "b": (2, 11), "c": (3, 4), "d": (5, 4)}


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: [1, &x 'two']}\nc: *x\nd:\n  <<: {e: 1}\n  f: |\n    long\n",
        "a: 1\n---\nb: 2",
        "a: [1",
        "",
        "a: \x00",
        "b: " + "x" * 99,
    ],
)
def test_a_part_of_another_file_says_so_everywhere(text: str) -> None:
    report = Report(file="f.yaml", text="")
    report.add_file("part.yaml", text)
    tree = parse(text, report, Limits(size=90, depth=9, nodes=99, scalar=99), file="part.yaml")
    assert {d.file for d in report.diagnostics} <= {"part.yaml"}
    assert (tree is None) == report.refused
    for scalar in scalars(tree) if tree else ():
        assert {scalar.place.file, scalar.at(1).file} == {"part.yaml"}


def test_a_tree_is_not_refused_for_what_is_wrong_elsewhere() -> None:
    report = Report(file="f.yaml", text="")
    report.error("elsewhere", "")
    assert parse("a: 1", report, file="part.yaml") is not None

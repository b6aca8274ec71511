"""An overlay that is written wrong says where, and what to do."""

from __future__ import annotations

import pytest

from orchestrator.formats.overlay.document import MAX_ACTIONS, OverlayText
from tests.unit.formats.loading import arazzo
from tests.unit.formats.overlaying import HEAD, complaints, overlaid, overlay, refused, result

CHANGES = "actions: [{target: $, update: {b: 2}}]\n"


def broken(text: str) -> list[str]:
    return complaints("a: 1", OverlayText(text=text, file="o.yaml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", ["o.yaml:1:1 error overlay-wrong-type"]),
        ("a: [1", ["o.yaml:2:1 error yaml-syntax"]),
        ("", ["o.yaml:1:1 error yaml-empty"]),
        ("a: 1\na: 2", ["o.yaml:2:1 error yaml-duplicate-key"]),
        (CHANGES, ["o.yaml:1:1 error overlay-missing-key"]),
        (HEAD.replace("1.0.0", "1.1.0") + CHANGES, ["o.yaml:1:10 error overlay-version"]),
        (HEAD.replace("1.0.0", "1.0") + CHANGES, ["o.yaml:1:10 error overlay-version"]),
        ("overlay: 1.0.0\n" + CHANGES, ["o.yaml:1:1 error overlay-missing-key"]),
        (
            "overlay: 1.0.0\ninfo: {titel: t, version: '1'}\n" + CHANGES,
            ["o.yaml:2:7 error overlay-missing-key", "o.yaml:2:8 error overlay-misspelt-key"],
        ),
        ("overlay: 1.0.0\ninfo: t\n" + CHANGES, ["o.yaml:2:7 error overlay-wrong-type"]),
        (HEAD, ["o.yaml:1:1 error overlay-missing-key"]),
        (HEAD + "actions: []", ["o.yaml:3:10 error overlay-no-actions"]),
        (HEAD + "actions: {}", ["o.yaml:3:10 error overlay-wrong-type"]),
        (HEAD + "actions: [a]", ["o.yaml:3:11 error overlay-wrong-type"]),
        (HEAD + "extends: [a]\n" + CHANGES, ["o.yaml:3:10 error overlay-wrong-type"]),
        (HEAD + "extend: a\n" + CHANGES, ["o.yaml:3:1 error overlay-misspelt-key"]),
        (HEAD + "servers: a\n" + CHANGES, ["o.yaml:3:1 warning overlay-unknown-key"]),
        (HEAD + "actions: [{update: {}}]", ["o.yaml:3:11 error overlay-missing-key"]),
        (
            HEAD + "actions: [{target: $, remove: yes}]",
            ["o.yaml:3:11 warning overlay-no-effect", "o.yaml:3:31 error overlay-wrong-type"],
        ),
        (
            HEAD + "actions: [{target: $, updaet: {}}]",
            ["o.yaml:3:11 warning overlay-no-effect", "o.yaml:3:23 error overlay-misspelt-key"],
        ),
        (
            HEAD + "actions: [{target: $.a.b-c, update: {}}]",
            ["o.yaml:3:25 error overlay-target"],
        ),
        (
            HEAD + "actions:\n  - target: \"$.a[?@.b = 'x']\"\n    remove: true",
            ["o.yaml:4:23 error overlay-target"],
        ),
        (
            HEAD + f"actions: [{{target: {'x' * 600}, update: {{}}}}]",
            ["o.yaml:3:20 error overlay-target"],
        ),
        (
            HEAD + "actions:\n" + "  - {target: $, update: {}}\n" * (MAX_ACTIONS + 1),
            ["o.yaml:4:3 error overlay-too-many-actions"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_overlay_is_said_where_it_is(text: str, expected: list[str]) -> None:
    assert broken(text) == expected


def test_extensions_are_nobodys_business() -> None:
    text = HEAD.replace('"1"}', '"1", x-by: {a: b}}') + (
        "x-why: [1]\nactions: [{target: $, update: {b: 2}, x-note: n, description: d}]\n"
    )
    assert result("a: 1", OverlayText(text=text, file="o.yaml")) == {"a": 1, "b": 2}


def test_an_overlay_may_be_json() -> None:
    text = (
        '{"overlay": "1.0.0", "info": {"title": "t", "version": "1"},'
        ' "actions": [{"target": "$", "update": {"b": 2}}]}'
    )
    assert result("a: 1", OverlayText(text=text, file="o.json")) == {"a": 1, "b": 2}


def test_all_that_is_wrong_with_all_overlays_is_reported_and_nothing_is_changed() -> None:
    bad = overlay("  - {target: $, update: {n: 1}}\n  - {target: a, update: {}}\n", file="1.yaml")
    worse = OverlayText(text="a: [", file="2.yaml")
    tree, found = overlaid("a: 1", bad, worse)
    assert [(d.file, d.line, d.code) for d in found] == [
        ("1.yaml", 5, "overlay-target"),
        ("2.yaml", 2, "yaml-syntax"),
    ]
    assert tree == overlaid("a: 1")[0]


def test_a_document_with_a_broken_overlay_is_refused_at_the_overlay() -> None:
    document = arazzo("      - {stepId: s, operationId: createOrder}")
    [problem] = refused(document, overlays=[overlay("  - {target: $.a[, update: {}}")])
    assert (problem.code, problem.file) == ("yaml-syntax", "over.yaml")


def test_where_a_target_breaks_off_is_pointed_at() -> None:
    _, found = overlaid("a: 1", "  - {target: '$.a[?@.b === 1]', update: {}}")
    [problem] = found
    assert problem.excerpt[problem.column - 1 :].startswith("= 1]")
    assert "RFC 9535" in problem.message
    assert "TokenType" not in problem.message

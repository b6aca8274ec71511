from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.expressions.nodes import Json
from orchestrator.policy.encoding import (
    NotEncodable,
    form,
    header_value,
    json_text,
    path_value,
    text,
    utf8,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.booleans() | st.integers(-(10**12), 10**12) | TEXTS
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)
FORMS = st.dictionaries(NAMES, VALUES, max_size=4)


def decoded(written: str) -> object:
    """A reader of bracket forms that shares nothing with the writer."""
    root: dict[str, object] = {}
    for name, value in parse_qsl(written, keep_blank_values=True, strict_parsing=bool(written)):
        keys = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        here = root
        for key in keys[:-1]:
            here = here.setdefault(key, {})  # type: ignore[assignment]
        here[keys[-1]] = value
    return root


def expected(value: Json) -> object:
    """What a form can say of a value: everything is text, and a list has numbers for names."""
    if isinstance(value, dict):
        return {name: expected(item) for name, item in value.items()}
    if isinstance(value, list):
        return {str(index): expected(item) for index, item in enumerate(value)}
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@given(fields=FORMS)
def test_a_bracket_form_reads_back_as_what_was_written(fields: dict[str, Json]) -> None:
    assert decoded(form(fields, "form-brackets")) == expected(fields)


@given(fields=st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, min_size=1)))
def test_a_repeated_form_reads_back_as_what_was_written(fields: dict[str, Json]) -> None:
    pairs = parse_qsl(form(fields, "form-repeat"), keep_blank_values=True)
    assert pairs == [
        (name, expected(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
    ]


@given(fields=FORMS, style=st.sampled_from(["form-brackets", "form-repeat"]))
def test_a_form_is_plain_ascii_without_a_raw_plus_or_space(
    fields: dict[str, Json], style: str
) -> None:
    written = form(fields, "form-brackets" if style == "form-brackets" else "form-repeat")
    assert written.isascii()
    assert " " not in written


def test_stripes_form_is_what_its_own_library_writes() -> None:
    fields: dict[str, Json] = {
        "amount": 2000,
        "confirm": True,
        "description": None,
        "metadata": {"run": "r1", "note": None},
        "payment_method_types": ["card", None, "link"],
        "line_items": [{"price": "p 1"}],
        "automatic_payment_methods": {},
        "expand": [],
        "name": "",
    }
    assert form(fields, "form-brackets") == (
        "amount=2000&confirm=true&metadata[run]=r1&payment_method_types[0]=card"
        "&payment_method_types[1]=link&line_items[0][price]=p+1&name="
    )


def test_twilios_form_repeats_lists_and_writes_objects_as_json() -> None:
    fields: dict[str, Json] = {
        "To": "+15005550006",
        "MediaUrl": ["https://a", None, "https://b"],
        "SmartEncoded": False,
        "ContentVariables": {"1": "x"},
    }
    assert form(fields, "form-repeat") == (
        "To=%2B15005550006&MediaUrl=https%3A%2F%2Fa&MediaUrl=https%3A%2F%2Fb"
        "&SmartEncoded=false&ContentVariables=%7B%221%22%3A%22x%22%7D"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2000.0, "2000"),
        (-0.0, "0"),
        (19.99, "19.99"),
        (True, "true"),
        (None, "null"),
        (10**20, "100000000000000000000"),
        ("2000", "2000"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_a_scalar_is_written_as_apis_expect_it(value: Json, written: str) -> None:
    assert text(value) == written


@given(value=VALUES)
def test_json_keeps_every_value_and_its_order(value: Json) -> None:
    again = json.loads(json_text(value))
    assert again == value
    assert json_text(again) == json_text(value)


def test_json_is_compact_keeps_the_order_of_the_document_and_empty_objects() -> None:
    fields: Json = {"meta": {}, "data": {"b": 1, "a": None, "é": 2000.0}}
    assert json_text(fields) == '{"meta":{},"data":{"b":1,"a":null,"é":2000.0}}'


@given(value=TEXTS)
def test_a_path_value_never_leaves_its_segment(value: str) -> None:
    try:
        written = path_value(value)
    except NotEncodable:
        assert value in {"", ".", ".."}
        return
    assert not set(written) & set("/?#% \\") - {"%"}
    assert unquote(written) == value


@pytest.mark.parametrize("value", ["", ".", "..", None, {}, [], "\ud800"])
def test_what_would_name_another_resource_is_no_path_value(value: Json) -> None:
    with pytest.raises(NotEncodable):
        path_value(value)


@pytest.mark.parametrize(
    "value", ["a\r\nX: y", "a\nb", "a\rb", "\0", "a\x7f", "Ω", "\x85", "\ud800"]
)
def test_no_header_value_can_begin_another_header(value: str) -> None:
    with pytest.raises(NotEncodable) as caught:
        header_value(value)
    assert value not in caught.value.message


def test_a_latin_1_header_is_sent() -> None:
    assert header_value("Café\t1") == "Café\t1"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_not_sent(value: float) -> None:
    for write in (text, json_text):
        with pytest.raises(NotEncodable):
            write(value)


def test_half_a_character_is_not_sent() -> None:
    for attempt in (lambda: utf8("\ud800"), lambda: form({"a": "\ud800"}, "form-repeat")):
        with pytest.raises(NotEncodable):
            attempt()

"""Values with expressions in them (Arazzo 1.0.1 "Runtime Expressions", 1.1's embedding)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import RenderFailed
from orchestrator.expressions.evaluate import (
    Context,
    Request,
    Response,
    absent,
    as_text,
    evaluate,
    holds,
)
from orchestrator.expressions.lexer import ExpressionInvalid
from orchestrator.expressions.nodes import (
    MISSING,
    Array,
    Constant,
    Input,
    Object,
    Output,
    Secret,
    Text,
)
from orchestrator.expressions.references import reference
from orchestrator.expressions.templates import template

CONTEXT = Context(
    inputs={"n": 5, "s": "x", "t": True, "z": None, "o": {"a": [1, None]}, "f": 1.5},
    outputs={"attempt-payment": {"paymentId": "pi_1"}},
    response=Response(status=201, headers={"x-id": "h"}, body={"a/b": 1, "l": [10, 20]}),
    request=Request(
        method="GET", url="u", headers={"h": "1"}, query={"q": "2"}, path={"p": "3"}, body={"b": 4}
    ),
)


def test_a_whole_expression_keeps_its_type() -> None:
    for name, value in CONTEXT.inputs.items():
        assert evaluate(template(f"$inputs.{name}").node, CONTEXT) is value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("n={$inputs.n}", "n=5"),
        ("{$inputs.n}", "5"),
        ("{$inputs.s}{$inputs.s}", "xx"),
        ("{$inputs.t}", "true"),
        ("{$inputs.z}", "null"),
        ("{$inputs.f}", "1.5"),
        ("{$inputs.o}", '{"a":[1,null]}'),
        ("{$inputs.o#/a/0}!", "1!"),
        ("{$response.body#/a~1b}", "1"),
        ("é{$inputs.n}ü", "é5ü"),
    ],
)
def test_embedded_scalars_become_text_and_structures_json(text: str, written: str) -> None:
    parsed = template(text)
    assert parsed.notes == ()
    assert evaluate(parsed.node, CONTEXT) == written


@pytest.mark.parametrize(
    "text",
    [
        "$5 off", "costs $5", "$", "$$", "$.id", "$.pets[0]", "{}", "{$}", '{"a": 1}', "a $ b",
        "{$foo}", "$ref", "US$inputs", "50$", "", "$inputs or $steps", "${x}",
    ],
)  # fmt: skip
def test_what_is_no_expression_stays_as_it_is(text: str) -> None:
    assert template(text).node == Constant(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Bearer $inputs.s", "Bearer x"),
        ("$inputs.s, hello", "x, hello"),
        ("Hi $inputs.s.", "Hi x."),
        ("$inputs.s/$inputs.n", "x/5"),
        (
            "Your payment $steps.attempt-payment.outputs.paymentId failed",
            "Your payment pi_1 failed",
        ),
        ("($steps.attempt-payment.outputs.paymentId)", "(pi_1)"),
        ("first $inputs.o#/a/0, then", "first 1, then"),
    ],
)
def test_a_bare_expression_inside_of_text_is_meant_and_noted(text: str, written: str) -> None:
    """Literal by 1.1's grammar, but every published document means the value."""
    parsed = template(text)
    assert {n.code for n in parsed.notes} == {"bare-expression"}
    assert evaluate(parsed.node, CONTEXT) == written


def test_a_note_tells_where_the_bare_expression_is() -> None:
    [note] = template("{$inputs.n} and $inputs.s").notes
    assert note.offset == 16


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("$input.n", 0),
        ("$steps.a.output.b", 8),
        ("a {$steps.a} b", 11),
        ("$response.status", 9),
        ("$inputs.", 7),
        ("$response.body#a", 15),
    ],
)
def test_a_mistaken_expression_is_an_error_and_no_text(text: str, offset: int) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        template(text)
    assert caught.value.offset == offset


def test_a_value_that_is_missing_makes_all_around_it_missing() -> None:
    for node in (
        template("a {$inputs.nope} b").node,
        Object((("a", Constant(1)), ("b", Input("nope")))),
        Array((Input("nope"),)),
    ):
        assert evaluate(node, CONTEXT) is MISSING
        assert absent(node, CONTEXT) == (Input("nope"),)


@pytest.mark.parametrize(
    "text",
    [
        "$inputs.o#/b", "$inputs.o#/a/9", "$inputs.o#/a/-", "$inputs.o#/a/01", "$inputs.n#/x",
        "$inputs.s#/0", "$inputs.z#/x", "$steps.x.outputs.y", "$response.header.nope",
        "$request.query.nope", "$response.body#/l/" + "9" * 400,
    ],
)  # fmt: skip
def test_a_pointer_that_leads_nowhere_is_missing(text: str) -> None:
    assert evaluate(reference(text), CONTEXT) is MISSING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$statusCode", 201), ("$url", "u"), ("$method", "GET"), ("$response.header.X-Id", "h"),
        ("$response.body", {"a/b": 1, "l": [10, 20]}), ("$response.body.l[1]", 20),
        ("$request.header.H", "1"), ("$request.query.q", "2"), ("$request.path.p", "3"),
        ("$request.body#/b", 4), ("$inputs.o.a[0]", 1), ("$inputs.o#/a/0", 1),
        ("$inputs.o#", CONTEXT.inputs["o"]),
    ],
)  # fmt: skip
def test_every_runtime_expression_has_its_value(text: str, value: object) -> None:
    assert evaluate(reference(text), CONTEXT) == value


def test_without_a_call_there_is_no_response_and_no_request() -> None:
    for text in ("$statusCode", "$response.body", "$response.header.a", "$url", "$request.body"):
        assert evaluate(reference(text), Context()) is MISSING


def test_a_secret_is_nobodys_to_evaluate() -> None:
    node = Text((Constant("Bearer "), Secret("KEY")))
    with pytest.raises(RenderFailed):
        evaluate(node, CONTEXT)
    assert not holds(Constant(1), CONTEXT)
    assert absent(node, CONTEXT) == ()


def test_an_expression_prints_itself() -> None:
    for text in ("$inputs.a#/b", "$steps.a-b.outputs.c", "$response.header.x", "$request.path.id"):
        assert str(reference(text)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (2, "2"), (2.0, "2.0"), ("é", "é")]
)
def test_scalars_are_written_as_json_writes_them(
    value: bool | float | str | None, text: str
) -> None:
    assert as_text(value) == text


@given(st.text(st.sampled_from("${}inputs.ab-#/ \n5"), max_size=60))
def test_any_text_is_a_template_or_an_invalid_one(text: str) -> None:
    try:
        parsed = template(text)
    except ExpressionInvalid as caught:
        offset = caught.offset
    else:
        offset = 0
        evaluate(parsed.node, CONTEXT)
        assert all(text[n.offset] == "$" for n in parsed.notes)
    assert 0 <= offset <= len(text)


@given(st.text(st.characters(exclude_characters="$"), max_size=60))
def test_a_text_without_dollars_is_itself(text: str) -> None:
    assert template(text).node == Constant(text)


def test_too_many_expressions_in_one_text_are_refused() -> None:
    with pytest.raises(ExpressionInvalid):
        template("{$inputs.n} " * 300)


def test_step_ids_may_have_hyphens_and_underscores() -> None:
    assert reference("$steps.a-b_c.outputs.d-e") == Output("a-b_c", "d-e")

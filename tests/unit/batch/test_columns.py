"""Which column feeds which input, and what becomes of its cells."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.expressions.nodes import Json
from tests.unit.batch.files import lines, plan, refused, screened


def test_an_input_takes_the_column_of_its_name_and_no_other() -> None:
    found = screened("amount,zip,toPhone,Note\n100,x,+1,y\n")
    assert found.inputs == [{"amount": 100, "toPhone": "+1", "currency": "usd"}]
    assert found.summary.unused == ("zip", "Note")
    assert found.summary.alike == {"Note": "note"}


def test_a_mapped_column_goes_before_the_one_of_the_inputs_name() -> None:
    found = screened("cents,amount,toPhone\n100,1,+1\n", mapping={"amount": "cents"})
    assert found.inputs[0]["amount"] == 100
    assert found.summary.unused == ("amount",)


def test_one_column_can_feed_two_inputs() -> None:
    found = screened("amount,toPhone\n100,+1\n", mapping={"note": "toPhone"})
    assert found.inputs[0]["note"] == found.inputs[0]["toPhone"] == "+1"


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        ("amount,to_phone", "; if column 'to_phone' is meant: --map toPhone=to_phone"),
        ("amount,TOPHONE", "--map toPhone=TOPHONE"),
        ("amount,toPhon", "did you mean 'toPhon'?"),
        ("amount,zip", "there is amount, zip"),
    ],
)
def test_an_input_without_a_column_is_told_before_a_row_is_read(head: str, hint: str) -> None:
    (fault,) = refused(f"{head}\n\xff,,,,")
    assert fault.code == "rows-columns"
    assert fault.message.startswith("input 'toPhone' has no column")
    assert hint in fault.message


def test_an_input_that_the_schema_requires_needs_a_column_unless_it_has_a_default() -> None:
    of = plan(referenced=(), required=["note", "currency"])
    (fault,) = refused("amount\n100\n", of)
    assert "input 'note' has no column" in fault.message


def test_a_forgotten_header_is_not_repeated() -> None:
    (fault,) = refused("100,+15551234,Jane\n200,+15551235,Joe\n")
    assert "is the first row the header?" in fault.message
    assert "amount, currency, note, toPhone" in fault.message
    assert not any(word in fault.message for word in ("100", "+1555", "Jane"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mapping": {"amount": "cent"}}, "--map amount: there is no column 'cent'"),
        ({"mapping": {"amont": "amount"}}, "has no input 'amont'; did you mean 'amount'?"),
        ({"key": "order"}, "--key: there is no column 'order'"),
    ],
)
def test_what_is_asked_for_is_there(options: dict[str, Any], message: str) -> None:
    (fault,) = refused("amount,toPhone\n100,+1\n", **options)
    assert fault.code == "rows-columns"
    assert message in fault.message


@pytest.mark.parametrize(
    ("schema", "cell", "value"),
    [
        ({"type": "integer"}, "-20", -20),
        ({"type": "integer"}, "9007199254740993", 9007199254740993),
        ({"type": "number"}, "19.99", 19.99),
        ({"type": "number"}, "0.10", 0.1),
        ({"type": "number"}, "20", 20),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "FALSE", False),
        ({"type": "boolean"}, "1", True),
        ({"type": ["boolean", "null"]}, "0", False),
        ({"type": ["boolean", "integer"]}, "1", 1),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": "array"}, '[1,"a"]', [1, "a"]),
        ({"type": "object"}, '{"a":null}', {"a": None}),
        ({"type": "string"}, "007", "007"),
        ({"type": "string"}, "", ""),
        ({}, "1", "1"),
    ],
)
def test_a_cell_becomes_what_the_schema_says(
    schema: dict[str, Json], cell: str, value: Json
) -> None:
    of = plan({"a": schema, "b": {"type": "integer"}}, referenced=())
    quoted = '"' + cell.replace('"', '""') + '"'
    (given,) = screened(f"a,b\n{quoted},1\n", of).inputs
    assert given["a"] == value
    assert type(given["a"]) is type(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"}, {"type": "number"}, {"type": "boolean"}, {"type": "array"},
        {"type": ["integer", "null"]}, {"type": "string", "default": "x"}, {"default": 4},
    ],
)  # fmt: skip
def test_an_empty_cell_gives_nothing_but_to_a_text_without_a_default(
    schema: dict[str, Json],
) -> None:
    of = plan({"a": schema, "b": {}}, referenced=())
    (given,) = screened("a,b\n,1\n", of).inputs
    wanted = {"a": schema["default"], "b": "1"} if "default" in schema else {"b": "1"}
    assert given == wanted


@pytest.mark.parametrize(
    ("kind", "cell", "said"),
    [
        ("integer", "1.0", "(digits only)"),
        ("integer", "1 000", "(digits only)"),
        ("integer", "٢", "(digits only)"),
        ("number", "19,99", "(a decimal with a dot, of at most 15 digits)"),
        ("number", "0.12345678901234567891", "at most 15 digits"),
        ("number", "1e400", "at most 15 digits"),
        ("number", "NaN", "at most 15 digits"),
        ("boolean", "yes", "(true or false)"),
        ("object", "[1]", "(a JSON object)"),
        ("array", "[" * 70 + "]" * 70, "(a JSON array)"),
    ],
)
def test_a_cell_of_another_type_is_a_fault_that_says_how_it_is_written(
    kind: str, cell: str, said: str
) -> None:
    of = plan({"b": {}, "a": {"type": kind}}, referenced=())
    found = screened(f'b,a\nx,"{cell}"\n', of)
    assert found.faults == [("row-type", 2, 2)]
    message = found.summary.faults[0].message
    assert message.startswith(f"column 'a': not of type {kind}")
    assert said in message


def test_a_workflow_whose_schema_is_open_takes_every_column() -> None:
    of = plan({}, referenced=("a",))
    assert screened("a,b,c\n1,2,3\n", of, mapping={"x": "c"}).inputs == [
        {"a": "1", "b": "2", "x": "3"}
    ]


def test_an_open_schema_takes_the_same_of_both_formats() -> None:
    of = plan({}, referenced=("a",))
    row = {"a": "1", "b": "2", "c": "3"}
    as_csv = screened("a,b,c\n1,2,3\n", of, mapping={"x": "c"})
    as_json = screened(lines(row), of, kind="jsonl", mapping={"x": "c"})
    assert as_csv.inputs == as_json.inputs
    assert as_csv.summary.unused == as_json.summary.unused == ()

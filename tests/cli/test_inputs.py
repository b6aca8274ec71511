"""Inputs from the command line, by the workflow's schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.cli.inputs import gather, read
from orchestrator.errors import InputsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import InputSchema

_SCHEMA = InputSchema(
    schema=json.dumps({
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "whole": {"type": "integer"},
            "number": {"type": "number"},
            "yes": {"type": "boolean"},
            "list": {"type": "array"},
            "object": {"type": "object"},
            "maybe": {"type": ["integer", "null"]},
            "either": {"type": ["integer", "string"]},
            "open": {},
        },
    })
)


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=+1555", "+1555"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("whole=-20", -20),
        ("number=1.5", 1.5),
        ("number=2", 2),
        ("yes=true", True),
        ("yes=false", False),
        ('list=[1, "a"]', [1, "a"]),
        ('object={"a": null}', {"a": None}),
        ("maybe=null", None),
        ("maybe=3", 3),
        ("either=3", "3"),
        ("open=3", "3"),
    ],
)
def test_a_value_takes_the_type_of_the_schema(pair: str, value: Json) -> None:
    found = gather(_SCHEMA, [pair], None)
    assert list(found.values()) == [value]
    assert type(next(iter(found.values()))) is type(value)


@pytest.mark.parametrize(
    "pair",
    [
        "whole=2.0", "whole=", "whole= 2", "whole=2_000", "whole=٢", "number=true", "number=NaN",
        "number=1e", "yes=True", "yes=1", "list={}", 'object={"a":1,"a":2}', "object=[", "maybe=x",
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_and_not_repeated(pair: str) -> None:
    name, _, text = pair.partition("=")
    with pytest.raises(InputsRefused) as refused:
        gather(_SCHEMA, [pair], None)
    (problem,) = refused.value.problems
    assert problem.startswith(f"input {name!r}: the value is not of type ")
    assert not text or len(text) < 3 or text not in problem


def test_all_problems_are_said_together() -> None:
    with pytest.raises(InputsRefused) as refused:
        gather(_SCHEMA, ["whole=x", "yes=y", "txt=z"], None)
    assert len(refused.value.problems) == 3


def test_a_pair_goes_before_the_document() -> None:
    assert gather(_SCHEMA, ["whole=2"], '{"whole": 1, "text": "a"}') == {"whole": 2, "text": "a"}


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {"a": {}}, "additionalProperties": {"type": "string"}}]
)
def test_an_open_schema_takes_any_name(schema: Json) -> None:
    assert gather(InputSchema(schema=json.dumps(schema)), ["b=1"], None) == {"b": "1"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "expected a JSON object"),
        ("{", "not JSON: "),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' stands there twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": ' + "9" * 5000 + "}", "a value is too large"),
        ("[" * 100_000, "a value is too large"),
        ("@/nowhere/inputs.json", "No such file"),
    ],
)
def test_inputs_that_are_no_json_object_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InputsRefused, match=problem):
        read(text)


def test_a_file_of_inputs_has_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text("\ufeff" + '{"a": 1}')
    assert read(f"@{file}") == {"a": 1}
    file.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(InputsRefused, match="more than 1024 KiB"):
        read(f"@{file}")

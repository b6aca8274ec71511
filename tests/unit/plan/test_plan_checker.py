"""Inputs are judged by a schema that is compiled once."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import InputsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.checker import Checker, checker
from orchestrator.plan.model import InputSchema

SCHEMA = InputSchema(
    schema=json.dumps({
        "type": "object",
        "properties": {
            "amount": {"type": "integer", "minimum": 50},
            "address": {"type": "object", "additionalProperties": False,
                        "propertyNames": {"pattern": "^z"}},
            "either": {"oneOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["amount", "phone"],
    }),
    referenced=("amount",),
    defaults=(("either", "7"),),
)  # fmt: skip


def test_plans_with_equal_schemas_share_a_checker() -> None:
    assert checker(SCHEMA) is checker(InputSchema(
        schema=SCHEMA.schema, referenced=SCHEMA.referenced, defaults=SCHEMA.defaults
    ))  # fmt: skip
    assert checker(SCHEMA) is not checker(InputSchema(schema=SCHEMA.schema))


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ({"amount": 50, "phone": ""}, []),
        ({"amount": 49}, ["phone", "amount"]),
        ({"phone": ""}, ["amount"]),
        ({"amount": None, "phone": ""}, ["amount", "amount"]),
        ({"amount": 50, "phone": "", "either": "x"}, ["either"]),
    ],
)
def test_what_fits_has_no_problems(given: dict[str, Json], inputs: list[str]) -> None:
    judge = Checker(SCHEMA)
    filled = judge.filled(given)
    assert [problem.input for problem in judge.problems(filled)] == inputs
    assert judge.fits(filled) == (not inputs)
    if inputs:
        with pytest.raises(InputsRefused) as refused:
            judge.check(given)
        assert len(refused.value.problems) == len(inputs)
    else:
        assert judge.check(given) == {"either": 7, **given}


def test_a_rule_has_no_word_of_the_value() -> None:
    judge = Checker(SCHEMA)
    given: dict[str, Json] = {"amount": 50, "phone": "", "address": {"CANARY": "CANARY"}}
    rules = [problem.rule for problem in judge.problems(given)]
    assert len(rules) == 2
    assert all(rule.startswith("input 'address': the schema's ") for rule in rules)
    assert "CANARY" not in "".join(rules)

"""Do these inputs fit the workflow: its schema compiled once, asked for every run and row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import jsonschema_rs

from orchestrator.errors import InputsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import InputSchema

#: A run's inputs as JSON. Bytes.
MAX_INPUTS: Final = 256 * 1024
#: A run key, and the name of its scope. Characters.
MAX_KEY: Final = 256
#: Keywords whose messages hold words of the schema only. Others may name what stands in a value.
_OF_SCHEMA: Final = frozenset({
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "format", "minItems", "maxItems",
    "uniqueItems", "required",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    #: "" where it is about all inputs together.
    input: str
    #: What to tell who gave the inputs. It holds no value; names inside of a value it may.
    message: str
    #: The same in words of the schema only.
    rule: str


class Checker:
    """Judges inputs by one schema, as often as asked. Threads may share it."""

    def __init__(self, schema: InputSchema) -> None:
        self._referenced = schema.referenced
        self._defaults = {name: json.loads(text) for name, text in schema.defaults}
        self._validator = jsonschema_rs.validator_for(
            json.loads(schema.schema), mask="the value", retriever=_no_retrieval
        )

    def filled(self, inputs: Mapping[str, Json]) -> dict[str, Json]:
        """With the defaults of what is not given."""
        return {**self._defaults, **inputs}

    def fits(self, filled: Mapping[str, Json]) -> bool:
        """Whether ``problems`` has none; faster."""
        for name in self._referenced:
            if filled.get(name) is None:
                return False
        return self._validator.is_valid(filled)

    def problems(self, filled: Mapping[str, Json]) -> Iterator[Problem]:
        missing = {name for name in self._referenced if filled.get(name) is None}
        for name in self._referenced:
            if name in missing:
                message = f"input {name!r} is missing: a request or a criterion needs it"
                yield Problem(input=name, message=message, rule=message)
        for error in self._validator.iter_errors(filled):
            keyword = error.kind.name
            if not (keyword == "required" and error.kind.property in missing):  # type: ignore[attr-defined]
                yield _problem(error, keyword)

    def check(self, inputs: Mapping[str, Json]) -> dict[str, Json]:
        """The inputs with their defaults. Raises InputsRefused with all that is wrong."""
        filled = self.filled(inputs)
        if too_large(filled):
            raise InputsRefused([f"the inputs are larger than {MAX_INPUTS // 1024} KiB"])
        if problems := [problem.message for problem in self.problems(filled)]:
            raise InputsRefused(problems)
        return filled


@lru_cache(maxsize=64)
def checker(schema: InputSchema) -> Checker:
    return Checker(schema)


def too_large(filled: Mapping[str, Json]) -> bool:
    return len(json.dumps(filled)) > MAX_INPUTS


def _problem(error: jsonschema_rs.ValidationError, keyword: str) -> Problem:
    where = "/".join(str(part) for part in error.instance_path)
    name = str(error.instance_path[0]) if error.instance_path else _required(error)
    rule = error.message if keyword in _OF_SCHEMA else f"the schema's {keyword} does not hold"
    return Problem(
        input=name,
        message=f"input {where!r}: {error.message}" if where else error.message,
        rule=f"input {name!r}: {rule}" if name else rule,
    )


def _required(error: jsonschema_rs.ValidationError) -> str:
    return str(getattr(error.kind, "property", "")) if error.kind.name == "required" else ""


def _no_retrieval(uri: str) -> None:
    raise ValueError(f"a schema may not refer to {uri}")

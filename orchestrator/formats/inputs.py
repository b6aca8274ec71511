"""A workflow's inputs: their JSON Schema, checked and canonical, and the names it declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NoReturn, TypeAlias

import jsonschema_rs

from orchestrator.expressions.nodes import Json
from orchestrator.formats.canonical import canonical
from orchestrator.formats.certain import needed_inputs
from orchestrator.plan.model import InputSchema, Step, referenced_inputs

JsonObject: TypeAlias = "dict[str, Json]"

#: Keywords through which a schema can allow names that ``properties`` does not list.
_OPEN: Final = frozenset({
    "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties",
    "dependentSchemas", "additionalProperties", "propertyNames",
})  # fmt: skip


def input_schema(schema: Json, steps: Iterable[Step]) -> InputSchema:
    properties = _properties(schema)
    defaults = (
        (name, canonical(written["default"]))
        for name, written in sorted(properties.items())
        if isinstance(written, dict) and "default" in written
    )
    return InputSchema(
        schema=canonical(schema),
        referenced=_referenced(tuple(steps)),
        defaults=tuple(defaults),
    )


def _referenced(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """What a request needs, then what a success criterion cannot hold without."""
    criteria = (node for step in steps for node in step.criteria)
    judged = (name for node in criteria for name in sorted(needed_inputs(node)))
    return tuple(dict.fromkeys((*referenced_inputs(steps), *judged)))


def declared(schema: Json) -> frozenset[str] | None:
    """Names of the inputs; None if the schema leaves open which there may be."""
    if not isinstance(schema, dict):
        return None
    opened = {k for k in _OPEN & schema.keys() if schema[k] is not False}
    return None if opened else frozenset(_properties(schema))


def problem_of(schema: Json) -> tuple[str, str] | None:
    """JSON pointer and reason if inputs cannot be judged by this schema (JSON Schema 2020-12)."""
    if not isinstance(schema, dict | bool):
        return "", "a schema is a mapping"
    for ref in _refs(schema):
        if not ref.startswith("#"):
            return "", f"'{ref}' leads out of the document"
    try:
        jsonschema_rs.Draft202012Validator(schema, retriever=_retrieve_nothing)
    except jsonschema_rs.ValidationError as problem:
        return "".join(f"/{part}" for part in problem.instance_path), problem.message
    except jsonschema_rs.ReferencingError as problem:
        return "", str(problem)
    return None


def _retrieve_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched")


def _properties(schema: Json) -> JsonObject:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def _refs(schema: Json) -> Iterator[str]:
    match schema:
        case dict():
            for name in ("$ref", "$dynamicRef"):
                if isinstance(ref := schema.get(name), str):
                    yield ref
            for value in schema.values():
                yield from _refs(value)
        case list():
            for item in schema:
                yield from _refs(item)
        case _:
            pass

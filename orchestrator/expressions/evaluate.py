"""What a node is worth: pure, total over JSON, MISSING apart from null.

The rules are Arazzo's (1.1 "Condition Evaluation", where 1.0.1 is silent):

- strings compare without case where the dialect says so, numbers as numbers, and a
  numeric string beside a number as that number; true and false are no numbers;
- null equals only null, and orders with nothing;
- a comparison with something MISSING has no answer, whatever its operator: nothing is
  concluded from what is not there, so a condition that rests on it does not hold.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from orchestrator.errors import RenderFailed
from orchestrator.expressions import cel
from orchestrator.expressions.nodes import (
    MISSING,
    And,
    Array,
    Cel,
    Compare,
    Comparison,
    Constant,
    Input,
    Json,
    Missing,
    Node,
    Not,
    Object,
    Or,
    Output,
    RequestPart,
    ResponseBody,
    ResponseHeader,
    Secret,
    StatusCode,
    Text,
    walk,
)
from orchestrator.expressions.pointers import found as found_at

Value: TypeAlias = "Json | Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    #: By lower-case name.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Value = MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: str
    #: By lower-case name.
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    body: Value = MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a node can see: a run's inputs, its steps' outputs, and this step's own call."""

    inputs: Mapping[str, Json] = field(default_factory=dict)
    #: By step id, then by name.
    outputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    response: Response | None = None
    request: Request | None = None


#: Long enough for any amount, short enough for Python's limit on digits.
_MAYBE_NUMBER = re.compile(r"[-+.eE0-9]{1,64}")


def evaluate(node: Node, context: Context) -> Value:
    """MISSING if the node, or anything it is made of, is not there.

    Raises RenderFailed for a Secret: the sender resolves those, nobody else may. Raises
    ConditionFailed for a condition in CEL that gives an error, as of something missing.
    """
    match node:
        case Constant(value):
            return value
        case Text(parts):
            return _text(parts, context)
        case Array(items):
            return _array(items, context)
        case Object(members):
            return _object(members, context)
        case Compare():
            left, right = evaluate(node.left, context), evaluate(node.right, context)
            return _compare(node.operator, left, right)
        case And() | Or() | Not():
            return _logic(node, context)
        case Cel():
            return cel.holds(node.text, _named(node.names, context))
        case _:
            return _reference(node, context)


def holds(node: Node, context: Context) -> bool:
    """A condition holds if it is true: not if it is null, missing or another value."""
    return evaluate(node, context) is True


def absent(node: Node, context: Context) -> tuple[Node, ...]:
    """The references in a node that are not there: what makes it MISSING, to be named."""
    return tuple(
        part
        for part in walk(node)
        if isinstance(part, _REFERENCES) and isinstance(_reference(part, context), Missing)
    )


_Reference: TypeAlias = (
    Input | Output | StatusCode | ResponseBody | ResponseHeader | RequestPart | Secret
)
_REFERENCES = (Input, Output, StatusCode, ResponseBody, ResponseHeader, RequestPart)


def _reference(node: _Reference, context: Context) -> Value:
    match node:
        case Input():
            return found_at(context.inputs.get(node.name, MISSING), node.pointer)
        case Output():
            outputs = context.outputs.get(node.step, {})
            return found_at(outputs.get(node.name, MISSING), node.pointer)
        case RequestPart():
            return MISSING if context.request is None else _request_part(node, context.request)
        case Secret():
            raise RenderFailed(f"the secret {node.name} is resolved when the request is sent")
        case _:
            return MISSING if context.response is None else _response(node, context.response)


def _response(node: StatusCode | ResponseBody | ResponseHeader, response: Response) -> Value:
    match node:
        case StatusCode():
            return response.status
        case ResponseBody():
            return found_at(response.body, node.pointer)
        case ResponseHeader():
            return response.headers.get(node.name, MISSING)


def _request_part(node: RequestPart, request: Request) -> Value:
    match node.part:
        case "url":
            return request.url
        case "method":
            return request.method
        case "body":
            return found_at(request.body, node.pointer)
        case "header":
            return request.headers.get(node.name, MISSING)
        case "query":
            return request.query.get(node.name, MISSING)
        case "path":
            return request.path.get(node.name, MISSING)


def _values(nodes: Iterable[Node], context: Context) -> Iterator[Value]:
    return (evaluate(node, context) for node in nodes)


def _text(parts: Iterable[Node], context: Context) -> Value:
    written: list[str] = []
    for value in _values(parts, context):
        if isinstance(value, Missing):
            return MISSING
        written.append(as_text(value))
    return "".join(written)


def as_text(value: Json) -> str:
    """Scalars as JSON writes them but without quotes, structures as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _array(items: Iterable[Node], context: Context) -> Value:
    found: list[Json] = []
    for value in _values(items, context):
        if isinstance(value, Missing):
            return MISSING
        found.append(value)
    return found


def _object(members: Iterable[tuple[str, Node]], context: Context) -> Value:
    found: dict[str, Json] = {}
    for name, node in members:
        value = evaluate(node, context)
        if isinstance(value, Missing):
            return MISSING
        found[name] = value
    return found


def _logic(node: And | Or | Not, context: Context) -> Value:
    """Three-valued: what has no answer stays without one, unless the other side decides."""
    match node:
        case Not(operand):
            value = _truth(operand, context)
            return MISSING if value is None else not value
        case And():
            return _joined(node.left, node.right, context, decisive=False)
        case Or():
            return _joined(node.left, node.right, context, decisive=True)


def _joined(left: Node, right: Node, context: Context, *, decisive: bool) -> Value:
    first = _truth(left, context)
    if first is decisive:
        return decisive
    second = _truth(right, context)
    if second is decisive:
        return decisive
    return MISSING if first is None or second is None else not decisive


def _truth(node: Node, context: Context) -> bool | None:
    """Only true and false are answers; 1, "true" and [0] are not."""
    value = evaluate(node, context)
    return value if isinstance(value, bool) else None


def _named(names: Iterable[Input | Output], context: Context) -> dict[str, Json]:
    """The values as CEL sees them; what is missing is left out, for ``has()`` to find."""
    inputs: dict[str, Json] = {}
    outputs: dict[str, Json] = {}
    for node in names:
        value = _reference(node, context)
        *step, name = cel.path(node)[1:]
        holder = inputs
        for part in step:
            holder = outputs.setdefault(part, {})  # type: ignore[assignment]
        if not isinstance(value, Missing):
            holder[name] = value
    return {"inputs": inputs, "outputs": outputs}


def _compare(operator: Comparison, left: Value, right: Value) -> Value:
    if isinstance(left, Missing) or isinstance(right, Missing):
        return MISSING
    left, right = _as_numbers(left, right)
    left, right = _folded(left), _folded(right)
    match operator:
        case "==":
            return _equal(left, right)
        case "!=":
            return not _equal(left, right)
        case _:
            return _ordered(operator, left, right)


def _as_numbers(left: Json, right: Json) -> tuple[Json, Json]:
    """A numeric string is that number beside a number (1.1, "Simple Conditions")."""
    if _is_number(left) and isinstance(right, str):
        return left, _number(right)
    if _is_number(right) and isinstance(left, str):
        return _number(left), right
    return left, right


def _number(text: str) -> Json:
    """The number that JSON would read, else the text: not "1_000", " 5", "0x1f" or "nan"."""
    try:
        value = json.loads(text) if _MAYBE_NUMBER.fullmatch(text) else text
    except ValueError:
        return text
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return text
    return value


def _folded(value: Json) -> Json:
    return value.casefold() if isinstance(value, str) else value


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Json, right: Json) -> bool:
    """As JSON compares: 1 is 1.0, but never true, however deep."""
    match left, right:
        case list(), list():
            return len(left) == len(right) and all(map(_equal, left, right))
        case dict(), dict():
            return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
        case _:
            return (isinstance(left, bool) is isinstance(right, bool)) and left == right


def _ordered(operator: Comparison, left: Json, right: Json) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return _in_order(operator, (left > right) - (left < right))
    if _is_number(left) and _is_number(right):
        a, b = left, right
        return _in_order(operator, (a > b) - (a < b))  # type: ignore[operator]  # both numbers
    return False


def _in_order(operator: Comparison, sign: int) -> bool:
    match operator:
        case "<":
            return sign < 0
        case "<=":
            return sign <= 0
        case ">":
            return sign > 0
        case _:
            return sign >= 0

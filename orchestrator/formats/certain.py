"""What is certain of a condition before any call: that it always holds, or never can.

Sound, not complete: what depends on an input, an output or a body is left open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from orchestrator.errors import ConditionFailed
from orchestrator.expressions.evaluate import Context, Response, holds
from orchestrator.expressions.nodes import (
    And,
    Cel,
    Compare,
    Constant,
    Input,
    Node,
    Not,
    Or,
    Output,
    RequestPart,
    ResponseBody,
    ResponseHeader,
    StatusCode,
    walk,
)

Certain: TypeAlias = Literal["always", "never"] | None

#: Status codes that an answer can have (RFC 9110, section 15).
ANY_STATUS: Final = (100, 599)
SUCCESSES: Final = (200, 299)
_OPEN: Final = (Input, Output, ResponseBody, ResponseHeader, RequestPart)


def certain(node: Node, statuses: tuple[int, int] = ANY_STATUS) -> Certain:
    """For answers whose status is within ``statuses``, both ends included."""
    if is_closed(node):
        return _tried(node, statuses)
    match node:
        case And():
            both = certain(node.left, statuses), certain(node.right, statuses)
            return "never" if "never" in both else None
        case Or():
            both = certain(node.left, statuses), certain(node.right, statuses)
            if "always" in both:
                return "always"
            return "never" if both == ("never", "never") else None
        case Not(operand):
            return "never" if certain(operand, statuses) == "always" else None
        case _:
            return "never" if _is_text(node) else None


def is_closed(node: Node) -> bool:
    """Whether nothing but the answer's status decides."""
    return not any(isinstance(part, _OPEN) for part in walk(node))


def needed_inputs(node: Node, *, true: bool = True) -> frozenset[str]:
    """Inputs without which a condition is not ``true``, whatever else is known."""
    match node:
        case Input(name):
            return frozenset({name})
        case Not(operand):
            return needed_inputs(operand, true=not true)
        case And() | Or():
            left = needed_inputs(node.left, true=true)
            right = needed_inputs(node.right, true=true)
            return left | right if isinstance(node, And) is true else left & right
        case Compare() if _wants_values(node, true=true):
            operands = (node.left, node.right)
            return frozenset(part.name for part in operands if isinstance(part, Input))
        case _:
            return frozenset()


def _wants_values(node: Compare, *, true: bool) -> bool:
    """Not of null: that something differs from it, or is it, can be meant for no value at all."""
    if Constant(None) in (node.left, node.right):
        return False
    return node.operator != "!=" if true else node.operator == "!="


def _is_text(node: Node) -> bool:
    """A text alone is neither true nor false, and so is no condition."""
    return isinstance(node, ResponseHeader) or (
        isinstance(node, RequestPart) and node.part != "body"
    )


def _tried(node: Node, statuses: tuple[int, int]) -> Certain:
    first, *rest = sorted(_decisive(node, *statuses))
    held = _holds(node, first)
    if any(_holds(node, status) is not held for status in rest):
        return None
    return "always" if held else "never"


def _holds(node: Node, status: int) -> bool:
    try:
        return holds(node, Context(response=Response(status=status)))
    except ConditionFailed:
        return False


def _decisive(node: Node, least: int, most: int) -> set[int]:
    """Statuses that stand for all: an answer changes only at a number, or right after it."""
    near = {n for number in _numbers(node) for n in (number, number + 1)}
    return {least} | {n for n in near if least <= n <= most}


def _numbers(node: Node) -> Iterator[int]:
    if isinstance(node, Cel) or not any(isinstance(part, StatusCode) for part in walk(node)):
        return
    for part in walk(node):
        if isinstance(part, Constant) and (number := _number(part.value)) is not None:
            yield number


def _number(value: object) -> int | None:
    """Rounded down: a status is compared with numbers and with texts that are numbers."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return math.floor(number) if math.isfinite(number) else None

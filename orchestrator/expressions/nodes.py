"""What an expression is once it is parsed: frozen nodes that print themselves.

Both formats lower into these nodes, so nothing behind them knows a dialect.
Evaluation is in ``evaluate.py``; no node is ever run as Python.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


class Missing(enum.Enum):
    """A value that is not there: apart from null, and never equal to anything."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Constant:
    #: A JSON scalar; structures are ``Array`` and ``Object``.
    value: None | bool | int | float | str

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    #: JSON pointer (RFC 6901) into the value, "" for the whole.
    pointer: str = ""

    def __str__(self) -> str:
        return f"$inputs.{self.name}" + (f"#{self.pointer}" if self.pointer else "")


@dataclass(frozen=True, slots=True)
class Output:
    step: str
    name: str
    pointer: str = ""

    def __str__(self) -> str:
        tail = f"#{self.pointer}" if self.pointer else ""
        return f"$steps.{self.step}.outputs.{self.name}{tail}"


@dataclass(frozen=True, slots=True)
class StatusCode:
    def __str__(self) -> str:
        return "$statusCode"


@dataclass(frozen=True, slots=True)
class ResponseBody:
    pointer: str = ""

    def __str__(self) -> str:
        return "$response.body" + (f"#{self.pointer}" if self.pointer else "")


@dataclass(frozen=True, slots=True)
class ResponseHeader:
    #: Lower-case: header names do not know case.
    name: str

    def __str__(self) -> str:
        return f"$response.header.{self.name}"


@dataclass(frozen=True, slots=True)
class RequestPart:
    """``$url``, ``$method`` and ``$request.…`` of the step's own request."""

    part: Literal["url", "method", "body", "header", "query", "path"]
    name: str = ""
    pointer: str = ""

    def __str__(self) -> str:
        if self.part in {"url", "method"}:
            return f"${self.part}"
        name = f".{self.name}" if self.name else ""
        tail = f"#{self.pointer}" if self.pointer else ""
        return f"$request.{self.part}{name}{tail}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential by name: resolved at each send, never journaled."""

    name: str

    def __str__(self) -> str:
        return f"${{secrets.{self.name}}}"


@dataclass(frozen=True, slots=True)
class Text:
    """Parts put together as text: scalars as JSON writes them, structures as JSON."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return "".join(
            p.value if isinstance(p, Constant) and isinstance(p.value, str) else f"{{{p}}}"
            for p in self.parts
        )


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Node, ...]

    def __str__(self) -> str:
        return "[" + ", ".join(map(str, self.items)) + "]"


@dataclass(frozen=True, slots=True)
class Object:
    fields: tuple[tuple[str, Node], ...]

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {node}" for name, node in self.fields) + "}"


@dataclass(frozen=True, slots=True)
class Compare:
    """Strings are compared without case (Arazzo 1.0.1, "Criterion Object")."""

    operator: Comparison
    left: Node
    right: Node

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class And:
    left: Node
    right: Node

    def __str__(self) -> str:
        return f"({self.left} && {self.right})"


@dataclass(frozen=True, slots=True)
class Or:
    left: Node
    right: Node

    def __str__(self) -> str:
        return f"({self.left} || {self.right})"


@dataclass(frozen=True, slots=True)
class Not:
    operand: Node

    def __str__(self) -> str:
        return f"!{self.operand}"


@dataclass(frozen=True, slots=True)
class Cel:
    """A condition in CEL over ``inputs.NAME`` and ``outputs.STEP.NAME``."""

    text: str
    #: What the text names, in order of appearance, each once; no pointers: CEL has its own.
    names: tuple[Input | Output, ...] = ()

    def __str__(self) -> str:
        return self.text


Node: TypeAlias = (
    Constant
    | Input
    | Output
    | StatusCode
    | ResponseBody
    | ResponseHeader
    | RequestPart
    | Secret
    | Text
    | Array
    | Object
    | Compare
    | And
    | Or
    | Not
    | Cel
)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, outermost first."""
    yield node
    match node:
        case Text(parts):
            children: tuple[Node, ...] = parts
        case Array(items):
            children = items
        case Object(members):
            children = tuple(value for _, value in members)
        case Compare() | And() | Or():
            children = (node.left, node.right)
        case Not(operand):
            children = (operand,)
        case Cel():
            children = node.names
        case _:
            children = ()
    for child in children:
        yield from walk(child)

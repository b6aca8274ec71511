"""Runtime expressions: ``$inputs.x``, ``$steps.a.outputs.b#/c``, ``$response.body#/id``, …

The grammar is Arazzo 1.0.1's ("Runtime Expressions") with the property de-reference
that its conditions allow: ``.name`` and ``[0]`` are the pointer's ``/name`` and ``/0``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from jsonpointer import JsonPointer, JsonPointerException

from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import (
    Input,
    Node,
    Output,
    RequestPart,
    ResponseBody,
    ResponseHeader,
    StatusCode,
)

MAX_LENGTH: Final = 1024
ROOTS: Final = ("url", "method", "statusCode", "request", "response", "inputs", "steps")
#: Roots of the specification whose meaning needs what durazzo does not run yet.
LATER: Final = ("outputs", "workflows", "sourceDescriptions", "components", "message", "self")

_ROOT = re.compile(r"\$([A-Za-z]+)")
_NAME = re.compile(r"\.([A-Za-z0-9_-]+)")
_HEADER = re.compile(r"\.([A-Za-z0-9!$%&'*+^_`|~-]+)")
_MEMBER = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")


def looks_like_reference(text: str) -> bool:
    """True if the text begins as a runtime expression does, well written or not."""
    root = _ROOT.match(text)
    if root is None:
        return False
    return root[1] in ROOTS + LATER or (text[root.end() :].startswith(".") and _near(root[1]) != "")


def reference(text: str) -> Node:
    """One runtime expression, all of the text. Raises ExpressionInvalid."""
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"an expression has at most {MAX_LENGTH} characters", MAX_LENGTH)
    root = _ROOT.match(text)
    if root is None:
        raise ExpressionInvalid("an expression begins with $ and a name, e.g. $inputs.amount")
    cursor = _Cursor(text=text, offset=root.end())
    node = _after_root(root[1], cursor)
    if cursor.offset < len(text):
        raise ExpressionInvalid(
            f"'{cursor.rest}' does not belong to this expression", cursor.offset
        )
    return node


@dataclass(slots=True, kw_only=True)
class _Cursor:
    text: str
    offset: int

    @property
    def rest(self) -> str:
        return self.text[self.offset :]

    def name(self, what: str, pattern: re.Pattern[str] = _NAME) -> str:
        match = pattern.match(self.text, self.offset)
        if match is None:
            raise ExpressionInvalid(f"expected .{what} here", self.offset)
        self.offset = match.end()
        return match[1]

    def pointer(self) -> str:
        """``.a[0]`` and ``#/b`` as one pointer; a pointer takes all that is left."""
        parts = ""
        while match := _MEMBER.match(self.text, self.offset):
            parts += "/" + (match[1] or match[2])
            self.offset = match.end()
        if self.rest.startswith("#"):
            parts += _checked(self.rest[1:], self.offset + 1)
            self.offset = len(self.text)
        return parts


def _checked(pointer: str, offset: int) -> str:
    try:
        JsonPointer(pointer)
    except JsonPointerException as problem:
        raise ExpressionInvalid(f"no JSON pointer: {problem}", offset) from problem
    return pointer


def _after_root(root: str, cursor: _Cursor) -> Node:
    match root:
        case "statusCode":
            return StatusCode()
        case "url" | "method":
            return RequestPart(root)
        case "inputs":
            return Input(cursor.name("the input's name"), cursor.pointer())
        case "steps":
            return _output(cursor)
        case "response":
            return _response(cursor)
        case "request":
            return _request(cursor)
        case _:
            raise _unknown(root)


def _output(cursor: _Cursor) -> Output:
    step = cursor.name("the step's id")
    if cursor.name("outputs") != "outputs":
        raise ExpressionInvalid("of a step, only .outputs can be read", len("$steps.") + len(step))
    return Output(step, cursor.name("the output's name"), cursor.pointer())


def _response(cursor: _Cursor) -> Node:
    start = cursor.offset
    part = cursor.name("body or .header")
    match part:
        case "body":
            return ResponseBody(cursor.pointer())
        case "header":
            return ResponseHeader(cursor.name("the header's name", _HEADER).lower())
        case _:
            raise ExpressionInvalid("a response has .body and .header.NAME", start)


def _request(cursor: _Cursor) -> RequestPart:
    start = cursor.offset
    part = cursor.name("body, .header, .query or .path")
    match part:
        case "body":
            return RequestPart("body", "", cursor.pointer())
        case "header":
            return RequestPart("header", cursor.name("the header's name", _HEADER).lower())
        case "query" | "path":
            place: Literal["query", "path"] = "query" if part == "query" else "path"
            return RequestPart(place, cursor.name("the parameter's name"))
        case _:
            raise ExpressionInvalid("a request has .body, .header, .query and .path", start)


def _unknown(root: str) -> ExpressionInvalid:
    if root in LATER:
        return ExpressionUnsupported(f"${root} is not supported here yet")
    near = _near(root)
    hint = f"; did you mean ${near}?" if near else f"; there is ${', $'.join(ROOTS)}"
    return ExpressionInvalid(f"${root} is no runtime expression{hint}")


def _near(root: str) -> str:
    found = get_close_matches(root, ROOTS + LATER, n=1, cutoff=0.75)
    return found[0] if found else ""

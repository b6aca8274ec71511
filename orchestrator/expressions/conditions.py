"""Conditions: comparisons of runtime expressions and literals, joined by && || ! ( ).

A parser of its own rather than ``eval``: a condition is never run as Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, get_args

from orchestrator.expressions.lexer import ExpressionInvalid, Kind, Token, tokens
from orchestrator.expressions.nodes import And, Compare, Comparison, Constant, Node, Not, Or
from orchestrator.expressions.references import reference

#: Operands and operators of one condition, and parentheses and ! within each other: they
#: keep every recursion over a condition shallow.
MAX_TERMS: Final = 128
MAX_DEPTH: Final = 32
_LITERALS: Final[dict[str, None | bool]] = {"true": True, "false": False, "null": None}
_COMPARISONS: Final = frozenset(get_args(Comparison))


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A leniency that was taken: what the text says, and what the specification asks for."""

    code: str
    message: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    node: Node
    notes: tuple[Note, ...] = ()


def condition(text: str) -> Parsed:
    """Raises ExpressionInvalid, with the offset in ``text``."""
    inner, shift, notes = _unbraced(text)
    try:
        parser = _Parser(tokens=tokens(inner))
        node = parser.whole()
    except ExpressionInvalid as problem:
        raise problem.moved(shift) from problem
    moved = (Note(code=n.code, message=n.message, offset=n.offset + shift) for n in parser.notes)
    return Parsed(node=node, notes=(*notes, *moved))


def _unbraced(text: str) -> tuple[str, int, tuple[Note, ...]]:
    """``{$statusCode == 401}`` is how an example in Arazzo 1.0.1 has it; 1.1 corrects it."""
    stripped = text.strip()
    if not (stripped.startswith("{$") and stripped.endswith("}")):
        return text, 0, ()
    note = Note(code="braced-condition", message="a condition stands without braces")
    return stripped[1:-1], text.index("{") + 1, (note,)


@dataclass(slots=True, kw_only=True)
class _Parser:
    tokens: tuple[Token, ...]
    position: int = 0
    terms: int = 0
    depth: int = 0
    notes: list[Note] = field(default_factory=list)

    def whole(self) -> Node:
        node = self._or()
        if self._peek.kind is not Kind.END:
            raise ExpressionInvalid(f"'{self._peek.text}' is too much here", self._peek.offset)
        return node

    @property
    def _peek(self) -> Token:
        return self.tokens[self.position]

    def _take(self) -> Token:
        token = self._peek
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise ExpressionInvalid(f"a condition has at most {MAX_TERMS} terms", token.offset)
        self.position += 1
        return token

    def _takes(self, operator: str) -> bool:
        found = self._peek.kind is Kind.OPERATOR and self._peek.text == operator
        if found:
            self._take()
        return found

    def _or(self) -> Node:
        node = self._and()
        while self._takes("||"):
            node = Or(node, self._and())
        return node

    def _and(self) -> Node:
        node = self._not()
        while self._takes("&&"):
            node = And(node, self._not())
        return node

    def _not(self) -> Node:
        if self._takes("!"):
            with self._deeper():
                return Not(self._not())
        return self._comparison()

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise ExpressionInvalid(message, self._peek.offset)
        yield
        self.depth -= 1

    def _comparison(self) -> Node:
        left = self._operand()
        operator = self._peek
        if operator.kind is not Kind.OPERATOR or operator.text not in _COMPARISONS:
            return left
        self._take()
        right = self._operand()
        written: Comparison = operator.text  # type: ignore[assignment]  # checked just above
        return Compare(written, left, right)

    def _operand(self) -> Node:
        token = self._peek
        if token.kind is Kind.END:
            raise ExpressionInvalid("the condition ends where a value is expected", token.offset)
        self._take()
        match token.kind:
            case Kind.NUMBER:
                return Constant(_number(token))
            case Kind.STRING:
                return self._string(token)
            case Kind.WORD if token.text in _LITERALS:
                return Constant(_LITERALS[token.text])
            case Kind.WORD | Kind.EXPRESSION:
                return self._reference(token)
            case _:
                return self._group(token)

    def _group(self, token: Token) -> Node:
        if token.text != "(":
            raise ExpressionInvalid(f"expected a value, found '{token.text}'", token.offset)
        with self._deeper():
            node = self._or()
        if not self._takes(")"):
            raise ExpressionInvalid("this ( is never closed", token.offset)
        return node

    def _string(self, token: Token) -> Constant:
        if token.double:
            message = "a string stands in single quotes"
            note = Note(code="double-quoted-string", message=message, offset=token.offset)
            self.notes.append(note)
        return Constant(token.text)

    def _reference(self, token: Token) -> Node:
        if token.kind is Kind.WORD:
            message = f"'{token.text}' is no literal; put text in single quotes"
            raise ExpressionInvalid(message, token.offset)
        try:
            return reference(token.text)
        except ExpressionInvalid as problem:
            raise problem.moved(token.offset) from problem


def _number(token: Token) -> int | float:
    if token.text.lstrip("-").isdigit():
        return int(token.text)
    return float(token.text)

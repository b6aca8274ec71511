"""Text of a condition → tokens, each with the offset where it began."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from orchestrator.errors import DurazzoError


class ExpressionInvalid(DurazzoError):
    """An expression that cannot be read; ``offset`` counts characters from 0."""

    code: ClassVar[str] = "expression-invalid"

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset

    def moved(self, by: int) -> ExpressionInvalid:
        """The same problem, seen from the text that the expression is embedded in."""
        return type(self)(self.message, self.offset + by)


class ExpressionUnsupported(ExpressionInvalid):
    """Right by the specification, but not yet something that durazzo runs."""

    code: ClassVar[str] = "expression-unsupported"


class Kind(Enum):
    #: ``$statusCode``, ``$response.body#/id``: a runtime expression.
    EXPRESSION = "expression"
    #: ``true``, ``null``, or what should have been quoted.
    WORD = "word"
    STRING = "string"
    NUMBER = "number"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    #: As written; a string's without its quotes, its escapes undone.
    text: str
    offset: int
    #: A string in double quotes: outside of Arazzo, but written.
    double: bool = False


#: Characters of one condition; the longest published one has 213.
MAX_LENGTH: Final = 4096

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"==|!=|<=|>=|&&|\|\||[<>!()]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.])")
_WORD = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[[0-9]+\])*")
#: Up to a space, a parenthesis or an operator: a pointer cannot hold those inside a condition.
_EXPRESSION = re.compile(r"\$(?:(?!==|!=|<=|>=|&&|\|\|)[^\s()<>])*")


def tokens(text: str) -> tuple[Token, ...]:
    """Raises ExpressionInvalid at the first character that begins nothing."""
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"a condition has at most {MAX_LENGTH} characters", MAX_LENGTH)
    found: list[Token] = []
    offset = _skip(text, 0)
    while offset < len(text):
        token, offset = _next(text, offset)
        found.append(token)
        offset = _skip(text, offset)
    return (*found, Token(Kind.END, "", len(text)))


def _skip(text: str, offset: int) -> int:
    space = _SPACE.match(text, offset)
    return space.end() if space else offset


def _next(text: str, offset: int) -> tuple[Token, int]:
    if text[offset] in "'\"":
        return _string(text, offset)
    for kind, pattern in (
        (Kind.EXPRESSION, _EXPRESSION),
        (Kind.OPERATOR, _OPERATOR),
        (Kind.NUMBER, _NUMBER),
        (Kind.WORD, _WORD),
    ):
        if match := pattern.match(text, offset):
            return Token(kind, match[0], offset), match.end()
    raise ExpressionInvalid(_unexpected(text, offset), offset)


def _string(text: str, offset: int) -> tuple[Token, int]:
    """A literal; the quote itself is written twice (Arazzo 1.0.1, "Literals")."""
    quote = text[offset]
    end = text.find(quote, offset + 1)
    while end != -1 and text[end + 1 : end + 2] == quote:
        end = text.find(quote, end + 2)
    if end == -1:
        raise ExpressionInvalid(f"this {quote} is never closed", offset)
    value = text[offset + 1 : end].replace(quote * 2, quote)
    return Token(Kind.STRING, value, offset, double=quote == '"'), end + 1


def _unexpected(text: str, offset: int) -> str:
    if text[offset] == "=":
        return "to compare, write =="
    if text[offset] in "&|":
        return f"write {text[offset] * 2}"
    return f"{text[offset]!r} begins nothing that a condition knows"

"""``when`` and ``condition``: CEL, in which names mean what they mean elsewhere in the document.

CEL reads ``outputs.run-tests.passed`` as a subtraction and knows neither ``run-tests.passed``
nor a bare ``passed``. So the names are found first, and each is written out in full for CEL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from orchestrator.expressions import cel
from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import Cel, Input, Output

#: The dotted parts of a name → the value that they begin with, and how many parts it took.
Resolve: TypeAlias = Callable[[tuple[str, ...]], tuple[Input | Output, int]]

#: OSOP's own functions (specification, "Expression Language"): they look at the run itself.
_LATER: Final = frozenset({"status", "duration_of", "error_of", "attempt", "now"})
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_MACROS: Final = r"\.(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,"
_NAME: Final = r"[A-Za-z_]\w*(?:-[A-Za-z_0-9]\w*)*"
_TOKEN: Final = re.compile(
    rf"""
    (?P<text>[rRbB]{{0,2}}(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"
                          |'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<number>[0-9][0-9A-Za-z_.]*)
    |(?P<embedded>\$\{{\s*{_NAME}(?:\.{_NAME})*\s*\}})
    |(?P<path>{_NAME}(?:\s*\.\s*{_NAME})*)
    |(?P<member>\.\s*[A-Za-z_]\w*)
    |(?P<open>['"])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD_OPERATORS: Final = {"AND": "&&", "OR": "||", "NOT": "!", "and": "&&", "or": "||", "not": "!"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text for CEL, and where in the document's text it came from."""

    text: str
    offset: int


def condition(text: str, resolve: Resolve, known: Callable[[str], bool]) -> Cel:
    """``known``: whether a name with hyphens is one, and not a subtraction.

    Raises ExpressionInvalid, with the offset in ``text``.
    """
    if len(text) > cel.MAX_LENGTH:
        raise ExpressionInvalid(f"a condition has at most {cel.MAX_LENGTH} characters")
    reading = _Reading(text, resolve, known, frozenset(re.findall(_MACROS, text)))
    pieces = tuple(reading.pieces())
    written = "".join(piece.text for piece in pieces)
    try:
        cel.check(written)
    except ExpressionInvalid as problem:
        # Outside of texts, a single = can only be meant as ==.
        single = any(re.search(r"(?<![=!<>])=(?!=)", piece.text) for piece in pieces[::2])
        message = f"{problem.message}; to compare, write ==" if single else problem.message
        raise ExpressionInvalid(message, _original(pieces, problem.offset)) from None
    return Cel(written, tuple(reading.names))


class _Reading:
    def __init__(
        self,
        text: str,
        resolve: Resolve,
        known: Callable[[str], bool],
        variables: frozenset[str],
    ) -> None:
        self._text = text
        self._resolve = resolve
        self._known = known
        #: What a macro such as ``exists(x, …)`` binds.
        self._variables = variables
        self.names: dict[Input | Output, tuple[str, ...]] = {}

    def pieces(self) -> Iterator[_Piece]:
        """The whole text for CEL, in order."""
        end = 0
        while match := _TOKEN.search(self._text, end):
            yield _Piece(self._text[end : match.start()], end)
            written, end = self._token(match)
            yield _Piece(written, match.start())
        yield _Piece(self._text[end:], end)

    def _token(self, match: re.Match[str]) -> tuple[str, int]:
        """What CEL is given for a token, and where reading goes on."""
        if match["embedded"] is not None:
            inner = match[0][2:-1]
            start = match.start() + 2 + len(inner) - len(inner.lstrip())
            return self._name(inner.strip(), start)[0], match.end()
        if match["path"] is not None:
            return self._name(match[0], match.start())
        if match["open"] is not None:
            raise ExpressionInvalid(f"this {match[0]} is never closed", match.start())
        return match[0], match.end()

    def _name(self, written: str, start: int) -> tuple[str, int]:
        parts, ends = self._parts(written, start)
        end = ends[-1]
        called = re.compile(r"\s*\(").match(self._text, end) is not None
        if called and len(parts) == 1:
            return self._function(parts[0], start), end
        if parts[0] in _WORDS or parts[0] in self._variables:
            return self._text[start:end], end
        if len(parts) == 1 and parts[0] in _WORD_OPERATORS:
            message = f"CEL writes {_WORD_OPERATORS[parts[0]]} for {parts[0]}"
            raise ExpressionInvalid(message, start)
        try:
            node, taken = self._resolve(tuple(parts[:-1] if called else parts))
        except ExpressionInvalid as problem:
            raise problem.moved(start) from problem
        return self._canonical(node, start) + self._text[ends[taken - 1] : end], end

    def _parts(self, written: str, start: int) -> tuple[list[str], list[int]]:
        """The dotted parts, up to a hyphen that subtracts, and where each ends."""
        parts: list[str] = []
        ends: list[int] = []
        for match in re.finditer(_NAME, written):
            name = match[0]
            if "-" in name and not self._known(name):
                plain = name.partition("-")[0]
                return [*parts, plain], [*ends, start + match.start() + len(plain)]
            parts.append(name)
            ends.append(start + match.end())
        return parts, ends

    def _function(self, name: str, start: int) -> str:
        if name in _LATER:
            raise ExpressionUnsupported(f"{name}() is not supported yet", start)
        return name

    def _canonical(self, node: Input | Output, start: int) -> str:
        path = cel.path(node)
        if any(other == path and n != node for n, other in self.names.items()):
            message = f"'{node}' and another name differ in letters that CEL does not know"
            raise ExpressionInvalid(message, start)
        self.names.setdefault(node, path)
        return ".".join(path)


def _original(pieces: tuple[_Piece, ...], offset: int) -> int:
    """Where in the document's text a character of the text for CEL came from."""
    before = 0
    for piece in pieces:
        if offset < before + len(piece.text):
            return piece.offset + offset - before
        before += len(piece.text)
    return pieces[-1].offset + len(pieces[-1].text)

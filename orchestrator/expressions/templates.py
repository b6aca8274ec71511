"""Values with expressions in them: ``$inputs.x`` alone keeps its type, ``{$inputs.x}`` embeds.

What is not an expression stays as it is: ``$5 off``, ``{"a": 1}``, ``$.id``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from orchestrator.expressions.conditions import Note, Parsed
from orchestrator.expressions.lexer import ExpressionInvalid
from orchestrator.expressions.nodes import Constant, Node, Text
from orchestrator.expressions.references import looks_like_reference, reference

#: Embedded expressions in one text.
MAX_PARTS: Final = 256

_EMBEDDED = re.compile(r"\{(\$[^{}]*)\}")
#: What Arazzo 1.0.1 takes as literal, but all published documents mean: only the two roots
#: that people embed, only with all of their names, so that prices and ``$.x`` stay text.
_BARE = re.compile(
    r"\$(?:inputs\.\w+(?:-+\w+)*|steps\.\w+(?:-+\w+)*\.outputs\.\w+(?:-+\w+)*)"
    r"(?:#(?:/[\w~-]+)+)?"
)
#: Behind the names of an expression: its end, a pointer, or a member of the value.
_GOES_ON = re.compile(r"\Z|[#\[]|\.\w")


def template(text: str) -> Parsed:
    """Raises ExpressionInvalid, with the offset in ``text``."""
    if _is_whole(text):
        return Parsed(node=reference(text))
    return _mixed(text)


def _mixed(text: str) -> Parsed:
    parts: list[Node] = []
    notes: list[Note] = []
    end = 0
    for match in _EMBEDDED.finditer(text):
        if looks_like_reference(match[1]):
            _literal(text[end : match.start()], end, parts, notes)
            parts.append(_embedded(match[1], match.start(1)))
            end = match.end()
    _literal(text[end:], end, parts, notes)
    return Parsed(node=_joined(parts), notes=tuple(notes))


def _is_whole(text: str) -> bool:
    """One expression and nothing else; a space can only be part of its pointer."""
    head = text.split("#", 1)[0]
    if not looks_like_reference(text) or re.search(r"[\s{}]", head):
        return False
    # "$inputs.city, $inputs.country" without the space: a text that begins with one.
    bare = _BARE.match(text)
    return bare is None or "#" in bare[0] or _GOES_ON.match(text, bare.end()) is not None


def _embedded(text: str, offset: int) -> Node:
    try:
        return reference(text)
    except ExpressionInvalid as problem:
        raise problem.moved(offset) from problem


def _literal(text: str, offset: int, parts: list[Node], notes: list[Note]) -> None:
    """Text between embedded expressions, bare ones taken out of it."""
    end = 0
    for match in _BARE.finditer(text):
        parts.extend((Constant(text[end : match.start()]), reference(match[0])))
        notes.append(_bare(match[0], offset + match.start()))
        end = match.end()
    parts.append(Constant(text[end:]))


def _bare(found: str, offset: int) -> Note:
    message = f"inside a text, an expression stands in braces: {{{found}}}"
    return Note(code="bare-expression", message=message, offset=offset)


def _joined(parts: Iterable[Node]) -> Node:
    kept = tuple(p for p in parts if p != Constant(""))
    if len(kept) > MAX_PARTS:
        raise ExpressionInvalid(f"a text has at most {MAX_PARTS // 2} embedded expressions")
    match kept:
        case ():
            return Constant("")
        case (Constant() as only,):
            return only
        case _:
            return Text(kept)

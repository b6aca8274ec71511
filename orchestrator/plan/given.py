"""What a run is given as text, become values: by the workflow's schema, exactly or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NoReturn, TypeAlias

from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import InputSchema

Reader: TypeAlias = Callable[[str], Json]

#: Levels of lists and objects in one another.
MAX_DEPTH: Final = 64

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,400}")


class NotJson(ValueError):
    """Text that is no JSON value which every reader would take alike.

    The reason holds nothing of the text; ``name`` is a member that stands twice in an object.
    ``line`` and ``column`` count from 1, and are 0 where the place is not known.
    """

    def __init__(self, reason: str, *, name: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.name = name
        self.line = line
        self.column = column


def parsed(text: str) -> Json:
    """The one JSON value of a text. Raises NotJson.

    Stricter than ``json.loads``: no name twice in an object, no NaN, no number that a double
    would change, no half surrogate pair, no nesting deeper than ``MAX_DEPTH``.
    """
    try:
        found: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, line=error.lineno, column=error.colno) from None
    except NotJson:
        raise
    except (ValueError, RecursionError):
        raise NotJson("a value is too large") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper(found, MAX_DEPTH):
        raise NotJson(f"nested deeper than {MAX_DEPTH} levels")
    if "\\u" in text and _half_pair(found):
        raise NotJson("half a surrogate pair is no text")
    return found


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson("a name stands there twice", name=twice)
    return found


def _no_number(word: str) -> NoReturn:
    raise NotJson(f"{word} is no JSON number")


def _exactly(text: str) -> float:
    """A double is written back as it was read, but for its spelling: 0.10 is 0.1."""
    found = float(text)
    try:
        kept = Decimal(text) == Decimal(repr(found))
    except ArithmeticError:
        kept = False
    if not kept:
        raise NotJson("a number has more digits than a number can keep")
    return found


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_number, parse_float=_exactly
)


def _deeper(value: Json, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value if isinstance(value, list) else value.values()
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)


def _half_pair(value: Json) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def input_types(schema: InputSchema) -> dict[str, frozenset[str]]:
    """The JSON types that the schema allows, by input; those it leaves open are not there."""
    written = json.loads(schema.schema)
    properties = written.get("properties") if isinstance(written, dict) else None
    found = {}
    for name, of_input in properties.items() if isinstance(properties, dict) else ():
        kind = of_input.get("type") if isinstance(of_input, dict) else None
        kinds = kind if isinstance(kind, list) else [kind]
        if all(isinstance(k, str) for k in kinds):
            found[name] = frozenset(str(k) for k in kinds)
    return found


def reader(types: frozenset[str]) -> Reader | None:
    """What makes a value of a text, or raises ValueError; None where text stays as it is.

    A string does, and what the schema says nothing of.
    """
    if not types or "string" in types:
        return None
    readers = tuple(parse for kind, parse in _READERS.items() if kind in types)

    def read(text: str) -> Json:
        for parse in readers:
            try:
                return parse(text)
            except ValueError:
                continue
        raise ValueError

    return readers[0] if len(readers) == 1 else read


def _integer(text: str) -> Json:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def _number(text: str) -> Json:
    found = parsed(text)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError  # noqa: TRY004  not a bug: what was written is not a number
    return found


def _word(**words: Json) -> Reader:
    def parse(text: str) -> Json:
        if text not in words:
            raise ValueError
        return words[text]

    return parse


def _structure(kind: type[Json]) -> Reader:
    def parse(text: str) -> Json:
        found = parsed(text)
        if not isinstance(found, kind):
            raise ValueError  # noqa: TRY004
        return found

    return parse


_READERS: Final[Mapping[str, Reader]] = {
    "null": _word(null=None),
    "boolean": _word(true=True, false=False),
    "integer": _integer,
    "number": _number,
    "array": _structure(list),
    "object": _structure(dict),
}

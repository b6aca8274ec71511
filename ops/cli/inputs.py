"""A run's inputs from the command line: ``-i name=value`` and ``--inputs``.

No message repeats a value: an input may be a phone number.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from orchestrator.errors import InputsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import did_you_mean
from orchestrator.formats.inputs import declared
from orchestrator.plan.model import InputSchema

#: ``--inputs`` from a file or stdin. Bytes.
MAX_FILE: Final = 1024 * 1024

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,400}")


def gather(schema: InputSchema, pairs: Iterable[str], document: str | None) -> dict[str, Json]:
    """The inputs of a run; ``pairs`` (name=value) go before ``document`` (see ``read``).

    Raises InputsRefused with everything that is wrong.
    """
    types = _types(json.loads(schema.schema))
    given = read(document) if document else {}
    problems = []
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            given[name] = _typed(text, types.get(name, frozenset()))
        except ValueError:
            expected = " or ".join(sorted(types[name]))
            problems.append(f"input {name!r}: the value is not of type {expected}")
    problems += _unknown(schema, given)
    if problems:
        raise InputsRefused(problems)
    return given


def read(document: str) -> dict[str, Json]:
    """A JSON object: the text itself, ``@file``, or ``-`` for stdin. Raises InputsRefused."""
    found = _parsed(_text(document))
    if not isinstance(found, dict):
        raise InputsRefused(["--inputs: expected a JSON object of name: value"])
    return found


def _text(document: str) -> str:
    if document == "-":
        if sys.stdin is None:
            raise InputsRefused(["--inputs -: there is no standard input"])
        data = sys.stdin.buffer.read(MAX_FILE + 1)
    elif document.startswith("@"):
        data = _file(Path(document[1:]))
    else:
        return document
    if len(data) > MAX_FILE:
        raise InputsRefused([f"--inputs: more than {MAX_FILE // 1024} KiB"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputsRefused(["--inputs: not UTF-8"]) from None


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_FILE + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise InputsRefused([f"--inputs: {path}: {reason}"]) from None


def _parsed(text: str) -> Json:
    try:
        found: Json = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputsRefused([f"--inputs: not JSON: {error.msg} ({where})"]) from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _Refused) else "a value is too large"
        raise InputsRefused([f"--inputs: not JSON: {reason}"]) from None
    return found


class _Refused(ValueError):
    """JSON that Python would take."""


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the name {twice!r} stands there twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise _Refused(f"{word} is no JSON number")


def _types(schema: Json) -> dict[str, frozenset[str]]:
    """The JSON types that the schema allows, by input; those it leaves open are not there."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    found = {}
    for name, written in properties.items() if isinstance(properties, dict) else ():
        kind = written.get("type") if isinstance(written, dict) else None
        kinds = kind if isinstance(kind, list) else [kind]
        if all(isinstance(k, str) for k in kinds):
            found[name] = frozenset(str(k) for k in kinds)
    return found


def _typed(text: str, types: frozenset[str]) -> Json:
    """Raises ValueError. A string, and what the schema says nothing of, is kept as it is."""
    if not types or "string" in types:
        return text
    for kind, parse in _PARSERS.items():
        if kind in types:
            try:
                return parse(text)
            except (ValueError, RecursionError):
                continue
    raise ValueError


def _integer(text: str) -> Json:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def _number(text: str) -> Json:
    found = json.loads(text, parse_constant=_no_number)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError  # noqa: TRY004  not a bug: what was typed is not a number
    return found


def _word(**words: Json) -> Callable[[str], Json]:
    def parse(text: str) -> Json:
        if text not in words:
            raise ValueError
        return words[text]

    return parse


def _structure(kind: type[Json]) -> Callable[[str], Json]:
    def parse(text: str) -> Json:
        found: Json = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        if not isinstance(found, kind):
            raise ValueError  # noqa: TRY004
        return found

    return parse


_PARSERS: Final[Mapping[str, Callable[[str], Json]]] = {
    "null": _word(null=None),
    "boolean": _word(true=True, false=False),
    "integer": _integer,
    "number": _number,
    "array": _structure(list),
    "object": _structure(dict),
}


def _unknown(schema: InputSchema, given: Mapping[str, Json]) -> list[str]:
    """Names that the workflow cannot have meant: a misspelt one would silently be left out."""
    names = declared(json.loads(schema.schema))
    if not names:
        return []
    known = names | set(schema.referenced)
    return [
        f"the workflow has no input {name!r}{did_you_mean(name, known)}"
        for name in given
        if name not in known
    ]

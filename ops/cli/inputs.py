"""A run's inputs from the command line: ``-i name=value`` and ``--inputs``.

No message repeats a value: an input may be a phone number.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from orchestrator.errors import InputsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import did_you_mean
from orchestrator.formats.inputs import declared
from orchestrator.plan.given import NotJson, input_types, parsed, reader
from orchestrator.plan.model import InputSchema

#: ``--inputs`` from a file or stdin. Bytes.
MAX_FILE: Final = 1024 * 1024


def gather(schema: InputSchema, pairs: Iterable[str], document: str | None) -> dict[str, Json]:
    """The inputs of a run; ``pairs`` (name=value) go before ``document`` (see ``read``).

    Raises InputsRefused with everything that is wrong.
    """
    types = input_types(schema)
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
        return parsed(text)
    except NotJson as error:
        reason = f"the name {error.name!r} stands there twice" if error.name else error.reason
        where = f" (line {error.line}, column {error.column})" if error.line else ""
        raise InputsRefused([f"--inputs: not JSON: {reason}{where}"]) from None


def _typed(text: str, types: frozenset[str]) -> Json:
    """Raises ValueError."""
    read = reader(types)
    return text if read is None else read(text)


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

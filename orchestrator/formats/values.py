"""What calls of both formats are made of: paths, headers, and expressions that are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from orchestrator.expressions.evaluate import as_text
from orchestrator.expressions.nodes import Constant, Node

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def path_value(value: Node) -> Node:
    """A value in a path: a constant is percent-encoded now, the rest when it is known."""
    if isinstance(value, Constant):
        return Constant(quote(as_text(value.value), safe=""))
    return value


def is_header_name(name: str) -> bool:
    """A token of RFC 9110, section 5.6.2."""
    return _TOKEN.fullmatch(name) is not None


def joined_path(parts: Iterable[Node]) -> tuple[Node, ...]:
    """Neighbouring constants as one: however a path was cut, equal paths are equal."""
    joined: list[Node] = []
    for part in parts:
        match part, joined:
            case Constant(str(text)), [*_, Constant(str(before))]:
                joined[-1] = Constant(before + text)
            case _:
                joined.append(part)
    return tuple(joined)

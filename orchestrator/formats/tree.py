"""A document as a tree whose every node knows where it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from jsonpointer import JsonPointer, JsonPointerException

from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Scalar:
    value: None | bool | int | float | str
    #: As it was written: ``1.0`` stays apart from ``1.00``.
    text: str
    place: Place
    #: Where character 0 of ``text`` stands, when one line of the file holds all of it.
    start: Place | None = None

    def at(self, offset: int) -> Place:
        """Where a character of the text stands, as near as its way of writing lets us say."""
        if self.start is None:
            return self.place
        return replace(self.start, column=self.start.column + offset)


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Tree, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    entries: tuple[tuple[Scalar, Tree], ...]
    place: Place

    def get(self, name: str) -> Tree | None:
        return next((value for key, value in self.entries if key.text == name), None)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def keys(self) -> tuple[str, ...]:
        return tuple(key.text for key, _ in self.entries)


Tree: TypeAlias = Scalar | Sequence | Mapping


def plain(tree: Tree) -> Json:
    """The JSON value, positions forgotten."""
    match tree:
        case Scalar():
            return tree.value
        case Sequence():
            return [plain(item) for item in tree.items]
        case Mapping():
            return {key.text: plain(value) for key, value in tree.entries}


def find(tree: Tree, pointer: str) -> Tree | None:
    """What a JSON pointer names, None if nothing."""
    try:
        parts = JsonPointer(pointer).parts
    except JsonPointerException:
        return None
    found: Tree | None = tree
    for part in parts:
        found = _child(found, part)
    return found


def _child(tree: Tree | None, part: str) -> Tree | None:
    match tree:
        case Mapping():
            return tree.get(part)
        case Sequence() if re.fullmatch("0|[1-9][0-9]{0,8}", part):
            return tree.items[int(part)] if int(part) < len(tree.items) else None
        case _:
            return None


def scalars(tree: Tree) -> Iterator[Scalar]:
    """Every scalar value in document order, keys excluded."""
    match tree:
        case Scalar():
            yield tree
        case Sequence():
            for item in tree.items:
                yield from scalars(item)
        case Mapping():
            for _, value in tree.entries:
                yield from scalars(value)

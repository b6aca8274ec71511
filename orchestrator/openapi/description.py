"""An OpenAPI 3.0 or 3.1 description as JSON: its operations by id, its ``$ref``s when needed.

Published descriptions have dangling references by the dozen; one is a problem only to
the operation that uses it, so nothing is resolved before somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from jsonpointer import JsonPointer, JsonPointerException

from orchestrator.errors import DurazzoError
from orchestrator.expressions.nodes import Json

JsonObject: TypeAlias = "dict[str, Json]"

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
#: References that lead to references: longer chains are circles.
_MAX_HOPS = 32


class DescriptionRefused(DurazzoError):
    """What was asked of a description is not in it, or cannot be used."""

    code: ClassVar[str] = "openapi-unusable"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.problem = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where an operation stands in its description."""

    path: str
    method: str
    path_item: JsonObject
    operation: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    #: How messages call it: the source description's name.
    name: str
    #: Where it was published; relative servers are relative to this.
    url: str
    root: JsonObject
    #: Entries by operationId; more than one is a mistake of the description.
    entries: Mapping[str, tuple[Entry, ...]]

    @property
    def operation_ids(self) -> tuple[str, ...]:
        return tuple(self.entries)

    def entry_at(self, path: str, method: str) -> Entry:
        for entry in _entries(self.root):
            if (entry.path, entry.method) == (path, method.lower()):
                return entry
        raise DescriptionRefused(
            "openapi-unknown-operation", f"{self.name} has no {method.upper()} {path}"
        )

    def resolved(self, value: Json) -> Json:
        """The value, or what its ``$ref`` leads to. Raises DescriptionRefused."""
        for _ in range(_MAX_HOPS):
            if not isinstance(value, dict) or not isinstance(ref := value.get("$ref"), str):
                return value
            value = self._target(ref)
        raise DescriptionRefused("openapi-ref-circle", f"a $ref of {self.name} leads to itself")

    def _target(self, ref: str) -> Json:
        if not ref.startswith("#"):
            message = f"{self.name} refers to another file ({ref}), which is not supported yet"
            raise DescriptionRefused("openapi-unsupported-ref", message)
        try:
            found: Json = JsonPointer(ref[1:]).resolve(self.root)
        except JsonPointerException as problem:
            message = f"{self.name} refers to {ref}, which is not in it"
            raise DescriptionRefused("openapi-dangling-ref", message) from problem
        return found


def describe(name: str, url: str, root: Json) -> Description:
    """Raises DescriptionRefused if this is no OpenAPI 3 description."""
    if not isinstance(root, dict):
        raise DescriptionRefused(
            "openapi-not-openapi", f"{name} is no OpenAPI description: it is no mapping"
        )
    version = root.get("openapi")
    if not str(version).startswith(("3.0", "3.1")):
        found = f"openapi: {version}" if version is not None else "no 'openapi: 3.…'"
        message = f"{name} has {found}; OpenAPI 3.0 and 3.1 can be read"
        raise DescriptionRefused("openapi-version", message)
    entries: dict[str, tuple[Entry, ...]] = {}
    for entry in _entries(root):
        operation_id = entry.operation.get("operationId")
        if isinstance(operation_id, str):
            entries[operation_id] = (*entries.get(operation_id, ()), entry)
    return Description(name=name, url=url, root=root, entries=entries)


def _entries(root: JsonObject) -> Iterator[Entry]:
    paths = root.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if not isinstance(item, dict):
            continue
        for method in METHODS:
            operation = item.get(method)
            if isinstance(operation, dict):
                yield Entry(path=path, method=method, path_item=item, operation=operation)

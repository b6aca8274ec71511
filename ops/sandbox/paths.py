"""Which calls an API knows, as patterns.

`GET,POST /v1/charges/:id` is two calls. `:id` stands for one segment that is not empty, `:id.json`
for one with that ending, and a last `*` for one segment or more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    #: The pattern with the one method, the same whatever was put in: `GET /v1/charges/:id`.
    endpoint: str
    #: What each `:id` stood for.
    names: tuple[str, ...]


class Paths:
    def __init__(self, *lines: str) -> None:
        self._patterns = [_pattern(line) for line in lines]

    def find(self, method: str, path: str) -> Found | None:
        """The first pattern that the call fits."""
        segments = path.split("/")[1:]
        for pattern in self._patterns:
            names = pattern.names(segments) if method in pattern.methods else None
            if names is not None:
                return Found(endpoint=f"{method} {pattern.path}", names=names)
        return None


@dataclass(frozen=True, slots=True)
class _Pattern:
    methods: frozenset[str]
    path: str
    #: Without the last `*`.
    segments: tuple[str, ...]
    open_ended: bool

    def names(self, given: list[str]) -> tuple[str, ...] | None:
        count = len(self.segments)
        rest = given[count:]
        if len(given) < count or bool(rest) != self.open_ended or "" in rest:
            return None
        names: list[str] = []
        for wanted, found in zip(self.segments, given, strict=False):
            if not wanted.startswith(":"):
                if wanted != found:
                    return None
                continue
            name = found.removesuffix(_ending(wanted))
            if not name or not found.endswith(_ending(wanted)):
                return None
            names.append(name)
        return tuple(names)


def _ending(segment: str) -> str:
    _, dot, ending = segment.partition(".")
    return dot + ending


def _pattern(line: str) -> _Pattern:
    methods, _, path = line.partition(" ")
    segments = path.split("/")[1:]
    open_ended = segments[-1] == "*"
    return _Pattern(
        methods=frozenset(methods.split(",")),
        path=path,
        segments=tuple(segments[:-1] if open_ended else segments),
        open_ended=open_ended,
    )

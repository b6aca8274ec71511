"""Text → tree with positions: YAML 1.2 core types, JSON included, and nothing hostile.

Built from the parser's events rather than from PyYAML's composer, which recurses in C:
depth and size are refused before anything was built that deep or that big.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn, Protocol

import yaml

from orchestrator.formats.diagnostics import START, Place, Report
from orchestrator.formats.tree import Mapping, Scalar, Sequence, Tree, find, plain, scalars


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    #: Characters of the text.
    size: int
    depth: int
    #: Nodes of the tree with every alias written out: what stops an alias bomb.
    nodes: int
    #: Characters of one key or scalar.
    scalar: int


WORKFLOW: Final = Limits(size=1 << 20, depth=64, nodes=100_000, scalar=1 << 16)
#: API descriptions are published by the megabyte.
DESCRIPTION: Final = Limits(size=1 << 23, depth=128, nodes=1_000_000, scalar=1 << 18)


def parse(text: str, report: Report, limits: Limits = WORKFLOW, *, file: str = "") -> Tree | None:
    """The document's tree; None, with the reasons in the report, if there is none to work with.

    ``file``: whose text it is, if it is not the report's own.
    """
    origin = replace(START, file=file)
    if len(text) > limits.size:
        message = f"the document has more than {limits.size} characters"
        report.error("yaml-too-large", message, origin)
        return None
    errors = report.errors
    builder = _Builder(report=report, limits=limits, origin=origin)
    try:
        builder.take(yaml.parse(_joined_surrogates(text), Loader=_LOADER))
    except yaml.MarkedYAMLError as problem:
        report.error("yaml-syntax", _problem(problem), _mark(problem, origin))
    except yaml.YAMLError as problem:
        # A ReaderError knows the position in the text, but has no mark.
        at = _at_index(text, getattr(problem, "position", 0), origin)
        report.error("yaml-syntax", str(problem).split("\n", 1)[0], at)
    except UnicodeEncodeError as problem:
        at = _at_index(text, problem.start, origin)
        report.error("yaml-syntax", "half a surrogate pair is no text", at)
    except _Stop:
        pass
    return builder.root if report.errors == errors else None


#: libyaml is about ten times faster; both read the same language.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CORE = "tag:yaml.org,2002:"
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
#: No sign but minus, no leading zeros: 0912345678 and +15005550006 are phone numbers, and
#: YAML 1.2's own rule (10.3.2) would silently take their first character away.
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"-?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Final[dict[str, None | bool]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
#: Digits beyond which a number is an attack rather than an amount.
_DIGITS = 64


class _Mark(Protocol):
    """Both of PyYAML's parsers have marks of their own."""

    line: int
    column: int


class _Stop(Exception):
    """A problem after which going on makes no sense; it is in the report already."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read."""

    place: Place
    pointer: str
    is_mapping: bool
    anchor: str | None
    items: list[Tree] = field(default_factory=list)
    keys: dict[str, Scalar] = field(default_factory=dict)
    entries: list[tuple[Scalar, Tree]] = field(default_factory=list)
    #: A mapping's key that waits for its value.
    key: Scalar | None = None
    #: Set while the value of a key that was there before is read and dropped.
    duplicate: bool = False
    #: What ``<<`` brings in, to be overridden by the mapping's own entries.
    merged: list[tuple[Scalar, Tree]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Builder:
    report: Report
    limits: Limits
    #: The text's beginning; its file is every node's.
    origin: Place
    root: Tree | None = None
    documents: int = 0
    count: int = 0
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Tree] = field(default_factory=dict)

    def take(self, events: Iterable[yaml.Event]) -> None:
        for event in events:
            self._event(event)
        if self.root is None:
            self.report.error("yaml-empty", "there is no document in this file", self.origin)

    def _event(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._document(event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case _:
                pass

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            message = "one file holds one document; take out this --- and what follows it"
            self._stop("yaml-several-documents", message, self._place(event))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place = self._place(event)
        self._count(place)
        if len(event.value) > self.limits.scalar:
            self._stop(
                "yaml-too-large", f"a text of more than {self.limits.scalar} characters", place
            )
        top = self.stack[-1] if self.stack else None
        if top is not None and top.is_mapping and top.key is None:
            place = _below(place, event.value)
            self._key(top, Scalar(event.value, event.value, place, _start(event, place)))
            return
        value = self._value(event, place)
        self._put(Scalar(value, event.value, place, _start(event, place)), event.anchor)

    def _key(self, top: _Open, key: Scalar) -> None:
        top.key = key
        top.duplicate = key.text in top.keys
        if top.duplicate:
            first = top.keys[key.text].place.line
            self.report.error(
                "yaml-duplicate-key",
                f"'{key.text}' is here twice, first in line {first}",
                key.place,
            )
        top.keys.setdefault(key.text, key)

    def _value(self, event: yaml.ScalarEvent, place: Place) -> None | bool | int | float | str:
        if event.tag in {None, "!"}:
            quoted = event.style not in {None, ""} or event.tag == "!"
            return event.value if quoted else self._resolved(event.value, place)
        kind = event.tag.removeprefix(_CORE)
        if kind not in {"str", "int", "float", "bool", "null"}:
            self._stop("yaml-tag", _tagged(event.tag), place)
        return event.value if kind == "str" else self._resolved(event.value, place)

    def _resolved(self, text: str, place: Place) -> None | bool | int | float | str:
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text) or _BASED.fullmatch(text):
            self._check_digits(text, place)
            return int(text, 0)
        if _NOT_FINITE.fullmatch(text):
            message = f"{text} is no number that JSON knows; quote it if it is text"
            self._stop("yaml-number", message, place)
        if _FLOAT.fullmatch(text):
            self._check_digits(text, place)
            return self._finite(float(text), place)
        return text

    def _check_digits(self, text: str, place: Place) -> None:
        if len(text) > _DIGITS:
            self._stop("yaml-number", f"a number of more than {_DIGITS} digits; quote it", place)

    def _finite(self, number: float, place: Place) -> float:
        if not math.isfinite(number):
            self._stop("yaml-number", "this number is too large; quote it if it is text", place)
        return number

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        place = self._place(event)
        self._count(place)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in {None, "!", _CORE + ("map" if is_mapping else "seq")}:
            self._stop("yaml-tag", _tagged(event.tag), place)
        top = self.stack[-1] if self.stack else None
        if top is not None and top.is_mapping and top.key is None:
            self._stop("yaml-key", "a key is a text, not a list or a mapping", place)
        if len(self.stack) >= self.limits.depth:
            self._stop("yaml-too-deep", f"nested deeper than {self.limits.depth} levels", place)
        pointer = place.pointer
        self.stack.append(_Open(place, pointer, is_mapping=is_mapping, anchor=event.anchor))

    def _close(self) -> None:
        done = self.stack.pop()
        tree: Tree
        if done.is_mapping:
            tree = Mapping(_merged(done), done.place)
        else:
            tree = Sequence(tuple(done.items), done.place)
        self._put(tree, done.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = self._place(event)
        if any(open_.anchor == event.anchor for open_ in self.stack):
            self._stop("yaml-alias", f"*{event.anchor} stands inside of itself", place)
        if event.anchor not in self.anchors:
            self._stop("yaml-alias", f"there is no &{event.anchor} before this", place)
        top = self.stack[-1] if self.stack else None
        if top is not None and top.is_mapping and top.key is None:
            self._stop("yaml-key", "write the key out: an alias is no key", place)
        self._put(self._copy(self.anchors[event.anchor], place, len(self.stack)), None)

    def _copy(self, tree: Tree, place: Place, depth: int) -> Tree:
        """The aliased tree as if it were written here; its positions are the alias'."""
        self._count(place)
        if depth > self.limits.depth:
            self._stop("yaml-too-deep", f"nested deeper than {self.limits.depth} levels", place)
        match tree:
            case Scalar():
                return Scalar(tree.value, tree.text, place)
            case Sequence():
                items = enumerate(tree.items)
                copied = (self._copy(item, _below(place, str(i)), depth + 1) for i, item in items)
                return Sequence(tuple(copied), place)
            case Mapping():
                return Mapping(tuple(self._copy_entries(tree, place, depth)), place)

    def _copy_entries(
        self, tree: Mapping, place: Place, depth: int
    ) -> Iterator[tuple[Scalar, Tree]]:
        for key, value in tree.entries:
            below = _below(place, key.text)
            yield Scalar(key.value, key.text, place), self._copy(value, below, depth + 1)

    def _put(self, tree: Tree, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = tree
        if not self.stack:
            self.root = tree
            return
        top = self.stack[-1]
        if not top.is_mapping:
            top.items.append(tree)
        elif top.key is not None:
            if top.key.text == "<<":
                self._merge(top, tree)
            elif not top.duplicate:
                top.entries.append((top.key, tree))
            top.key = None

    def _merge(self, top: _Open, tree: Tree) -> None:
        """``<<``: YAML 1.1's, but OpenAPI documents use it; own entries win, then the first."""
        sources = tree.items if isinstance(tree, Sequence) else (tree,)
        for source in sources:
            if not isinstance(source, Mapping):
                self._stop("yaml-merge-key", "'<<' takes a mapping, or a list of them", tree.place)
            place = replace(tree.place, pointer=top.pointer)
            top.merged.extend(self._copy_entries(source, place, len(self.stack)))

    def _count(self, place: Place) -> None:
        self.count += 1
        if self.count > self.limits.nodes:
            message = f"more than {self.limits.nodes} values, aliases written out"
            self._stop("yaml-too-large", message, place)

    def _place(self, event: yaml.Event) -> Place:
        return _marked(event.start_mark, self._pointer(), self.origin.file)

    def _pointer(self) -> str:
        if not self.stack:
            return ""
        top = self.stack[-1]
        if not top.is_mapping:
            return _pointer_below(top.pointer, str(len(top.items)))
        return _pointer_below(top.pointer, top.key.text) if top.key else top.pointer

    def _stop(self, code: str, message: str, place: Place) -> NoReturn:
        self.report.error(code, message, place)
        raise _Stop


def _merged(done: _Open) -> tuple[tuple[Scalar, Tree], ...]:
    entries = {key.text: (key, value) for key, value in reversed(done.merged)}
    own = {key.text for key, _ in done.entries}
    inherited = [entry for name, entry in entries.items() if name not in own]
    return (*done.entries, *reversed(inherited))


def _pointer_below(pointer: str, part: str) -> str:
    return f"{pointer}/{part.replace('~', '~0').replace('/', '~1')}"


def _below(place: Place, part: str) -> Place:
    pointer = _pointer_below(place.pointer, part)
    return Place(line=place.line, column=place.column, pointer=pointer, file=place.file)


def _start(event: yaml.ScalarEvent, place: Place) -> Place | None:
    end = event.end_mark
    quotes = 1 if event.style in {"'", '"'} else 0
    length = len(event.value) + 2 * quotes
    if end is None or (end.line + 1, end.column + 1) != (place.line, place.column + length):
        return None
    column = place.column + quotes
    return Place(line=place.line, column=column, pointer=place.pointer, file=place.file)


def _tagged(tag: str) -> str:
    written = f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag
    return f"the tag {written} is not read; leave it out, and quote the value if it is text"


def _problem(problem: yaml.MarkedYAMLError) -> str:
    parts = [p for p in (problem.problem, problem.context) if p]
    return ", ".join(parts) or "this is no YAML"


def _mark(problem: yaml.MarkedYAMLError, origin: Place) -> Place:
    return _marked(problem.problem_mark or problem.context_mark, "", origin.file)


def _marked(mark: _Mark | None, pointer: str, file: str) -> Place:
    if mark is None:
        return Place(line=1, column=1, pointer=pointer, file=file)
    return Place(line=mark.line + 1, column=mark.column + 1, pointer=pointer, file=file)


def _at_index(text: str, index: int, origin: Place) -> Place:
    line = text.count("\n", 0, index)
    column = index - (text.rfind("\n", 0, index) + 1)
    return replace(origin, line=line + 1, column=column + 1)


def _joined_surrogates(text: str) -> str:
    r"""JSON writes an emoji as two ``\u`` escapes, which YAML's escapes do not know."""
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text
    return _ESCAPE.sub(_joined, text)


def _joined(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    pair = bytes.fromhex(match[1] + match[2])
    return f"\\U{ord(pair.decode('utf-16-be')):08x}"


__all__ = [
    "DESCRIPTION", "WORKFLOW", "Limits", "Mapping", "Scalar", "Sequence", "Tree", "find", "parse",
    "plain", "scalars",
]  # fmt: skip

"""Targets: RFC 9535 JSONPath over a tree with positions, within a budget.

A target is a stranger's text: ``$..[?$..[?$..*]]`` would look at a small document for days.
What is looked at is therefore counted, by the containers themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Literal, TypeAlias

import regex
from iregexp_check import check as is_iregexp
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction

from orchestrator.formats.diagnostics import START
from orchestrator.formats.tree import Mapping, Scalar, Sequence, Tree

#: Characters of one target, which keeps its parser's recursion shallow as well.
MAX_LENGTH: Final = 512
#: Nodes that one target selects.
MAX_MATCHES: Final = 10_000
#: Values that the targets of all overlays of a document look at, and seconds that the patterns
#: of their ``match()`` and ``search()`` take.
MAX_VALUES: Final = 500_000
MAX_PATTERN_S: Final = 1.0

#: Names and indexes from the root to a node.
Location: TypeAlias = "tuple[str | int, ...]"
Kind: TypeAlias = Literal["object", "list", "scalar"]


class TargetInvalid(Exception):
    """A text that is no JSONPath, or none that is evaluated here."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class TooCostly(Exception):
    """More work than a target is given; the message says what of."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(slots=True)
class Budget:
    values: int = MAX_VALUES
    pattern_s: float = MAX_PATTERN_S

    def spend(self, values: int) -> None:
        self.values -= values
        if self.values < 0:
            raise TooCostly(f"the targets look at more than {MAX_VALUES} values together")

    def matches(self, run: Callable[..., object], pattern: str, text: str) -> bool:
        began = perf_counter()
        try:
            return run(pattern, text, timeout=self.pattern_s) is not None
        except TimeoutError:
            raise TooCostly("its pattern takes too long") from None
        finally:
            self.pattern_s = max(self.pattern_s - (perf_counter() - began), 1e-6)


@dataclass(slots=True)
class Targets:
    """Compiles targets and evaluates them, all on one budget."""

    budget: Budget = field(default_factory=Budget)
    _views: _Views = field(init=False)
    _language: _Language = field(init=False)

    def __post_init__(self) -> None:
        self._views = _Views(self.budget)
        self._language = _Language(self.budget)

    def compile(self, text: str) -> JSONPathQuery:
        """Raises TargetInvalid, with the offset in ``text``."""
        if len(text) > MAX_LENGTH:
            raise TargetInvalid(f"a target has at most {MAX_LENGTH} characters")
        try:
            return self._language.compile(text)
        except JSONPathError as problem:
            offset = problem.token.index if problem.token else 0
            raise TargetInvalid(_worded(problem), max(offset, 0)) from problem
        except (OverflowError, ValueError):
            raise TargetInvalid("a number in it is too large") from None
        except RecursionError:
            raise TargetInvalid("it is nested too deep") from None

    def select(self, query: JSONPathQuery, tree: Tree) -> dict[Location, Kind]:
        """The selected nodes, each once, in the query's order. Raises TooCostly."""
        found: dict[Location, Kind] = {}
        try:
            for node in query.finditer(self._views.of(tree).value):
                self.budget.spend(1)
                found[node.location] = _kind(node.value)
                if len(found) > MAX_MATCHES:
                    raise TooCostly(f"it selects more than {MAX_MATCHES} nodes")
        except RecursionError:
            raise TooCostly("it is nested too deep") from None
        return found

    def foresee(self, times: int, update: Tree) -> None:
        """Pay for an update of so many nodes before it is made. Raises TooCostly."""
        self.budget.spend(times * self._views.of(update).nodes)

    def measure(self, tree: Tree) -> tuple[int, int]:
        """Values and levels. What a tree shares with one seen before costs nothing.

        Raises TooCostly.
        """
        view = self._views.of(tree)
        return view.nodes, view.depth


class _Object(dict[str, Any]):
    """A JSON object that counts what is looked at."""

    __slots__ = ("budget", "nodes")
    budget: Budget
    nodes: int

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # the view of a dict's own
        self.budget.spend(1 + len(self))
        return super().items()

    def __getitem__(self, name: str) -> Any:
        self.budget.spend(1)
        return super().__getitem__(name)

    def __eq__(self, other: object) -> bool:
        self.budget.spend(self.nodes)
        return super().__eq__(other)

    __hash__ = None


class _Array(list[Any]):
    """A JSON array that counts what is looked at."""

    __slots__ = ("budget", "nodes")
    budget: Budget
    nodes: int

    def __iter__(self) -> Iterator[Any]:
        self.budget.spend(1 + len(self))
        return super().__iter__()

    def __getitem__(self, index: Any) -> Any:
        self.budget.spend(1 + (len(self) if isinstance(index, slice) else 0))
        return super().__getitem__(index)

    def __eq__(self, other: object) -> bool:
        self.budget.spend(self.nodes)
        return super().__eq__(other)

    __hash__ = None


@dataclass(frozen=True, slots=True)
class _View:
    value: Any
    nodes: int
    depth: int
    #: Kept, so that the id under which it is remembered stays its own.
    tree: Tree


_KEY: Final = _View("", 1, 0, Scalar("", "", START))


@dataclass(slots=True)
class _Views:
    """The JSON values of trees. Trees never change, so a part seen before is not built again."""

    budget: Budget
    _seen: dict[int, _View] = field(default_factory=dict)

    def of(self, tree: Tree) -> _View:
        view = self._seen.get(id(tree))
        if view is None:
            view = self._seen[id(tree)] = self._built(tree)
        return view

    def _built(self, tree: Tree) -> _View:
        match tree:
            case Scalar():
                return _View(tree.value, 1, 0, tree)
            case Mapping():
                members = {key.text: self.of(value) for key, value in tree.entries}
                return self._counted(
                    _Object((name, view.value) for name, view in members.items()),
                    # Keys are nodes too, as source.Limits counts them.
                    [*members.values(), *(_KEY for _ in members)],
                    tree,
                )
            case Sequence():
                items = [self.of(item) for item in tree.items]
                return self._counted(_Array(view.value for view in items), items, tree)

    def _counted(self, value: _Object | _Array, below: list[_View], tree: Tree) -> _View:
        self.budget.spend(1 + len(below))
        value.budget = self.budget
        value.nodes = 1 + sum(view.nodes for view in below)
        return _View(value, value.nodes, 1 + max((v.depth for v in below), default=0), tree)


class _Language(JSONPathEnvironment):
    """The library's, with patterns that end."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        super().__init__()

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions["match"] = _Pattern(regex.fullmatch, self._budget)
        self.function_extensions["search"] = _Pattern(regex.search, self._budget)


#: Of a pattern: a property, an escaped character, a class, or the dot, which is no line's end
#: (RFC 9485, 5.3).
_ATOM: Final = re.compile(r"\\[pP]\{[^{}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\.", re.DOTALL)
#: What a group may not be repeated with, and an atom not counted by: ``((a{999}){999}){999}``
#: takes all memory before a clock could stop it.
_EXPLOSIVE: Final = re.compile(r"\)[*+?{]|\{")
_MAX_PATTERN: Final = 128


class _Pattern(FilterFunction):
    """``match()`` and ``search()``; false for what is no pattern (RFC 9535, 2.4.6)."""

    arg_types = (ExpressionType.VALUE, ExpressionType.VALUE)  # type: ignore[assignment]
    return_type = ExpressionType.LOGICAL

    def __init__(self, run: Callable[..., object], budget: Budget) -> None:
        self._run = run
        self._budget = budget

    def __call__(self, text: object, pattern: object) -> bool:
        if not isinstance(text, str) or not isinstance(pattern, str):
            return False
        if len(pattern) > _MAX_PATTERN or _EXPLOSIVE.search(_ATOM.sub(".", pattern)):
            message = (
                "a pattern may repeat no group and count nothing,"
                f" and has at most {_MAX_PATTERN} characters"
            )
            raise TooCostly(message)
        if not is_iregexp(pattern):
            return False
        lines = _ATOM.sub(lambda atom: r"[^\n\r]" if atom[0] == "." else atom[0], pattern)
        return self._budget.matches(self._run, lines, text)


def _kind(value: object) -> Kind:
    match value:
        case _Object():
            return "object"
        case _Array():
            return "list"
        case _:
            return "scalar"


def _worded(problem: JSONPathError) -> str:
    """The library's words, without the names of its classes."""
    said = str(problem.args[0]) if problem.args else "it is not well formed"
    return re.sub(r"<?TokenType\.([A-Z_]+)(?:: \d+>)?", _token, said)


def _token(found: re.Match[str]) -> str:
    return found[1].lower().replace("_", " ")

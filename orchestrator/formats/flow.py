"""Which step can follow which: reachability, what ran before, what closes a cycle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import TypeAlias

#: Step id → ids of the steps that can follow it directly, in document order.
Graph: TypeAlias = "Mapping[str, tuple[str, ...]]"


def reachable(graph: Graph, starts: Iterable[str], *, without: str | None = None) -> set[str]:
    """Steps that can run when ``starts`` are entered, and ``without`` leads nowhere."""
    found: set[str] = set()
    frontier = list(starts)
    while frontier:
        step = frontier.pop()
        if step in found:
            continue
        found.add(step)
        frontier.extend(graph[step] if step != without else ())
    return found


def after(graph: Graph, step: str) -> set[str]:
    """Steps that can run once ``step`` has: itself only if it is part of a cycle."""
    return reachable(graph, graph[step])


def backwards(graph: Graph) -> Graph:
    """Step id → ids of the steps that it can follow directly."""
    found: dict[str, list[str]] = {step: [] for step in graph}
    for step, targets in graph.items():
        for target in targets:
            found[target].append(step)
    return {step: tuple(sources) for step, sources in found.items()}


def before(graph: Graph) -> Callable[[str], AbstractSet[str]]:
    """Tells of a step which others can have run when it is entered.

    Only what is asked about is computed, and not all is kept: of every step at once, it would
    be the square of the steps.
    """
    sources = backwards(graph)

    @lru_cache(maxsize=8)
    def of(step: str) -> AbstractSet[str]:
        return after(sources, step)

    return of


def back_edges(graph: Graph, starts: Collection[str]) -> set[tuple[str, str]]:
    """Edges that lead to a step which is being walked through: those that close a cycle.

    Walked in document order and without recursion; steps that no start leads to come last.
    """
    found: set[tuple[str, str]] = set()
    done: set[str] = set()
    for start in (*starts, *graph):
        if start not in done:
            _walk(graph, start, done, found)
    return found


def _walk(graph: Graph, start: str, done: set[str], found: set[tuple[str, str]]) -> None:
    path = {start: iter(graph[start])}
    while path:
        last, ahead = next(reversed(path.items()))
        step = next(ahead, None)
        if step is None:
            done.add(last)
            del path[last]
        elif step in path:
            found.add((last, step))
        elif step not in done:
            path[step] = iter(graph[step])

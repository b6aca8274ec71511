"""Which step can follow which: reachability, what ran before, what closes a cycle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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


def before(graph: Graph) -> dict[str, frozenset[str]]:
    """For each step, those that can have run when it is entered."""
    followers = {step: after(graph, step) for step in graph}
    return {step: frozenset(other for other in graph if step in followers[other]) for step in graph}


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
    path = [start]
    ahead = [iter(graph[start])]
    while path:
        step = next(ahead[-1], None)
        if step is None:
            ahead.pop()
            done.add(path.pop())
        elif step in path:
            found.add((path[-1], step))
        elif step not in done:
            path.append(step)
            ahead.append(iter(graph[step]))

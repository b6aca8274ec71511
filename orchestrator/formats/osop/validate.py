"""The graph of a document: where runs begin, which edges lead back, where branches join."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orchestrator.formats.diagnostics import Report
from orchestrator.formats.flow import Graph, after, back_edges, backwards, reachable
from orchestrator.formats.osop.model import Document, Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    document: Document
    graph: Graph
    starts: tuple[str, ...]
    #: Nodes that some run can enter.
    alive: frozenset[str]
    _back: frozenset[tuple[str, str]]
    #: By node: what can be entered when it never succeeds.
    _without: dict[str, set[str]] = field(default_factory=dict)

    def awaits(self, node: str) -> tuple[str, ...]:
        """The nodes that a join waits for; none if fewer than two lead here going forward."""
        sources = {
            edge.source
            for edge in self.document.edges
            if edge.target == node and (edge.source, node) not in self._back
        } & self.alive
        if len(sources) < 2:  # noqa: PLR2004 - a join is of two at least
            return ()
        return tuple(n.id for n in self.document.nodes if n.id in sources)

    def leads_back(self, edge: Edge) -> bool:
        """Whether the edge's source comes again after its target."""
        return edge.target in self.graph and edge.source in reachable(self.graph, (edge.target,))

    def surely_done(self, node: str) -> tuple[str, ...]:
        """Nodes that have succeeded whenever this one is entered, in document order."""
        return tuple(
            other.id
            for other in self.document.nodes
            if other.id != node and node not in self._without_success_of(other.id)
        )

    def _without_success_of(self, node: str) -> set[str]:
        if node not in self._without:
            own = [e for e in self.document.edges if e.source == node and e.mode == "fallback"]
            targets = tuple(e.target for e in own if e.target in self.graph)
            graph = {**self.graph, node: targets}
            self._without[node] = reachable(graph, self.starts)
        return self._without[node]


def flow_of(document: Document, report: Report) -> Flow:
    graph = _graph(document, document.edges)
    starts = _starts(document, graph)
    alive = frozenset(reachable(graph, starts))
    for node in document.nodes:
        if node.id not in alive:
            message = f"nothing leads to the node '{node.id}'; it will never run"
            report.warning("osop-unreachable-node", message, node.place)
    _check_loops(document, alive, starts, report)
    return Flow(
        document=document,
        graph=graph,
        starts=starts,
        alive=alive,
        _back=frozenset(back_edges(graph, starts)),
    )


def _check_loops(
    document: Document, alive: frozenset[str], starts: tuple[str, ...], report: Report
) -> None:
    """A circle of edges that every success takes is an error: only a fallback could leave it."""
    always = _graph(document, [e for e in document.edges if e.mode == "sequential"])
    back = back_edges(always, starts)
    for edge in document.edges:
        if edge.mode != "sequential" or (edge.source, edge.target) not in back:
            continue
        if edge.source not in alive:
            continue
        circle = after(always, edge.source) & after(backwards(always), edge.source)
        if not _is_left(document, circle):
            message = (
                f"nothing leads out of the loop from '{edge.source}' back to '{edge.target}'; "
                "make an edge of it conditional, or a fallback"
            )
            report.error("osop-endless-loop", message, edge.place)


def _is_left(document: Document, circle: Collection[str]) -> bool:
    return any(
        edge.mode == "fallback" and edge.source in circle and edge.target not in circle
        for edge in document.edges
    )


def _graph(document: Document, edges: Collection[Edge]) -> Graph:
    found: dict[str, list[str]] = {node.id: [] for node in document.nodes}
    for edge in edges:
        if edge.source in found and edge.target in found:
            found[edge.source].append(edge.target)
    return {name: tuple(targets) for name, targets in found.items()}


def _starts(document: Document, graph: Graph) -> tuple[str, ...]:
    """Nodes that nothing leads to, but fallbacks from further on ("redo from there").

    A document whose every node is in a cycle begins with its first node.
    """
    entering: dict[str, list[Edge]] = {}
    for edge in document.edges:
        entering.setdefault(edge.target, []).append(edge)
    found = tuple(n.id for n in document.nodes if _is_start(n.id, entering.get(n.id, ()), graph))
    return found or tuple(n.id for n in document.nodes[:1])


def _is_start(node: str, entering: Collection[Edge], graph: Graph) -> bool:
    if any(edge.mode != "fallback" for edge in entering):
        return False
    later = after(graph, node) if entering else set()
    return all(edge.source in later for edge in entering)

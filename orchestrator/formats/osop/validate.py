"""The graph of a document: where runs begin, which edges lead back, where branches join."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.formats.diagnostics import Report
from orchestrator.formats.flow import Graph, after, back_edges, reachable
from orchestrator.formats.osop.model import Document, Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    document: Document
    graph: Graph
    starts: tuple[str, ...]
    _back: frozenset[tuple[str, str]]

    def awaits(self, node: str) -> tuple[str, ...]:
        """The nodes that a join waits for; none if fewer than two lead here going forward."""
        alive = reachable(self.graph, self.starts)
        sources = {
            edge.source
            for edge in self.document.edges
            if edge.target == node and (edge.source, node) not in self._back
        } & alive
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
        edges = [e for e in self.document.edges if e.source != node or e.mode == "fallback"]
        return reachable(_graph(self.document, edges), self.starts)


def flow_of(document: Document, report: Report) -> Flow:
    graph = _graph(document, document.edges)
    starts = _starts(document, graph)
    alive = reachable(graph, starts)
    for node in document.nodes:
        if node.id not in alive:
            message = f"nothing leads to the node '{node.id}'; it will never run"
            report.warning("osop-unreachable-node", message, node.place)
    return Flow(
        document=document, graph=graph, starts=starts, _back=frozenset(back_edges(graph, starts))
    )


def _graph(document: Document, edges: Collection[Edge]) -> Graph:
    ids = [node.id for node in document.nodes]
    return {
        name: tuple(e.target for e in edges if e.source == name and e.target in ids) for name in ids
    }


def _starts(document: Document, graph: Graph) -> tuple[str, ...]:
    """Nodes that nothing leads to, but fallbacks from further on ("redo from there").

    A document whose every node is in a cycle begins with its first node.
    """
    found = tuple(n.id for n in document.nodes if _is_start(n.id, document, graph))
    return found or tuple(n.id for n in document.nodes[:1])


def _is_start(node: str, document: Document, graph: Graph) -> bool:
    later = after(graph, node)
    return all(
        edge.mode == "fallback" and edge.source in later
        for edge in document.edges
        if edge.target == node
    )

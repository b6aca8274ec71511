"""What an Arazzo step can be known to get wrong before it is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from orchestrator.expressions.nodes import Node, RequestPart, walk
from orchestrator.formats.arazzo.model import Action, GotoStep, RetryStep, Step
from orchestrator.formats.certain import SUCCESSES, certain, is_closed
from orchestrator.formats.diagnostics import Place, Report
from orchestrator.formats.expressions import UNREAD
from orchestrator.formats.flow import Graph, reachable
from orchestrator.plan.model import HttpCall

#: Methods that can be repeated without another effect (RFC 9110, section 9.2.1).
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

#: An action, and its criteria.
Route: TypeAlias = tuple[Action, tuple[Node, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    graph: Graph
    report: Report

    def criteria(self, nodes: Iterable[tuple[Node, Place]]) -> None:
        """Of a step: one that can never hold fails every run after the call was made."""
        for node, at in nodes:
            verdict = None if node is UNREAD else certain(node)
            if verdict == "never":
                message = f"this can never hold, so that the step always fails: {node}"
                self.report.error("arazzo-constant-condition", message, at)
            elif verdict == "always":
                message = f"this always holds and decides nothing: {node}"
                self.report.warning("arazzo-constant-condition", message, at)

    def routes(self, nodes: Iterable[tuple[Node, Place]]) -> None:
        """Of an action: it is never taken, or as if the criterion were not there."""
        for node, at in nodes:
            if node is not UNREAD and (verdict := certain(node)) is not None:
                what = "never holds" if verdict == "never" else "always holds"
                message = f"this {what} and decides nothing: {node}"
                self.report.warning("arazzo-constant-condition", message, at)

    def request(self, nodes: Iterable[tuple[Node, Place]], call: HttpCall) -> None:
        """``$request.…`` of what the step's request does not have, or nobody sees afterwards."""
        for node, at in nodes:
            for part in walk(node):
                if isinstance(part, RequestPart) and (reason := _unseen(part, call)):
                    message = f"{part} is never there: {reason}"
                    self.report.error("arazzo-not-in-request", message, at)

    def repeats(
        self, step: Step, call: HttpCall, criteria: tuple[Node, ...], routes: Iterable[Route]
    ) -> None:
        """A failure action that makes a call again although the API may have done as asked."""
        if call.method in _SAFE or all(map(is_closed, criteria)):
            return
        for action, when in routes:
            if self._does_again(action, step.id) and _after_success(when):
                message = (
                    f"'{step.id}' can fail after an answer of success, and its {call.method} is "
                    "then made again; add a criterion, e.g. $statusCode >= 500"
                )
                self.report.warning("arazzo-repeats-effects", message, action.place)

    def _does_again(self, action: Action, step: str) -> bool:
        match action.then:
            case RetryStep(limit=limit):
                return limit > 0
            case GotoStep(step=target):
                return target.text in self.graph and step in reachable(self.graph, [target.text])
            case _:
                return False


def _after_success(when: tuple[Node, ...]) -> bool:
    """Who looks at more than the status is taken to know which answers can be repeated."""
    return all(is_closed(node) and certain(node, SUCCESSES) != "never" for node in when)


def _unseen(part: RequestPart, call: HttpCall) -> str:
    match part.part:
        case "path":
            return "the path's parameters are not kept apart; name the value itself"
        case "query" if part.name not in dict(call.query):
            return f"the request has no '{part.name}' in its query"
        case "body" if call.body is None:
            return "the request has no body"
        case "body" if call.body is not None and call.body.encoding.startswith("form"):
            return "only a body of JSON is seen, and this one is a form"
        case _:
            return ""

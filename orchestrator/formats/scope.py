"""Which names an expression may use, and where: the same for every format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from orchestrator.expressions.nodes import (
    Input,
    Node,
    Output,
    RequestPart,
    ResponseBody,
    ResponseHeader,
    StatusCode,
    walk,
)
from orchestrator.formats.diagnostics import Place, Report, did_you_mean


class Where(Enum):
    """What of a step is evaluated: it decides what is known by then."""

    #: Before the call: nothing of the response, nothing of the request itself.
    REQUEST = "a request"
    #: After the call: criteria and outputs.
    ANSWER = "an answer"
    #: After the outputs: which way to go.
    ROUTE = "a route"
    #: At the end of the run: no call at all.
    RUN = "the workflow's outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    #: Prefix of the diagnostic codes.
    format: str
    #: Declared inputs; None if the schema leaves open which there are.
    inputs: Collection[str] | None
    #: By step id.
    outputs: Mapping[str, Collection[str]]
    #: Of a step, those that some way of the run enters before it.
    before: Callable[[str], Collection[str]]

    def check(self, node: Node, at: Place, report: Report, *, where: Where, step: str = "") -> None:
        """Report every name in ``node`` that is not there, or not yet."""
        for part in walk(node):
            match part:
                case Input():
                    self._input(part, at, report)
                case Output():
                    self._output(part, at, report, where, step)
                case StatusCode() | ResponseBody() | ResponseHeader() | RequestPart():
                    self._call(part, at, report, where)
                case _:
                    pass

    def _input(self, node: Input, at: Place, report: Report) -> None:
        if self.inputs is not None and node.name not in self.inputs:
            hint = did_you_mean(node.name, self.inputs)
            message = f"the workflow has no input '{node.name}'{hint}"
            report.error(f"{self.format}-undefined-input", message, at)

    def _output(self, node: Output, at: Place, report: Report, where: Where, step: str) -> None:
        if node.step not in self.outputs:
            hint = did_you_mean(node.step, self.outputs)
            message = f"there is no step '{node.step}'{hint}"
            report.error(f"{self.format}-undefined-step", message, at)
            return
        names = self.outputs[node.step]
        if node.name not in names:
            hint = did_you_mean(node.name, names) or "; it has no outputs"
            message = f"the step '{node.step}' has no output '{node.name}'{hint}"
            report.error(f"{self.format}-undefined-output", message, at)
        elif not self._has_run(node.step, where, step):
            message = f"'{node.step}' has not run when '{step}' needs its output '{node.name}'"
            report.error(f"{self.format}-output-not-yet", message, at)

    def _has_run(self, other: str, where: Where, step: str) -> bool:
        if where is Where.RUN or (where is Where.ROUTE and other == step):
            return True
        return other in self.before(step)

    def _call(self, node: Node, at: Place, report: Report, where: Where) -> None:
        if where in {Where.REQUEST, Where.RUN}:
            message = f"{node} is not known in {where.value}; give it a name in a step's outputs"
            report.error(f"{self.format}-expression-not-here", message, at)

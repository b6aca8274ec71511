"""Model → plan: nodes become steps, edges become routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import Node as Expression
from orchestrator.formats.certain import certain
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.endpoints import Endpoints, check_names
from orchestrator.formats.expressions import UNREAD, Expressions
from orchestrator.formats.extension import refusal
from orchestrator.formats.flow import before
from orchestrator.formats.inputs import declared, input_schema
from orchestrator.formats.osop import agent
from orchestrator.formats.osop.call import Calls
from orchestrator.formats.osop.model import Agent, Api, Document, Edge, Node
from orchestrator.formats.osop.names import Names, answer_path
from orchestrator.formats.osop.read import read
from orchestrator.formats.osop.secrets import refuse_secrets
from orchestrator.formats.osop.validate import Flow, flow_of
from orchestrator.formats.scope import Scope, Where
from orchestrator.formats.source import Scalar, Tree
from orchestrator.formats.sources import SourceResolver, check_given
from orchestrator.formats.whole import check_whole
from orchestrator.plan import model as plan
from orchestrator.plan.secrets import sounds_secret

#: Visits of a node through edges that a success takes: what ends a loop.
EDGE_CAP: Final = 100
#: Visits through fallbacks: each may be another try at somebody's card.
FALLBACK_CAP: Final = 3


def lower(
    tree: Tree,
    report: Report,
    *,
    workflow: str | None,
    sources: SourceResolver,
    endpoints: Endpoints,
) -> tuple[plan.Plan, tuple[str, ...]] | None:
    """The plan and the document's id; to be used only if the report has no errors."""
    document = read(tree, report)
    if document is None:
        return None
    if workflow not in {None, document.id}:
        message = f"there is no workflow '{workflow}'; this document is '{document.id}'"
        report.error("osop-unknown-workflow", message, tree.place)
    check_names(endpoints, (), report)
    check_given(sources, (), report)
    lowered = _lowering(document, report, endpoints).lowered()
    check_whole(lowered, document.written, report)
    return lowered, (document.id,)


def _lowering(document: Document, report: Report, endpoints: Endpoints) -> _Lowering:
    flow = flow_of(document, report)
    outputs = {node.id: _output_names(node) for node in document.nodes}
    # Documents that declare no inputs still read them: then any name is one.
    inputs = None if document.inputs is None else declared(document.inputs)
    names = Names(outputs=outputs, inputs=inputs or ())
    expressions = Expressions(
        scope=Scope(format="osop", inputs=inputs, outputs=outputs, before=before(flow.graph)),
        report=report,
        template=names.template,
        condition=names.condition,
    )
    calls = Calls(names=names, expressions=expressions, endpoints=endpoints, report=report)
    return _Lowering(
        flow=flow,
        facts={node.id: _facts(node) for node in document.nodes},
        expressions=expressions,
        calls=calls,
        report=report,
    )


def _facts(node: Node) -> tuple[str, ...]:
    """What a node's outputs are called, but for secrets: a prompt never holds one."""
    paths = {name.text: path.text for name, path in node.outputs}
    names = _output_names(node)
    return tuple(n for n in names if not sounds_secret(n) and not sounds_secret(paths.get(n, "")))


def _output_names(node: Node) -> tuple[str, ...]:
    own = [name.text for name, _ in node.outputs]
    extra = [agent.TEXT[0]] if isinstance(node.runtime, Agent) else []
    return tuple(dict.fromkeys((*own, *extra)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lowering:
    flow: Flow
    #: By node, what a model may be told of it.
    facts: dict[str, tuple[str, ...]]
    expressions: Expressions
    calls: Calls
    report: Report

    def lowered(self) -> plan.Plan:
        document = self.flow.document
        steps = tuple(self._steps())
        schema = {} if document.inputs is None else document.inputs
        return plan.Plan(
            name=document.id,
            steps=steps,
            starts=self.flow.starts,
            inputs=input_schema(schema, steps),
            outputs=self._run_outputs(),
            timeout_ms=document.timeout_ms,
        )

    def _run_outputs(self) -> tuple[tuple[str, Expression], ...]:
        written = self.flow.document.outputs
        outputs = self.expressions.outputs(written, Where.RUN)
        for (_, value), (_, at) in zip(outputs, written, strict=True):
            refuse_secrets(value, at.place, self.report)
        return outputs

    def _steps(self) -> Iterator[plan.Step]:
        for node in self.flow.document.nodes:
            call = self._call(node)
            outputs = tuple(self._outputs(node))
            success = tuple(self._choices(node, fallback=False))
            failure = tuple(self._choices(node, fallback=True))
            if call is not None:
                if reason := refusal(node.extension, call, self.calls.endpoints):
                    self.report.error("osop-resend-money", reason, node.extension.place)
                yield plan.Step(
                    id=node.id,
                    call=call,
                    criteria=agent.CRITERIA if isinstance(node.runtime, Agent) else (),
                    outputs=outputs,
                    success=success,
                    failure=failure,
                    awaits=self.flow.awaits(node.id),
                    when_unknown=node.extension.when_unknown,
                    timeout_ms=node.timeout_ms,
                )

    def _call(self, node: Node) -> plan.HttpCall | None:
        match node.runtime:
            case Api() as api:
                return self.calls.call(node.id, api)
            case Agent() as runtime:
                return self._agent(node, runtime)

    def _agent(self, node: Node, runtime: Agent) -> plan.HttpCall:
        system = None
        if runtime.system is not None:
            system = self.expressions.value(runtime.system, node.id)
            refuse_secrets(system, runtime.system.place, self.report)
        return agent.call(
            runtime,
            system=system,
            description=node.description,
            facts={done: self.facts[done] for done in self.flow.surely_done(node.id)},
            endpoints=self.calls.endpoints,
        )

    def _outputs(self, node: Node) -> Iterator[tuple[str, Expression]]:
        for name, path in node.outputs:
            if "${" in path.text:
                value = self.expressions.text(path, Where.ANSWER, node.id)
                refuse_secrets(value, path.place, self.report)
                yield name.text, value
            elif (found := self._answer(path)) is not None:
                yield name.text, found
        if isinstance(node.runtime, Agent) and all(
            n.text != agent.TEXT[0] for n, _ in node.outputs
        ):
            yield agent.TEXT

    def _answer(self, path: Scalar) -> Expression | None:
        try:
            return answer_path(path.text)
        except ExpressionInvalid as problem:
            supported = not isinstance(problem, ExpressionUnsupported)
            code = "osop-output-path" if supported else "osop-unsupported-output"
            self.report.error(code, problem.message, path.place)
            return None

    def _choices(self, node: Node, *, fallback: bool) -> Iterator[plan.Choice]:
        for edge in self.flow.document.edges:
            if edge.source == node.id and (edge.mode == "fallback") is fallback:
                yield plan.Choice(routes=(self._route(edge),))

    def _route(self, edge: Edge) -> plan.Route:
        when = () if edge.condition is None else (edge.condition,)
        conditions = self.expressions.conditions(when, Where.ROUTE, edge.source)
        for condition in conditions:
            refuse_secrets(condition, edge.place, self.report)
            self._check_constant(condition, edge)
        fallback = edge.mode == "fallback"
        cap = FALLBACK_CAP if fallback else EDGE_CAP
        redo = fallback and self.flow.leads_back(edge)
        return plan.Route(then=plan.Goto(step=edge.target, cap=cap, redo=redo), when=conditions)

    def _check_constant(self, condition: Expression, edge: Edge) -> None:
        verdict = None if condition is UNREAD else certain(condition)
        if verdict is not None and edge.condition is not None:
            what = "never holds" if verdict == "never" else "always holds"
            message = f"this {what} and decides nothing: {condition}"
            self.report.warning("osop-constant-condition", message, edge.condition.place)

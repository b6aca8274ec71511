"""Model → plan: the flow made explicit, operations linked, expressions checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.expressions.conditions import condition
from orchestrator.expressions.nodes import Node
from orchestrator.expressions.templates import template
from orchestrator.formats.arazzo.call import call
from orchestrator.formats.arazzo.doubts import Doubts
from orchestrator.formats.arazzo.link import Linker
from orchestrator.formats.arazzo.model import Action, End, GotoStep, RetryStep, Step, Workflow
from orchestrator.formats.arazzo.read import read
from orchestrator.formats.arazzo.validate import (
    check_flow,
    goes_on,
    graph_of,
    in_sequence,
    scope_of,
)
from orchestrator.formats.diagnostics import Place, Report
from orchestrator.formats.endpoints import Endpoints, check_names
from orchestrator.formats.expressions import Expressions
from orchestrator.formats.extension import refusal
from orchestrator.formats.inputs import input_schema
from orchestrator.formats.scope import Where
from orchestrator.formats.source import Scalar, Tree
from orchestrator.formats.sources import SourceResolver, check_given
from orchestrator.formats.whole import check_whole
from orchestrator.plan import model as plan

#: Visits of a step, so that a goto that leads back comes to an end.
GOTO_CAP: Final = 100


def lower(
    tree: Tree,
    report: Report,
    *,
    workflow: str | None,
    sources: SourceResolver,
    endpoints: Endpoints,
) -> tuple[plan.Plan, tuple[str, ...]] | None:
    """The plan and the ids of all workflows; to be used only if the report has no errors."""
    document = read(tree, report, workflow)
    if document is None:
        return None
    check_names(endpoints, [source.name for source in document.sources], report)
    check_flow(document.workflow, report)
    check_given(sources, [source.name for source in document.sources], report)
    lowering = _Lowering(
        linker=Linker(
            sources=document.sources, resolver=sources, endpoints=endpoints, report=report
        ),
        expressions=Expressions(
            scope=scope_of(document.workflow), report=report, template=template, condition=condition
        ),
        doubts=Doubts(graph=graph_of(document.workflow), report=report),
        report=report,
    )
    lowered = lowering.lowered(document.workflow)
    check_whole(lowered, document.workflow.written, report)
    return lowered, document.workflow_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lowering:
    linker: Linker
    expressions: Expressions
    doubts: Doubts
    report: Report

    def lowered(self, workflow: Workflow) -> plan.Plan:
        steps = tuple(self._steps(workflow))
        return plan.Plan(
            name=workflow.id,
            steps=steps,
            starts=tuple(step.id for step in workflow.steps[:1]),
            inputs=input_schema({} if workflow.inputs is None else workflow.inputs, steps),
            outputs=self.expressions.outputs(workflow.outputs, Where.RUN),
        )

    def _steps(self, workflow: Workflow) -> Iterator[plan.Step]:
        for step, follower in in_sequence(workflow):
            if (lowered := self._step(step, follower)) is not None:
                yield lowered

    def _step(self, step: Step, follower: str | None) -> plan.Step | None:
        """All of a step is read even if it has no operation, so that all problems are found."""
        link = self.linker.link(step)
        request = None if link is None else call(step, link, self.expressions, self.report)
        criteria = self.expressions.conditions(step.criteria, Where.ANSWER, step.id)
        outputs = self.expressions.outputs(step.outputs, Where.ANSWER, step.id)
        success = [self._route(action, step.id) for action in step.on_success]
        taken = tuple(success)
        if follower is not None and goes_on(step):
            success.append(plan.Route(then=plan.Goto(step=follower, cap=GOTO_CAP)))
        failure = [self._route(action, step.id) for action in step.on_failure]
        self._doubt(step, request, criteria, outputs, (*taken, *failure))
        if request is None:
            return None
        if reason := refusal(step.extension, request, self.linker.endpoints):
            self.report.error("arazzo-resend-money", reason, step.extension.place)
        return plan.Step(
            id=step.id,
            call=request,
            criteria=criteria,
            outputs=outputs,
            success=_choices(success),
            failure=_choices(failure),
            when_unknown=step.extension.when_unknown,
            timeout_ms=step.timeout_ms,
        )

    def _doubt(
        self,
        step: Step,
        call: plan.HttpCall | None,
        criteria: tuple[Node, ...],
        outputs: tuple[tuple[str, Node], ...],
        routes: tuple[plan.Route, ...],
    ) -> None:
        """``routes``: of the actions of success, then of failure, as they are written."""
        actions = (*step.on_success, *step.on_failure)
        judged = tuple(_placed(criteria, step.criteria))
        asked = tuple(
            item
            for action, route in zip(actions, routes, strict=True)
            for item in _placed(route.when, action.criteria)
        )
        named = _placed((node for _, node in outputs), (written for _, written in step.outputs))
        self.doubts.criteria(judged)
        self.doubts.routes(asked)
        if call is None:
            return
        self.doubts.request((*judged, *asked, *named), call)
        after = len(step.on_success)
        failure = zip(step.on_failure, (route.when for route in routes[after:]), strict=True)
        self.doubts.repeats(step, call, criteria, failure)

    def _route(self, action: Action, step: str) -> plan.Route:
        when = self.expressions.conditions(action.criteria, Where.ROUTE, step)
        return plan.Route(then=_then(action), when=when)


def _placed(nodes: Iterable[Node], written: Iterable[Scalar]) -> Iterator[tuple[Node, Place]]:
    return ((node, text.place) for node, text in zip(nodes, written, strict=True))


def _choices(routes: Iterable[plan.Route]) -> tuple[plan.Choice, ...]:
    found = tuple(routes)
    return (plan.Choice(routes=found),) if found else ()


def _then(action: Action) -> plan.Action:
    match action.then:
        case End():
            return plan.End()
        case GotoStep(step=step):
            return plan.Goto(step=step.text, cap=GOTO_CAP)
        case RetryStep(after_ms=after_ms, limit=limit):
            return plan.Retry(after_ms=after_ms, limit=limit)

"""The flow of a workflow: where its steps lead, and which names they may use when."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orchestrator.formats.arazzo.model import Action, End, GotoStep, Step, Workflow
from orchestrator.formats.diagnostics import Report, did_you_mean
from orchestrator.formats.flow import Graph, back_edges, backwards, before, reachable
from orchestrator.formats.inputs import declared
from orchestrator.formats.scope import Scope


def check_flow(workflow: Workflow, report: Report) -> None:
    """Targets that do not exist are errors, steps that nothing leads to warnings."""
    ids = {step.id: None for step in workflow.steps}
    for step in workflow.steps:
        for action in (*step.on_success, *step.on_failure):
            _check_target(action, ids, report)
    graph = graph_of(workflow)
    found = reachable(graph, [step.id for step in workflow.steps[:1]])
    for step in workflow.steps:
        if step.id not in found:
            message = f"nothing leads to the step '{step.id}'; it will never run"
            report.warning("arazzo-unreachable-step", message, step.place)
    _check_loops(workflow, graph, found, report)


def _check_loops(workflow: Workflow, graph: Graph, alive: set[str], report: Report) -> None:
    """A way back is an error if nothing can leave the loop but a failure that ends the run."""
    ends = [s.id for s, follower in in_sequence(workflow) if _can_end(s, follower)]
    stuck = alive - reachable(backwards(graph), ends)
    back = back_edges(graph, [step.id for step in workflow.steps[:1]])
    for step in workflow.steps:
        if step.id not in stuck:
            continue
        for action in (*step.on_success, *step.on_failure):
            then = action.then
            if isinstance(then, GotoStep) and (step.id, then.step.text) in back:
                message = (
                    f"nothing leads out of the loop from '{step.id}' back to '{then.step.text}'; "
                    "give the action criteria, or an action that ends the loop"
                )
                report.error("arazzo-endless-loop", message, then.step.place)


def _can_end(step: Step, follower: str | None) -> bool:
    if any(isinstance(a.then, End) for a in (*step.on_success, *step.on_failure)):
        return True
    return follower is None and goes_on(step)


def _check_target(action: Action, ids: Collection[str], report: Report) -> None:
    if isinstance(action.then, GotoStep) and action.then.step.text not in ids:
        name = action.then.step.text
        message = f"there is no step '{name}' to go to{did_you_mean(name, ids)}"
        report.error("arazzo-undefined-step", message, action.then.step.place)


def scope_of(workflow: Workflow) -> Scope:
    return Scope(
        format="arazzo",
        inputs=() if workflow.inputs is None else declared(workflow.inputs),
        outputs={step.id: [name.text for name, _ in step.outputs] for step in workflow.steps},
        before=before(graph_of(workflow)),
    )


def graph_of(workflow: Workflow) -> Graph:
    ids = {step.id for step in workflow.steps}
    return {
        step.id: tuple(t for t in _targets(step, follower) if t in ids)
        for step, follower in in_sequence(workflow)
    }


def in_sequence(workflow: Workflow) -> Iterator[tuple[Step, str | None]]:
    """Each step with the id of the one written after it, None for the last."""
    followers = [*(step.id for step in workflow.steps[1:]), None]
    # Without steps there is still the None, which follows nothing.
    return zip(workflow.steps, followers, strict=False)


def _targets(step: Step, follower: str | None) -> Iterator[str]:
    yield from _goto_targets(step.on_success)
    if follower is not None and goes_on(step):
        yield follower
    yield from _goto_targets(step.on_failure)


def _goto_targets(actions: tuple[Action, ...]) -> Iterator[str]:
    return (a.then.step.text for a in actions if isinstance(a.then, GotoStep))


def goes_on(step: Step) -> bool:
    """False if an action without criteria takes every success elsewhere."""
    return all(action.criteria for action in step.on_success)

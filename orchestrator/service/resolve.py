"""Resolve: a person says what became of a call that nobody else can find out about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from orchestrator.engine.advance import UNANSWERED, advance
from orchestrator.engine.events import Event, apply, outcome_landed
from orchestrator.engine.routes import matched
from orchestrator.engine.state import Outcome, Phase, Result, State
from orchestrator.errors import ConditionFailed, InputsRefused, NotInDoubt, UnknownRun
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import Json, Output, walk
from orchestrator.journal.port import Committed, Ref, Settlement
from orchestrator.plan.model import Plan, Step, request_nodes
from orchestrator.service.core import Core

#: ``resend`` says that the call did nothing: it is made again, under the same key if it has one.
Verdict: TypeAlias = Literal["succeeded", "failed", "resend"]
RESOLVED: Final = "resolved"


def resolve(
    core: Core,
    run: str,
    step: str,
    verdict: Verdict,
    *,
    by: str,
    reason: str,
    outputs: Mapping[str, Json] | None = None,
) -> State:
    """Journal a person's word about a step that is unknown, and carry the run on from it.

    ``outputs``: what the step gives when it succeeded; those that other steps need must be there.

    Raises UnknownRun, NotInDoubt when the step is not unknown (any more), InputsRefused for
    outputs that are missing or not the step's. JournalUnavailable: nothing was written.
    """
    state = core.journal.read(run)
    if state is None:
        raise UnknownRun(f"no run {run!r} in this journal")
    visit = state.visits.get(step)
    if visit is None or visit.phase is not Phase.UNKNOWN:
        raise NotInDoubt(_nothing(state, step))
    graph = core.plans.graph(state.plan)
    given = dict(outputs or {})
    _check_outputs(graph.plan, graph.steps[step], given, verdict)
    now = core.journal.now()
    others = core.journal.outputs(run, [s for s in graph.steps[step].reads() if s != step])
    context = Context(inputs=core.journal.inputs(run), outputs={**others, step: given})
    outcome = _outcome(verdict, graph.steps[step], context)
    event = outcome_landed(at=now, step=step, visit=visit, outcome=outcome)
    event = Event(kind=event.kind, at=now, fields={**event.fields, "by": by, "why": reason})
    landed = apply(state, event)
    decision = advance(graph, landed, now)
    settlement = Settlement(
        event=event,
        visit=landed.visits[step],
        outputs=given if verdict == "succeeded" else None,
    )
    match core.journal.resolve(Ref(run, step, visit.number), settlement, decision):
        case Committed.YES if decision is not None:
            core.driver.follow(run, decision)
        case Committed.LOST:
            raise NotInDoubt(f"step {step} is being looked up at this moment: look at it again")
        case _:
            pass
    return core.driver.carry_on(run) or landed


def _nothing(state: State, step: str) -> str:
    visit = state.visits.get(step)
    found = f"it is {visit.phase.value}" if visit else "the run has not come to it"
    doubts = [name for name, v in state.visits.items() if v.phase is Phase.UNKNOWN]
    others = f"; in doubt: {', '.join(doubts)}" if doubts else "; nothing of this run is in doubt"
    return f"step {step} is not unknown, {found}{others}"


def _check_outputs(plan: Plan, step: Step, given: Mapping[str, Json], verdict: Verdict) -> None:
    known = [name for name, _ in step.outputs]
    problems = [f"step {step.id} has no output {n!r}" for n in given if n not in known]
    if verdict != "succeeded" and given:
        problems.append("outputs are of a step that succeeded")
    if verdict == "succeeded":
        needed = _needed(plan, step.id)
        problems += [
            f"output {name!r} is missing: step {other} needs it"
            for name, other in needed.items()
            if name not in given
        ]
    if problems:
        raise InputsRefused(problems)


def _needed(plan: Plan, step: str) -> dict[str, str]:
    """Outputs of the step that requests of others are made of → one of those steps."""
    return {
        part.name: other.id
        for other in plan.steps
        for node in request_nodes(other.call)
        for part in walk(node)
        if isinstance(part, Output) and part.step == step
    }


def _outcome(verdict: Verdict, step: Step, context: Context) -> Outcome:
    if verdict == "resend":
        return Outcome(result=Result.UNDONE, code=RESOLVED, delay=0)
    if verdict == "succeeded":
        outcome, choices = Outcome(result=Result.SUCCEEDED), step.success
    else:
        outcome, choices = Outcome(result=Result.FINAL, code=RESOLVED), step.failure
    try:
        return replace(outcome, matched=matched(choices, context))
    except ConditionFailed as problem:
        code = outcome.code or problem.code
        return replace(outcome, matched=UNANSWERED, code=code, detail=problem.message)


__all__ = ["Verdict", "resolve"]

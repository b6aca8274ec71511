"""Retry: a run that failed or was cancelled goes on, from a step that is done anew."""

from __future__ import annotations

from typing import Final

from orchestrator.engine.state import State, Status
from orchestrator.errors import RetryRefused, UnknownRun
from orchestrator.plan.graph import Graph
from orchestrator.service.core import Core

_ENDS: Final = frozenset({Status.FAILED, Status.CANCELLED})


def retry(
    core: Core,
    run: str,
    *,
    by: str,
    reason: str = "",
    step: str | None = None,
    force: bool = False,
) -> State:
    """Enter ``step`` anew, by default the one that failed: a new visit, with a new key.

    What the step and those behind it did before is done again. So a retry that could charge,
    text or open twice is refused unless ``force`` says that this is meant.

    Raises UnknownRun, and RetryRefused when the run did not fail, has no such step, or has done
    what would be done again.
    """
    state = core.journal.read(run)
    if state is None:
        raise UnknownRun(f"no run {run!r} in this journal")
    if state.status not in _ENDS:
        raise RetryRefused(f"the run is {state.status.value}: only one that ended badly is retried")
    if state.forgotten:
        raise RetryRefused(
            "the run's values were erased, so that nothing can be sent for it again: it could only"
            " be run anew, under another run key"
        )
    graph = core.plans.graph(state.plan)
    target = step or state.failed_step
    if target not in graph.steps:
        known = ", ".join(graph.steps)
        wanted = f"there is no step {target!r}" if target else "no step failed"
        raise RetryRefused(f"{wanted}: say which step to go on from; there is {known}")
    stands = _again(graph, state, target)
    if stands and not force:
        raise RetryRefused(
            f"from step {target} it would be done again: {', '.join(stands)}; force it if that"
            " is meant"
        )
    seen = state.visited(target)
    number = core.journal.reopen(run, target, seen, by=by, reason=reason, batch=state.batch)
    if number is None:
        raise RetryRefused("the run has changed meanwhile: look at it again")
    return core.driver.carry_on(run) or state


def _again(graph: Graph, state: State, target: str) -> list[str]:
    """What stands, of the step and of all that it can lead to."""
    behind = {target, *graph.behind(target)}
    return [f"{e.told} ({e.step})" for e in state.effects if e.step in behind]


__all__ = ["retry"]

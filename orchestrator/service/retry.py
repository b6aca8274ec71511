"""Retry: a run that failed or was cancelled goes on, from a step that is done anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from orchestrator.canvas.messages import TaskId
from orchestrator.engine.state import Phase, State, Status
from orchestrator.errors import JournalUnavailable, RetryRefused, UnknownRun
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
    wait: Callable[[], object] | None = None,
) -> State:
    """Enter ``step`` anew, by default the one that failed: a new visit, with a new key.

    What the step and those behind it did before is done again. So a retry that could charge,
    text or open twice is refused unless ``force`` says that this is meant.

    ``wait``: of a run of a batch, it is called as long as the batch's window has no room. Without
    it the run goes on all the same: a person's word about this one.

    Raises UnknownRun, and RetryRefused when the run did not fail, has no such step, or has done
    what would be done again.
    """
    reopened = partial(_reopened, core, run, by=by, reason=reason, step=step, force=force)
    while (found := reopened(in_turn=wait is not None)) is None:
        assert wait is not None  # noqa: S101  only who waits for room is told that there is none
        wait()
    return _sent(core, run, core.driver.carry_on(run) or found)


def _reopened(
    core: Core,
    run: str,
    *,
    by: str,
    reason: str,
    step: str | None,
    force: bool,
    in_turn: bool,
) -> State | None:
    """The run as it was before; None when there is no room for it."""
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
    number = core.journal.reopen(
        run, target, seen, by=by, reason=reason, batch=state.batch, in_turn=in_turn
    )
    if number is None:
        raise RetryRefused("the run has changed meanwhile: look at it again")
    return state if number else None


def _sent(core: Core, run: str, state: State) -> State:
    """What was entered anew is sent at once: it counts as sent, and is looked for after a while."""
    with suppress(JournalUnavailable):
        for step, visit in state.visits.items():
            if visit.phase is Phase.READY:
                core.driver.send(TaskId(run, step, visit.number, visit.sends), state)
    return state


def _again(graph: Graph, state: State, target: str) -> list[str]:
    """What stands, of the step and of all that it can lead to."""
    behind = {target, *graph.behind(target)}
    return [f"{e.told} ({e.step})" for e in state.effects if e.step in behind]


__all__ = ["retry"]

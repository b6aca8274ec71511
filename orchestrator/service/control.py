"""Control: what a person may do to a run that goes on. Each is journaled: who, when, why."""

from __future__ import annotations

from orchestrator.engine.state import State
from orchestrator.errors import RunEnded, UnknownRun
from orchestrator.service.core import Core


def cancel(core: Core, run: str, *, by: str, reason: str = "", must: bool = False) -> State:
    """End a run without what it has not begun. A call in flight lands its outcome first.

    The state that was reached: a finished run stays as it is, unless ``must`` refuses it.
    ``reason`` is sealed, like a value. Raises UnknownRun, RunEnded.
    """
    return _control(core, run, "cancel", by, reason, must=must)


def pause(core: Core, run: str, *, by: str, reason: str = "", must: bool = False) -> State:
    """Begin nothing more until ``resume``; what is in flight lands."""
    return _control(core, run, "pause", by, reason, must=must)


def resume(core: Core, run: str, *, by: str, reason: str = "", must: bool = False) -> State:
    return _control(core, run, "resume", by, reason, must=must)


def _control(core: Core, run: str, kind: str, by: str, reason: str, *, must: bool) -> State:
    done = core.journal.control(run, kind, by=by, reason=reason)
    state = core.driver.carry_on(run)
    if state is None:
        raise UnknownRun(f"no run {run!r} in this journal")
    if must and done is None:
        raise RunEnded(f"the run had ended before: it stays {state.status.value}")
    return state

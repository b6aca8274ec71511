"""Control: what a person may do to a run that goes on. Each is journaled: who, when, why."""

from __future__ import annotations

from orchestrator.engine.state import State
from orchestrator.errors import UnknownRun
from orchestrator.service.core import Core


def cancel(core: Core, run: str, *, by: str, reason: str = "") -> State:
    """End a run without what it has not begun. A call in flight lands its outcome first.

    The state that was reached: a finished run stays as it is. Raises UnknownRun.
    """
    return _control(core, run, "cancel", by, reason)


def pause(core: Core, run: str, *, by: str, reason: str = "") -> State:
    """Begin nothing more until ``resume``; what is in flight lands."""
    return _control(core, run, "pause", by, reason)


def resume(core: Core, run: str, *, by: str, reason: str = "") -> State:
    return _control(core, run, "resume", by, reason)


def _control(core: Core, run: str, kind: str, by: str, reason: str) -> State:
    core.journal.control(run, kind, by=by, reason=reason)
    state = core.driver.carry_on(run)
    if state is None:
        raise UnknownRun(f"no run {run!r} in this journal")
    return state

"""The two tasks, for ever under these names: a message of an older release finds them.

An unregistered name is discarded by Celery without a callback, so none may ever go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Never

import structlog
from celery import Celery
from celery.exceptions import Ignore, Retry

from orchestrator.canvas.messages import FALLBACK_TASK, STEP_TASK, VERSION, TaskId, is_fresh
from orchestrator.clock import SystemClock
from orchestrator.errors import JournalUnavailable, NewerRelease
from orchestrator.journal.port import Claimed, Ref
from workers.chain import Chain
from workers.logs import about, place
from workers.process import Process
from workers.told import Said, Told

log = structlog.get_logger()

#: Of an id that durazzo may not have made, in a log line.
_MOST: Final = 200


class StepFailed(Exception):
    """A step failed for good, and nothing in the document handles it. Its code, no data."""


class FailureHandled(Exception):
    """A step failed for good, and the document has a way on."""


class StepCrashed(Exception):
    """A bug in durazzo: the lease runs out and the step is tried again."""


def register(app: Celery, process: Callable[[], Process]) -> None:
    @app.task(name=STEP_TASK, bind=True, shared=False, throws=(StepFailed, FailureHandled))  # type: ignore[untyped-decorator]
    def step(self: Any, version: object, run: object, *rest: object) -> None:
        request = self.request

        def drive(args: Sequence[Any], chain: Sequence[Any] | None, *, fresh: bool = False) -> None:
            ref = _ref(*args, fresh=fresh)
            # Whatever else a newer release's message holds: the journal has its run, for who can.
            if ref is None:
                log.warning("message.left", task=str(request.id)[:_MOST], code=NewerRelease.code)
                raise Ignore(NewerRelease.code)
            _tell(_edge(ref, lambda: process().attempt.drive(ref, _carried(chain))))

        chain = Chain(app, request, SystemClock())
        drive((version, run, *rest), request.chain, fresh=_is_fresh(request))
        chain.go_on(drive, process().pulse.alive)

    @app.task(name=FALLBACK_TASK, shared=False)  # type: ignore[untyped-decorator]
    def fallback(task_id: str) -> None:
        """The error callback: sends what the failed commit chose, and nothing else.

        One argument, or Celery runs it inline in the worker's main process.
        """
        try:
            failed = TaskId.parse(task_id)
        except ValueError:
            raise Ignore(NewerRelease.code) from None
        ref = Ref(failed.run, failed.step, failed.visit)
        _edge(ref, lambda: process().fall_back(ref))


def _is_fresh(request: Any) -> bool:
    return is_fresh((request.delivery_info or {}).get("priority"))


def _ref(*args: object, fresh: bool) -> Ref | None:
    """The visit that a message is about; None for what is not of this release."""
    match args:
        case (int(number), str(of), str(step), int(visit), int(send)) if number <= VERSION:
            return Ref(of, step, visit, send, fresh)
        case _:
            return None


def _edge(ref: Ref, work: Callable[[], Told]) -> Told:
    """What escapes a task reaches Flower: no exception of ours or a library's may carry data."""
    with about(ref.run, step=ref.step, visit=ref.visit):
        return _guarded(ref, work)


def _guarded(ref: Ref, work: Callable[[], Told]) -> Told:
    try:
        return _left(ref, work())
    except NewerRelease as error:
        log.warning("run.left", run=ref.run, step=ref.step, code=error.code)
        return Told(Said.IGNORE, error.code)
    except JournalUnavailable as error:
        log.warning(
            "journal.unavailable", run=ref.run, step=ref.step, code=error.code, reason=error.reason
        )
        return Told(Said.WAIT, error.code)
    except Exception as error:  # noqa: BLE001  the task's edge
        # Its message could hold an input; its type and place are what a bug report needs.
        where = place(error.__traceback__)
        log.error(
            "step.crashed", run=ref.run, step=ref.step, error=type(error).__name__, where=where
        )
        crashed = StepCrashed(f"{type(error).__name__} at {where}")
    raise crashed


def _left(ref: Ref, told: Told) -> Told:
    if told.code == Claimed.NEWER:
        log.warning("run.left", run=ref.run, step=ref.step, code=NewerRelease.code)
    return told


def _carried(chain: Sequence[Any] | None) -> frozenset[tuple[str, int]]:
    """The visit that Celery sends next by itself when this task returns."""
    if not chain:
        return frozenset()
    # The rest of the chain is kept in reverse: its last is the next one.
    task = TaskId.parse(chain[-1]["options"]["task_id"])
    return frozenset({(task.step, task.visit)})


def _tell(told: Told) -> None:
    match told.said:
        case Said.GO_ON:
            return
        case Said.FAILED:
            raise StepFailed(told.code)
        case Said.HANDLED:
            raise FailureHandled(told.code)
        case Said.WAIT:
            _wait(told.code)
        case Said.IGNORE:
            raise Ignore(told.code)


def _wait(code: str) -> Never:
    # Not self.retry(), which publishes: the journal sends this step when its time comes.
    raise Retry(code or "waiting")

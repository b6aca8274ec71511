"""Decisions → Celery signatures: a chain for each segment, failure edges as error callbacks.

Chains and callbacks are the fast way on, never the only one: the journal knows what is
ready, and the timekeeper sends it again when a message is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, chain
from celery.exceptions import TaskRevokedError
from kombu.exceptions import ChannelError, OperationalError

from orchestrator.canvas.messages import FALLBACK_TASK, STEP_TASK, TaskId, listed, priority
from orchestrator.engine.state import State, Status
from orchestrator.journal.trouble import answering, unavailable
from orchestrator.plan.graph import Graph


class RunFailed(Exception):
    """What a Celery client sees that waits on a run which failed: its code, no data."""


class Canvas:
    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, task: TaskId, state: State, graph: Graph) -> None:
        """Send the segment that begins with this visit, in the run's lane.

        Raises JournalUnavailable when the broker cannot be reached, or refuses.
        """
        signatures = self._segment(task, state, graph)
        if graph.is_fresh(task.step, task.visit, task.send):
            signatures[0].set(priority=priority(bulk=bool(state.batch), fresh=True))
        with _answering():
            chain(*signatures).apply_async() if len(signatures) > 1 else signatures[0].apply_async()

    def _segment(self, first: TaskId, state: State, graph: Graph) -> list[Any]:
        steps = graph.segment(first.step)
        rest = [TaskId(first.run, step, state.visited(step) + 1, 1) for step in steps[1:]]
        return [self._step(task, state, graph) for task in (first, *rest)]

    def _step(self, task: TaskId, state: State, graph: Graph) -> Any:
        options: dict[str, Any] = {
            "task_id": str(task),
            "queue": state.lane,
            "shadow": f"{state.name}/{task.step}",
            # The journal has every outcome; without this the sender subscribes to each result.
            "ignore_result": True,
        }
        options |= _behind(state)
        if graph.steps[task.step].failure:
            # Each task its own: a callback on one of a chain is not called for another.
            options["link_error"] = [self._fallback(task, state)]
        return self._app.signature(STEP_TASK, args=task.args(), immutable=True, options=options)

    def _fallback(self, task: TaskId, state: State) -> Any:
        options = {
            "task_id": f"{task}.fallback",
            "queue": state.lane,
            "shadow": f"{state.name}/{task.step} fallback",
            **_behind(state),
        }
        return self._app.signature(FALLBACK_TASK, options=options)

    def announce(self, run: str, state: State) -> None:
        """A Celery result under the run's id, for any client that waits on it."""
        brief = {"run": run, "state": state.end, "code": state.code}
        match Status(state.end):
            case Status.SUCCEEDED:
                self._succeeded(run, brief)
            case Status.CANCELLED:
                self._store(run, TaskRevokedError("cancelled"), "REVOKED")
            case _:
                self._store(run, RunFailed(state.code), "FAILURE")

    def _succeeded(self, run: str, brief: dict[str, str]) -> None:
        """As Celery would store it, which reads first lest a success be overwritten: this is one,
        and nothing comes after it.
        """
        backend = self._app.backend
        meta = {
            "status": "SUCCESS",
            "result": brief,
            "traceback": None,
            "children": [],
            "date_done": self._app.now().isoformat(),
            "task_id": run,
        }
        with _answering():
            backend.set(backend.get_key_for_task(run), backend.encode(meta))

    def _store(self, run: str, result: Exception, state: str) -> None:
        with _answering():
            self._app.backend.store_result(run, result, state)

    def backlog(self, lane: str, *, fresh: bool | None = None, bulk: bool = False) -> int:
        """Messages that wait in a lane's queue.

        ``fresh``: those only of runs that have not begun, or of runs that have; ``bulk``: of
        batches, or of none.
        """
        if fresh is not None:
            return self._waiting(listed(lane, priority(bulk=bulk, fresh=fresh)))
        with _answering(), self._app.connection_or_acquire() as connection:
            try:
                return int(
                    connection.default_channel.queue_declare(lane, passive=True).message_count
                )
            except ChannelError:
                return 0

    def _waiting(self, name: str) -> int:
        with _answering(), self._app.connection_or_acquire() as connection:
            return int(connection.default_channel.client.llen(name))


def _behind(state: State) -> dict[str, int]:
    return {"priority": priority(bulk=True, fresh=False)} if state.batch else {}


@contextmanager
def _answering() -> Iterator[None]:
    """The broker and the result store are the journal's Redis, and are in trouble as it is.

    Celery wraps most of what their client raises, but not what a server answers that refuses.
    """
    try:
        with answering():
            yield
    except (OperationalError, OSError) as error:
        raise unavailable(error) from error

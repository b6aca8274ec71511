"""The rest of a task's chain, as far as its worker goes on with it at once.

A chain's next task is a message of its own: sent, taken, announced and acked, it costs about what a
step costs. So a worker that was quick with one task does the next in the same go. It stays a task:
its id, its events for Flower, its error callback. What is slow gives its slot back after each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from celery import Celery
from celery.exceptions import Ignore, Retry
from kombu.exceptions import OperationalError

from orchestrator.canvas.messages import is_bulk
from orchestrator.clock import Clock
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.trouble import answering

#: Another task is begun only while all before it together took less. ms.
QUICK: Final = 1_000
#: Of a batch's run: whatever overtakes it waits for no more than the call under way.
QUICK_IN_BULK: Final = 50

#: One task: its arguments, and what follows it. Raises what its task would raise.
Work = Callable[[Sequence[Any], Sequence[Any]], object]


class Chain:
    """What follows one task that Celery executes here."""

    def __init__(self, app: Celery, request: Any, clock: Clock) -> None:
        """``request``: the task's, whose ``chain`` holds what Celery sends once it has returned."""
        self._app = app
        self._request = request
        self._clock = clock
        info = request.delivery_info or {}
        self._span = QUICK_IN_BULK if is_bulk(info.get("priority")) else QUICK
        self._ends = clock.monotonic_ms() + self._span
        self._news: list[tuple[str, dict[str, Any]]] = []
        self._id = request.id

    def go_on(self, work: Work, may: Callable[[], bool]) -> None:
        """After the first task. What is left in its request's chain, Celery sends.

        ``may``: whether this worker should begin anything more.
        """
        rest = self._request.chain
        while rest and self._clock.monotonic_ms() < self._ends and may():
            task = rest.pop()
            if not self._done(task, work, rest):
                # As where a task of its own does not succeed.
                rest.clear()
        self._tell()

    def _done(self, task: Mapping[str, Any], work: Work, rest: Sequence[Any]) -> bool:
        began = self._clock.monotonic_ms()
        self._begun(task)
        try:
            work(task["args"], rest)
        except Ignore:
            return False
        except Retry as wait:
            self._say("task-retried", exception=repr(wait.message), traceback=None)
            return False
        except Exception as error:  # noqa: BLE001  as Celery around a task
            self._say("task-failed", exception=repr(error), traceback=None)
            self._call_back(task["options"].get("link_error") or ())
            return False
        seconds = (self._clock.monotonic_ms() - began) / 1_000
        self._say("task-succeeded", result="None", runtime=seconds)
        return True

    def _begun(self, task: Mapping[str, Any]) -> None:
        options, parent, self._id = task["options"], self._id, task["options"]["task_id"]
        self._say(
            "task-received",
            name=options.get("shadow") or task["task"],
            args=repr(tuple(task["args"])),
            kwargs="{}",
            root_id=self._request.root_id,
            parent_id=parent,
            retries=0,
            eta=None,
            expires=None,
        )
        self._say("task-started")
        # Of a call that takes long, it is seen where it is.
        self._tell()

    def _call_back(self, callbacks: Sequence[Any]) -> None:
        """The timekeeper does what a callback that could not be sent would have done."""
        for callback in callbacks:
            with suppress(JournalUnavailable, OperationalError, OSError), answering():
                self._app.signature(callback).apply_async(
                    (self._id,), parent_id=self._id, root_id=self._request.root_id
                )

    def _say(self, event: str, **fields: Any) -> None:
        self._news.append((event, {"uuid": self._id, **fields}))

    def _tell(self) -> None:
        """In one message. Without the broker nobody hears it, as with Celery's own."""
        news, self._news = self._news, []
        if not news or not self._app.conf.worker_send_task_events:
            return
        with (
            suppress(JournalUnavailable, OperationalError, OSError),
            answering(),
            self._app.amqp.producer_pool.acquire(block=True) as producer,
            self._app.events.Dispatcher(
                producer.connection,
                self._request.hostname,
                channel=producer.channel,
                buffer_group={"task"},
            ) as dispatcher,
        ):
            for event, fields in news:
                dispatcher.send(event, **fields)
            dispatcher.flush(errors=False)

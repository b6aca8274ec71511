"""The two calls as two steps of a DBOS workflow, on a queue of its own.

``python -m ops.bench.rivals.with_dbos execute NAME`` takes runs until its input ends, and
``… desk`` does what lines of JSON tell it: ``{"do": "submit", "orders": […]}``, then
``{"do": "go"}``. Both run where DBOS is installed; the project need not have it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from functools import cache
from typing import Any, Final
from uuid import uuid4

import sqlalchemy  # type: ignore[import-not-found]
from dbos import DBOS, DBOSClient  # type: ignore[import-not-found]

from ops.bench.rivals.shop import Shop

_NAME: Final = "durazzo-bench"
_VERSION: Final = "1"
#: Between two looks of an executor at its queue. Seconds; 1 unless it is set.
_POLL: Final = 0.02
#: An executor looks for new queues once a second.
_FOUND: Final = 2.5
#: Between two looks of the desk at what has ended.
_LOOK: Final = 0.02
_PATIENCE: Final = 300.0
_GOING: Final = frozenset({"ENQUEUED", "PENDING", "SUCCESS"})


@cache
def _shop() -> Shop:
    return Shop(os.environ, connections=_at_once())


@DBOS.step()  # type: ignore[untyped-decorator]
def charge(order: dict[str, Any]) -> str:
    return _shop().charge(order)


@DBOS.step()  # type: ignore[untyped-decorator]
def text(order: dict[str, Any]) -> str:
    return _shop().text(order)


@DBOS.workflow()  # type: ignore[untyped-decorator]
def charge_and_text(order: dict[str, Any]) -> dict[str, str]:
    return {"paymentId": charge(order), "messageSid": text(order)}


class Desk:
    """Submits runs and says when they have ended, as a client from outside."""

    def __init__(self) -> None:
        url = os.environ["BENCH_DATABASE"]
        self._client = DBOSClient(system_database_url=url, application_name=_NAME)
        self._engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        schema = "" if url.startswith("sqlite") else "dbos."
        self._counts = sqlalchemy.text(
            f"SELECT status, count(*) FROM {schema}workflow_status"  # noqa: S608 - no input in it
            " WHERE queue_name = :queue GROUP BY status"
        )
        self._queue = ""
        self._runs = 0

    def submit(self, orders: list[dict[str, Any]]) -> None:
        """All wait in a queue that every executor has found and may not take from yet."""
        self._queue, self._runs = f"lane-{uuid4().hex}", len(orders)
        self._client.register_queue(self._queue, worker_concurrency=0, polling_interval_sec=_POLL)
        began = time.perf_counter()
        options = {
            "queue_name": self._queue,
            "workflow_name": charge_and_text.__qualname__,
            "app_version": _VERSION,
        }
        for order in orders:
            self._client.enqueue(options, order)
        spent = time.perf_counter() - began
        time.sleep(max(0.0, _FOUND - spent))
        _say(submitting=spent)

    def go(self) -> None:
        """From the first run that is taken to the last whose result is stored."""
        queue = self._client.retrieve_queue(self._queue)
        queue.set_worker_concurrency(_at_once())
        began, latest = 0.0, time.perf_counter() + _PATIENCE
        while time.perf_counter() < latest:
            now, states = time.perf_counter(), self._states()
            if not began and states.get("ENQUEUED", 0) < self._runs:
                began = now
            if states.get("SUCCESS", 0) == self._runs:
                self._client.delete_queue(self._queue)
                _say(seconds=time.perf_counter() - began)
                return
            if not _GOING.issuperset(states):
                raise SystemExit(f"not all succeed: {states}")
            time.sleep(_LOOK)
        raise SystemExit(f"not drained in {_PATIENCE} s: {self._states()}")

    def _states(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            return dict(connection.execute(self._counts, {"queue": self._queue}).all())


def execute(name: str) -> None:
    """Whoever starts again under the same name goes on with what it had."""
    DBOS(
        config={
            "name": _NAME,
            "system_database_url": os.environ["BENCH_DATABASE"],
            "executor_id": name,
            "application_version": _VERSION,
            "log_level": "ERROR",
            # It asks the database before each use whether the connection is alive.
            "db_engine_kwargs": {"pool_pre_ping": False},
        }
    )
    DBOS.launch()
    _say(ready=name)
    with suppress(KeyboardInterrupt):
        sys.stdin.read()


def _write_ahead(connection: Any, _: object) -> None:
    """SQLite's quickest way that keeps what was committed when a process dies."""
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def _at_once() -> int:
    return int(os.environ["BENCH_AT_ONCE"])


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main() -> None:
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _write_ahead)
    role, *names = sys.argv[1:]
    if role == "execute":
        execute(*names)
        return
    desk = Desk()
    _say(ready=role)
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "submit":
            desk.submit(told["orders"])
        else:
            desk.go()


if __name__ == "__main__":
    main()

"""What a core needs of batches and of finished runs, for tests that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import fakeredis

from orchestrator.admission import Admission
from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Plans
from orchestrator.engine.state import State
from orchestrator.journal.archive import Archive
from orchestrator.journal.batches import BLOCK, Batches, NewBatch, Opened, Row
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import NoSeal
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.fakes.plans import new_run


class _Nobody:
    """Sends nothing: there is nothing to be sent."""

    def send(self, task: TaskId, state: State, graph: Graph) -> None:
        raise AssertionError(task)

    def announce(self, run: str, state: State) -> None:
        raise AssertionError(run)


class Batching(TypedDict):
    batches: Batches
    admission: Admission
    archive: Archive


def no_batches(plans: Plans) -> Batching:
    client = fakeredis.FakeRedis()
    batches = RedisBatches(client, NoSeal(), key_life_ms=1)
    return Batching(
        batches=batches,
        admission=Admission(batches, plans, _Nobody()),
        archive=RedisArchive(client, NoSeal()),
    )


def new_batch(
    flow: Plan, name: str, rows: Sequence[Row], upload: str = "u", **other: Any
) -> NewBatch:
    """Of rows that were uploaded under ``upload``."""
    new = new_run(flow, "run", inputs={})
    fields: dict[str, Any] = {"window": 3, "print": "p", **other}
    return NewBatch(
        id=name, upload=upload, total=len(rows), plan=new.plan, digest=new.digest,
        name=new.name, lane=new.lane, starts=new.starts, reads=new.reads, **fields,
    )  # fmt: skip


def open_batch(
    batches: Batches, flow: Plan, name: str, rows: Sequence[Row], **other: Any
) -> Opened:
    for number, start in enumerate(range(0, len(rows), BLOCK)):
        batches.upload(f"up-{name}", number, rows[start : start + BLOCK])
    return batches.open(new_batch(flow, name, rows, f"up-{name}", **other))

"""Rows of batches become runs, as their windows have room: by any worker, and by the timekeeper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Plans, Sender
from orchestrator.engine import events
from orchestrator.errors import DurazzoError, JournalUnavailable
from orchestrator.journal.batches import Admitted, Admittee, Batch, Batches, Record, Row, run_of
from orchestrator.plan.graph import Graph

#: Rows that one script admits: a millisecond or two of Redis.
_CHUNK: Final = 64
#: Chunks that one caller admits in a row: a worker has other work to do.
_CHUNKS: Final = 16


class Admission:
    def __init__(self, batches: Batches, plans: Plans, sender: Sender) -> None:
        self._batches = batches
        self._plans = plans
        self._sender = sender

    def tend(self) -> None:
        """Fill the window of every batch that has rows left: what the timekeeper does.

        One that cannot be read stops no other; what was wrong with it is raised at the end.
        """
        broken: DurazzoError | None = None
        for batch in self._batches.active():
            try:
                self.fill(batch)
            except JournalUnavailable:
                raise
            except DurazzoError as error:
                broken = broken or error
        if broken is not None:
            raise broken

    def fill(self, batch: str) -> int:
        """Admit rows until the window is full; how many. Anybody may, also two at once."""
        admitted = 0
        for _ in range(_CHUNKS):
            found = self._batches.read(batch)
            if found is None or found.state != "running" or not found.waiting:
                break
            taken = self._admit(found)
            if not taken:
                break
            admitted += taken
        return admitted

    def _admit(self, batch: Batch) -> int:
        """The next rows of one block; how many, 0 when somebody else was quicker."""
        block, offset = divmod(batch.admitted, batch.size)
        rows = self._batches.rows(batch, block)
        room = min(batch.window - batch.busy, _CHUNK)
        taken = rows[offset : offset + max(room, 0)]
        if not taken:
            return 0
        graph = self._plans.graph(batch.digest)
        admittees = self._judged(batch, taken)
        drop = block if offset + len(taken) == len(rows) else -1
        verdict = self._batches.admit(batch, graph.plan.starts, admittees, drop=drop)
        if verdict is not Admitted.YES:
            return 0
        self._send(batch, graph, [a.run for a in admittees if a.record is None])
        return len(taken)

    def _judged(self, batch: Batch, rows: Sequence[Row]) -> list[Admittee]:
        known = self._batches.known(batch, rows) if batch.key_scope else {}
        return [
            Admittee(
                row=row,
                run=run_of(batch.id, row.number),
                record=_met(*known[row.number]) if row.number in known else None,
            )
            for row in rows
        ]

    def _send(self, batch: Batch, graph: Graph, runs: Sequence[str]) -> None:
        event = events.accepted(
            at=0, plan=batch.digest, name=batch.name, lane=batch.lane,
            starts=graph.plan.starts, batch=batch.id,
        )  # fmt: skip
        state = events.begin(event)
        try:
            for run in runs:
                for step, visit in state.visits.items():
                    self._sender.send(TaskId(run, step, visit.number), state, graph)
        except JournalUnavailable:
            # They are accepted, and in the due-set: the timekeeper sends what could not be sent.
            return


def _met(run: str, same: bool) -> Record:
    """A row whose run key stands for a run already."""
    end, code = ("known", "") if same else ("refused", "run-key-conflict")
    return Record(end=end, code=code, run=run)

"""The race: N runs wait in a lane, then a worker is let at them, and the clock runs.

Both teams publish all their runs before a worker consumes the lane. The clock runs from the
first message that is taken to the last that is acked: both ack late, after a step's successor
was published and a run's end was stored, so an empty lane with nothing unacked is the end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from ops.bench.meters import Traffic
from ops.bench.stage import BenchBroken, Stage, Team, now
from orchestrator.canvas.messages import lists

#: Between two looks at the lane. Seconds.
_LOOK: Final = 0.02
_PATIENCE: Final = 120.0
#: EVAL, so that the bench's own looks are told apart from what workers say.
_LEFT: Final = (
    "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('LLEN', key) end"
    " return {n, redis.call('HLEN', 'unacked')}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """One round of one team. All but the rate and the CPU time is of the whole round."""

    runs: int
    #: From nothing to all runs waiting in the lane, by one process. Seconds.
    submitting: float
    seconds: float
    #: From the first submit until the worker has left the lane. Seconds.
    whole: float
    #: By process, while the lane was drained. Seconds.
    cpu: dict[str, float]
    #: Bytes of the first message in the lane.
    message: int
    before: Traffic
    waiting: Traffic
    after: Traffic

    @property
    def rate(self) -> float:
        return self.runs / self.seconds


def drain(stage: Stage, team: Team, runs: int) -> Drained:
    lane, orders, worker = stage.lane(team), stage.orders(runs), stage.workers[team.name]
    with stage.judged(runs):
        before = Traffic.read(stage.redis)
        began = now()
        for order in orders:
            team.submit(order, lane)
        submitting = now() - began
        firsts = (stage.redis.lindex(name, -1) for name in lists(lane))
        waiting, message = Traffic.read(stage.redis), max(len(first or b"") for first in firsts)
        cpu = stage.cpu(team)
        worker.consume(lane)
        seconds = _clocked(stage.redis, lane, runs)
        spent = {name: value - cpu[name] for name, value in stage.cpu(team).items()}
        worker.leave(lane)
    return Drained(
        runs=runs, submitting=submitting, seconds=seconds, cpu=spent, message=message,
        before=before, waiting=waiting, after=Traffic.read(stage.redis), whole=now() - began,
    )  # fmt: skip


def _clocked(redis: Any, lane: str, runs: int) -> float:
    began, latest = 0.0, now() + _PATIENCE
    ended = 0.0
    while now() < latest:
        waiting, unacked = redis.eval(_LEFT, 4, *lists(lane))
        if not began and waiting < runs:
            began = now()
        if waiting or unacked:
            ended = 0.0
        elif ended:
            return ended - began
        else:
            # Twice in a row: a message just taken is for a moment in neither.
            ended = now()
        time.sleep(_LOOK)
    raise BenchBroken(f"{lane} was not drained in {_PATIENCE} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What heartbeats, ticks and the bench's own looks cost a second, runs or none."""

    bytes_in: float
    bytes_out: float
    scripts: float


def idle(stage: Stage, seconds: float = 2.0) -> Idle:
    before, began = Traffic.read(stage.redis), now()
    while now() < began + seconds:
        stage.redis.eval(_LEFT, 4, *lists("idle"))
        time.sleep(_LOOK)
    after, spent = Traffic.read(stage.redis), now() - began
    return Idle(
        bytes_in=(after.bytes_in - before.bytes_in) / spent,
        bytes_out=(after.bytes_out - before.bytes_out) / spent,
        scripts=(after.scripts - before.scripts) / spent,
    )

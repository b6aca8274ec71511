"""What keeping more costs: the same runs under each setting of Redis' append-only file."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, TypeAlias

from ops.bench.drain import Drained, drain
from ops.bench.handwritten import Order
from ops.bench.stage import Stage, now, stage
from ops.bench.tables import Cell, table

SUMMARY: Final = "appendfsync everysec, always, and with DURAZZO_BARRIER: runs a second, bytes"
RUNS: Final = 200
ROUNDS: Final = 5
_WARM: Final = 10
#: Behind a barrier under everysec, each submit and each text waits for the disk's turn.
_SLOW_SHARE: Final = 2
#: Submits at one time, where they wait for the disk together.
_TOGETHER: Final = 16

Fsync: TypeAlias = Literal["everysec", "always"]


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    fsync: Fsync
    barrier: bool

    def runs(self, runs: int) -> int:
        waits = self.barrier and self.fsync == "everysec"
        return max(runs // _SLOW_SHARE, 5) if waits else runs


SETTINGS: Final = (
    Setting("everysec", "everysec", barrier=False),
    Setting("always", "always", barrier=False),
    Setting("everysec, barrier", "everysec", barrier=True),
    Setting("always, barrier", "always", barrier=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    drained: Drained
    #: Bytes of the append-only file that a run wrote.
    file: float
    #: Submits a second of several threads, which wait for the disk together.
    together: float

    @property
    def submits(self) -> float:
        return self.drained.runs / self.drained.submitting

    @property
    def sent(self) -> float:
        """Bytes that a run's clients sent to Redis."""
        return (self.drained.after.bytes_in - self.drained.before.bytes_in) / self.drained.runs


def main(*, runs: int, rounds: int) -> None:
    """Prints as it goes. Raises BenchBroken when the sandbox's ledger is not what it must be."""
    began = now()
    played: dict[str, list[Measured]] = {setting.name: [] for setting in SETTINGS}
    # Round after round, so that what else the machine does meets all alike.
    for _ in range(rounds):
        for setting in SETTINGS:
            played[setting.name].append(_measured(setting, runs))
    print(_report(played))
    print(
        f"\nThe best rates of {rounds} rounds of {runs} runs"
        f" ({SETTINGS[2].runs(runs)} for {SETTINGS[2].name}); charge, then text, one worker"
        f" with two processes.\nThe bench took {now() - began:.0f} s; load"
        f" {os.getloadavg()[0]:.1f} after."
    )


def _measured(setting: Setting, runs: int) -> Measured:
    with stage(appendfsync=setting.fsync, DURAZZO_BARRIER="on" if setting.barrier else "") as found:
        drain(found, found.durazzo, setting.runs(_WARM))
        before = _file(found)
        drained = drain(found, found.durazzo, setting.runs(runs))
        written = _file(found) - before
        return Measured(
            drained=drained, file=written / drained.runs, together=_together(found, runs // 2)
        )


def _together(found: Stage, count: int) -> float:
    """The last of a stage: what is accepted here is not driven."""
    lane = found.lane(found.durazzo)
    shares = [found.orders(max(count // _TOGETHER, 1)) for _ in range(_TOGETHER)]

    def submit(share: Sequence[Order]) -> None:
        for order in share:
            found.durazzo.submit(order, lane)

    threads = [threading.Thread(target=submit, args=(share,)) for share in shares]
    began = now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, shares)) / (now() - began)


def _file(found: Stage) -> int:
    told = found.redis.info("persistence")
    return int(told["aof_current_size"])


def _report(played: dict[str, list[Measured]]) -> str:
    first = next(iter(played.values()))
    rows: list[list[Cell]] = []
    for name, measured in played.items():
        rate, base = _rate(measured), _rate(first)
        rows.append([
            name,
            rate,
            rate / base,
            max(one.submits for one in measured),
            max(one.together for one in measured),
            round(median(one.file for one in measured)),
            round(median(one.sent for one in measured)),
        ])
    head = (
        "appendfsync", "runs/s", "ratio", "submits/s", f"by {_TOGETHER} threads", "file B/run",
        "sent B/run",
    )  # fmt: skip
    return table(head, rows)


def _rate(measured: Sequence[Measured]) -> float:
    # The best: what else the machine does only takes away.
    return max(one.drained.rate for one in measured)

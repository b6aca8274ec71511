"""How fast: beside the hand-written chain with an instant provider, and beside what would be ideal
with one that takes its time.

An instant provider shows what a run costs. A slow one shows whether a worker keeps as many calls
under way as it may: whoever has 50 under way at a provider that takes 0.2 s makes 250 a second.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from ops.bench.drain import Drained, drain
from ops.bench.stage import CONCURRENCY, BenchBroken, Pool, Stage, Team, Worker, now, stage
from ops.bench.tables import Cell, table

SUMMARY: Final = "runs a second beside the hand-written chain; calls a second of a slow provider"
RUNS: Final = 300
ROUNDS: Final = 5
#: Of the slow provider, in one round.
SLOW_RUNS: Final = 500
SLOW_ROUNDS: Final = 2
_WARM: Final = 60
LATENCY_MS: Final = 200
_IN_FLIGHT: Final = 50
_STEPS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Workers of a pool each, that consume one lane."""

    workers: int
    pool: Pool

    @property
    def slots(self) -> int:
        """Steps at one time."""
        return self.workers * self.pool.concurrency

    def __str__(self) -> str:
        return f"{self.workers} x {self.pool.kind} -c {self.pool.concurrency}"


INSTANT: Final = (
    Shape(workers=1, pool=Pool()),
    Shape(workers=CONCURRENCY, pool=Pool(kind="threads", concurrency=4)),
)
#: Each has as many calls under way.
SLOW: Final = (
    Shape(workers=1, pool=Pool(concurrency=_IN_FLIGHT)),
    Shape(workers=1, pool=Pool(kind="threads", concurrency=_IN_FLIGHT)),
    Shape(workers=2, pool=Pool(kind="threads", concurrency=_IN_FLIGHT // 2)),
)


class Crew:
    """Workers that consume a lane together."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    @property
    def log(self) -> Path:
        return self._workers[0].log

    def pids(self) -> list[int]:
        """Each worker's main process."""
        return [worker.process.pid for worker in self._workers]

    def consume(self, lane: str) -> None:
        for worker in self._workers:
            worker.consume(lane)

    def leave(self, lane: str) -> None:
        for worker in self._workers:
            worker.leave(lane)

    def cpu(self) -> dict[str, float]:
        """Seconds so far, of all processes of all workers."""
        return {"workers": sum(sum(worker.cpu().values()) for worker in self._workers)}


def main(*, runs: int, rounds: int, slow_runs: int, slow_rounds: int) -> None:
    """Prints as it goes. Raises BenchBroken when the sandbox's ledger is not what it must be."""
    began = now()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before.")
    with stage() as found:
        for shape in INSTANT:
            print(f"\n1. An instant provider, {shape}: runs a second\n")
            print(instant(_played(found, shape, runs, rounds)), flush=True)
        with slowed(found):
            print(
                f"\n2. A provider that takes {LATENCY_MS} ms, {_IN_FLIGHT} calls under way at"
                f" most: calls a second, the best of {slow_rounds} rounds\n"
            )
            played = {shape: _played(found, shape, slow_runs, slow_rounds) for shape in SLOW}
            print(slow({str(shape): rounds for shape, rounds in played.items()}))
    print(f"\nThe bench took {now() - began:.0f} s; load {os.getloadavg()[0]:.1f} after.")


def ideal(in_flight: int, latency_ms: int) -> float:
    """Calls a second of whoever always has so many under way."""
    return in_flight * 1000 / latency_ms


def instant(played: Sequence[tuple[Drained, Drained]]) -> str:
    """Rounds of durazzo and of the hand-written chain, and the medians with CPU time a run."""
    rows: list[list[Cell]] = [
        [f"round {number}", ours.rate, theirs.rate, ours.rate / theirs.rate]
        for number, (ours, theirs) in enumerate(played, 1)
    ]
    rates = [median(pair[team].rate for pair in played) for team in (0, 1)]
    rows.append(["median", *rates, median(a.rate / b.rate for a, b in played)])
    spent = [median(cpu_ms(pair[team]) for pair in played) for team in (0, 1)]
    rows.append(["CPU, ms a run, all processes", *spent, spent[1] / spent[0]])
    return table(["", "durazzo", "hand-written", "ratio"], rows)


def slow(played: dict[str, Sequence[tuple[Drained, Drained]]]) -> str:
    """By shape: calls a second, and which part of the ideal they are."""
    best = ideal(_IN_FLIGHT, LATENCY_MS)
    rows: list[list[Cell]] = []
    for shape, rounds in played.items():
        for team, name in enumerate(("durazzo", "hand-written")):
            fastest = max((pair[team] for pair in rounds), key=lambda one: one.rate)
            calls = _STEPS * fastest.rate
            busy = cpu_ms(fastest) * fastest.rate / 1000
            rows.append([shape, name, calls, calls / best, cpu_ms(fastest) / _STEPS, busy])
    head = ("workers", "", "calls/s", f"of {best:.0f}", "CPU ms a call", "cores busy")
    return table(head, rows)


def cpu_ms(one: Drained) -> float:
    return 1000 * sum(one.cpu.values()) / one.runs


def _played(found: Stage, shape: Shape, runs: int, rounds: int) -> list[tuple[Drained, Drained]]:
    """Durazzo, by hand, durazzo, by hand, … so that what else the machine does meets both."""
    teams: tuple[Team, Team] = (found.durazzo, found.handwritten)
    with _crews(found, shape) as stocked:
        for team in teams:
            drain(stocked, team, _WARM)
        return [
            (drain(stocked, teams[0], runs), drain(stocked, teams[1], runs)) for _ in range(rounds)
        ]


@contextmanager
def _crews(found: Stage, shape: Shape) -> Iterator[Stage]:
    """The same stage with crews of that shape for its workers."""
    control, crews = found.durazzo.wiring.app.control, {}
    with tempfile.TemporaryDirectory(prefix="durazzo-bench-") as folder, ExitStack() as stack:
        teams: tuple[Team, Team] = (found.durazzo, found.handwritten)
        for team in teams:
            workers = []
            for number in range(shape.workers):
                name = f"{team.name}-{shape.pool.kind}-{shape.pool.concurrency}-{number}"
                worker = Worker(
                    team, control, found.environ, Path(folder), pool=shape.pool, name=name
                )
                stack.callback(worker.kill)
                workers.append(worker)
            for worker in workers:
                worker.wait_ready()
            crews[team.name] = Crew(workers)
        yield replace(found, workers=crews)


@contextmanager
def slowed(found: Stage) -> Iterator[None]:
    url = f"{found.sandbox}/faults"
    fault = {"match": "*", "do": "latency", "ms": LATENCY_MS, "times": None}
    if httpx.post(url, json=fault).is_error:
        raise BenchBroken("the sandbox takes no latency")
    yield
    httpx.delete(url)

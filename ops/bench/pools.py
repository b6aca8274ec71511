"""Which pool, how many processes, how many slots: durazzo alone, the same lane under every shape.

A slot executes one step at a time. With an instant provider the processors are what is short,
with a slow one the slots are. Rounds alternate, so that what else the machine does meets every
shape.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from ops.bench.drain import Drained, drain
from ops.bench.meters import children
from ops.bench.speed import LATENCY_MS, Crew, Shape, cpu_ms, slowed
from ops.bench.stage import Pool, Stage, Worker, now, stage
from ops.bench.tables import Cell, table

SUMMARY: Final = "pools, processes and slots: runs a second, calls a second, memory"
RUNS: Final = 300
ROUNDS: Final = 3
_WARM: Final = 60
_STEPS: Final = 2
#: A slot's runs at the slow provider: some seconds under every shape.
_SLOW_RUNS: Final = 8
SHAPES: Final = (
    Shape(workers=1, pool=Pool(concurrency=2)),
    Shape(workers=1, pool=Pool(concurrency=4)),
    Shape(workers=1, pool=Pool(kind="threads", concurrency=8)),
    Shape(workers=2, pool=Pool(kind="threads", concurrency=4)),
    Shape(workers=2, pool=Pool(kind="threads", concurrency=16)),
    Shape(workers=2, pool=Pool(kind="threads", concurrency=25)),
)
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def main(*, runs: int, rounds: int) -> None:
    """Prints as it goes. Raises BenchBroken when the sandbox's ledger is not what it must be."""
    began = now()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before.")
    with stage() as found, _crews(found) as stages:
        for stocked in stages.values():
            drain(stocked, found.durazzo, _WARM)
        print(f"\n1. An instant provider, medians of {rounds} rounds of {runs} runs\n")
        print(instant(_played(stages, dict.fromkeys(stages, runs), rounds)), flush=True)
        print(f"\n2. A provider that takes {LATENCY_MS} ms, medians of {rounds} rounds\n")
        with slowed(found):
            some = {shape: _SLOW_RUNS * shape.slots for shape in stages}
            print(slow(_played(stages, some, rounds)), flush=True)
        print("\n3. Memory after that\n")
        print(memory({shape: _pss_mb(one) for shape, one in stages.items()}))
    print(f"\nThe bench took {now() - began:.0f} s; load {os.getloadavg()[0]:.1f} after.")


def instant(played: Mapping[Shape, Sequence[Drained]]) -> str:
    """Runs a second, beside the first shape's of the same round, and CPU time a run."""
    first = next(iter(played.values()))
    rows: list[list[Cell]] = [
        [
            str(shape),
            median(one.rate for one in rounds),
            median(a.rate / b.rate for a, b in zip(rounds, first, strict=True)),
            median(cpu_ms(one) for one in rounds),
        ]
        for shape, rounds in played.items()
    ]
    return table(["workers", "runs/s", "ratio", "CPU ms a run"], rows)


def slow(played: Mapping[Shape, Sequence[Drained]]) -> str:
    """Calls a second, as part of what so many slots could make, and CPU time a call."""
    rows: list[list[Cell]] = []
    for shape, rounds in played.items():
        calls = median(_STEPS * one.rate for one in rounds)
        best = shape.slots * 1000 / LATENCY_MS
        cost = median(cpu_ms(one) / _STEPS for one in rounds)
        rows.append([str(shape), calls, best, calls / best, cost])
    return table(["workers", "calls/s", "ideal", "of it", "CPU ms a call"], rows)


def memory(used: Mapping[Shape, float]) -> str:
    """Of all its processes; what they share is counted once."""
    rows: list[list[Cell]] = [[str(x), mb, mb / x.slots] for x, mb in used.items()]
    return table(["workers", "MB", "MB a slot"], rows)


def _played(
    stages: Mapping[Shape, Stage], runs: Mapping[Shape, int], rounds: int
) -> dict[Shape, list[Drained]]:
    played: dict[Shape, list[Drained]] = {shape: [] for shape in stages}
    for _ in range(rounds):
        for shape, stocked in stages.items():
            played[shape].append(drain(stocked, stocked.durazzo, runs[shape]))
    return played


@contextmanager
def _crews(found: Stage) -> Iterator[dict[Shape, Stage]]:
    """The same stage once for each shape; all workers live, and one crew works at a time."""
    control, team = found.durazzo.wiring.app.control, found.durazzo
    crews: dict[Shape, list[Worker]] = {}
    with tempfile.TemporaryDirectory(prefix="durazzo-bench-") as folder, ExitStack() as stack:
        for shape in SHAPES:
            crews[shape] = []
            for number in range(shape.workers):
                name = f"{shape.pool.kind}-{shape.workers}-{shape.pool.concurrency}-{number}"
                worker = Worker(
                    team, control, found.environ, Path(folder), pool=shape.pool, name=name
                )
                stack.callback(worker.kill)
                crews[shape].append(worker)
            # Not all at once: they would time one another out.
            for worker in crews[shape]:
                worker.wait_ready()
        yield {
            shape: replace(found, workers={team.name: Crew(workers)})
            for shape, workers in crews.items()
        }


def _pss_mb(stocked: Stage) -> float:
    crew = stocked.workers[stocked.durazzo.name]
    assert isinstance(crew, Crew)  # noqa: S101
    pids = [pid for main in crew.pids() for pid in (main, *children(main))]
    found = (_PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids)
    return sum(int(one[1]) for one in found if one) / 1024

"""Who races: each with the processes it needs, in the shapes that may be its quickest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from ops.bench import stage as stages
from ops.bench.drain import drain
from ops.bench.speed import Crew
from ops.bench.stage import CONCURRENCY, Pool, Stage, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    title: str
    latency_ms: int
    #: Calls under way at one time, at most.
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    processes: int
    #: Calls of each process.
    at_once: int
    prefork: bool = False

    def __str__(self) -> str:
        return "prefork" if self.prefork else f"{self.processes} x {self.at_once}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    runs: int
    seconds: float
    #: Of the team's processes and of its store, without the provider's. Seconds.
    cpu: float
    #: Until all runs wait, by one process. Seconds; 0 where nothing is submitted.
    submitting: float = 0.0

    @property
    def rate(self) -> float:
        return self.runs / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / self.runs


class Play(Protocol):
    """A round of processes that run. BenchBroken unless each run was charged and texted once."""

    def __call__(self, runs: int) -> Round: ...


class Team(Protocol):
    @property
    def name(self) -> str: ...

    def shapes(self, provider: Provider) -> Sequence[Shape]: ...

    def running(self, shape: Shape) -> AbstractContextManager[Play]: ...


def spread(at_once: int) -> list[Shape]:
    """One process, or one for each core of this small machine."""
    return [Shape(processes=number, at_once=at_once // number) for number in (1, CONCURRENCY)]


#: A worker of Celery as it comes, with a process for each core.
_PREFORK: Final = Shape(processes=1, at_once=CONCURRENCY, prefork=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCelery:
    """Durazzo, or the hand-written chain."""

    found: Stage
    team: stages.Team
    name: str
    folder: Path

    def shapes(self, provider: Provider) -> Sequence[Shape]:
        # Two at a time are as good as many while nothing is waited for.
        return [*spread(provider.at_once), *([] if provider.latency_ms else [_PREFORK])]

    @contextmanager
    def running(self, shape: Shape) -> Iterator[Play]:
        with ExitStack() as stack:
            workers = []
            for number in range(shape.processes):
                workers.append(self.worker(shape, number))
                stack.callback(workers[-1].kill)
            for worker in workers:
                worker.wait_ready()
            stocked = replace(self.found, workers={self.team.name: Crew(workers)})

            def play(runs: int) -> Round:
                done = drain(stocked, self.team, runs)
                cpu = sum(seconds for name, seconds in done.cpu.items() if name != "sandbox")
                return Round(runs=runs, seconds=done.seconds, cpu=cpu, submitting=done.submitting)

            yield play

    def worker(self, shape: Shape, number: int) -> Worker:
        pool = Pool(kind="prefork" if shape.prefork else "threads", concurrency=shape.at_once)
        return Worker(
            self.team,
            self.found.durazzo.wiring.app.control,
            self.found.environ,
            self.folder,
            pool=pool,
            name=f"{self.team.name}-{pool.kind}-{shape.processes}-{shape.at_once}-{number}",
        )

"""The teams that the project does not have: DBOS and arazzo-runner, in Pythons of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ops.bench.handwritten import Order
from ops.bench.rivals.processes import Program, spent
from ops.bench.rivals.teams import Play, Provider, Round, Shape, spread
from ops.bench.stage import DOCUMENT, BenchBroken, Stage, inputs_of, now
from orchestrator.formats.load import specs_folder

_DBOS: Final = "ops.bench.rivals.with_dbos"
_RUNNER: Final = "ops.bench.rivals.with_arazzo_runner"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDbos:
    found: Stage
    python: Path
    database: str
    #: The database's process, if it is one of its own.
    store: tuple[int, ...] = ()
    name: str
    folder: Path

    def shapes(self, provider: Provider) -> Sequence[Shape]:
        return spread(provider.at_once)

    @contextmanager
    def running(self, shape: Shape) -> Iterator[Play]:
        with ExitStack() as stack:
            executors = []
            for number in range(shape.processes):
                executors.append(self.executor(shape, f"executor-{number}"))
                stack.callback(executors[-1].kill)
                executors[-1].hear()
            desk = self.desk(shape)
            stack.callback(desk.kill)
            desk.hear()
            pids = (*self.store, *(executor.pid for executor in executors))

            def play(runs: int) -> Round:
                with self.found.judged(runs):
                    desk.tell(do="submit", orders=rows(self.found.orders(runs)))
                    submitting = desk.hear()["submitting"]
                    before = spent(pids)
                    desk.tell(do="go")
                    seconds = desk.hear()["seconds"]
                    cpu = spent(pids) - before
                return Round(runs=runs, seconds=seconds, cpu=cpu, submitting=submitting)

            yield play

    def executor(self, shape: Shape, name: str) -> Program:
        """Started again under its name, it goes on with what it had."""
        return self._program(shape, "execute", name)

    def desk(self, shape: Shape) -> Program:
        return self._program(shape, "desk")

    def _program(self, shape: Shape, *words: str) -> Program:
        environ = {
            **self.found.environ,
            "BENCH_DATABASE": self.database,
            "BENCH_AT_ONCE": str(shape.at_once),
        }
        return Program(
            self.python, _DBOS, *words, environ=environ, folder=self.folder, name="-".join(words)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OnArazzoRunner:
    """It has no queue and no worker: each process is handed its part of the orders."""

    found: Stage
    python: Path
    name: str
    folder: Path

    def shapes(self, provider: Provider) -> Sequence[Shape]:
        return spread(provider.at_once)

    @contextmanager
    def running(self, shape: Shape) -> Iterator[Play]:
        environ = {**self.found.environ, **self._environ(), "BENCH_AT_ONCE": str(shape.at_once)}
        with ExitStack() as stack:
            programs = []
            for _ in range(shape.processes):
                programs.append(
                    Program(
                        self.python, _RUNNER, environ=environ, folder=self.folder, name="runner"
                    )
                )
                stack.callback(programs[-1].kill)
                programs[-1].hear()

            def play(runs: int) -> Round:
                parts = [
                    [inputs_of(order) for order in self.found.orders(share)]
                    for share in shares(runs, len(programs))
                ]
                with self.found.judged(runs):
                    before, began = spent(program.pid for program in programs), now()
                    for program, part in zip(programs, parts, strict=True):
                        program.tell(do="go", orders=part)
                    done = sum(program.hear()["succeeded"] for program in programs)
                    seconds = now() - began
                    cpu = spent(program.pid for program in programs) - before
                    if done != runs:
                        raise BenchBroken(f"arazzo-runner: {done} of {runs} runs succeeded")
                return Round(runs=runs, seconds=seconds, cpu=cpu)

            yield play

    def _environ(self) -> dict[str, str]:
        given = self.found.environ
        return {
            "BENCH_DOCUMENT": str(DOCUMENT),
            "BENCH_STRIPE": str(specs_folder() / "openapi" / "stripe.yaml"),
            "BENCH_TWILIO": str(specs_folder() / "openapi" / "twilio.yaml"),
            # The names that its get_env_mappings gives.
            "STRIPE_SECRETKEY_TOKEN": given["STRIPE_SECRET_KEY"],
            "TWILIO_ACCOUNTSIDANDTOKEN_USERNAME": given["TWILIO_ACCOUNT_SID"],
            "TWILIO_ACCOUNTSIDANDTOKEN_PASSWORD": given["TWILIO_AUTH_TOKEN"],
        }


def rows(orders: Sequence[Order]) -> list[dict[str, object]]:
    return [asdict(order) for order in orders]


def shares(runs: int, programs: int) -> list[int]:
    """As even as can be."""
    return [runs // programs + (number < runs % programs) for number in range(programs)]

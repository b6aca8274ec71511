"""What comes of a text whose sender dies: after the provider sent it, before its answer came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from ops import lab
from ops.bench.rivals.foreign import OnDbos, rows
from ops.bench.rivals.processes import Program
from ops.bench.rivals.teams import OnCelery, Shape
from ops.bench.stage import BenchBroken, Stage, now
from orchestrator.engine.state import Status

_SHAPE: Final = Shape(processes=1, at_once=4)
#: Longer than it takes to see the text in the ledger and to kill.
_ANSWER_MS: Final = 30_000
_PATIENCE: Final = 120.0
_ENDED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """Of one order whose worker was killed, and started again."""

    charges: int
    texts: int
    #: From the new worker's start to the run's end.
    seconds: float


def dbos_dies(team: OnDbos) -> Aftermath:
    with ExitStack() as stack:
        executor = _started(stack, team.executor(_SHAPE, "mortal"))
        desk = _started(stack, team.desk(_SHAPE))
        with _text_unanswered(team.found) as ledger:
            desk.tell(do="submit", orders=rows(team.found.orders(1)))
            desk.hear()
            desk.tell(do="go")
            ledger.wait_for_text()
            executor.kill()
        began = now()
        _started(stack, team.executor(_SHAPE, "mortal"))
        desk.hear()
        return ledger.aftermath(now() - began)


def _started(stack: ExitStack, program: Program) -> Program:
    stack.callback(program.kill)
    program.hear()
    return program


def durazzo_dies(team: OnCelery) -> Aftermath:
    durazzo, lane = team.found.durazzo, team.found.lane(team.team)
    worker = team.worker(_SHAPE, 0)
    try:
        worker.wait_ready()
        with _text_unanswered(team.found) as ledger:
            durazzo.submit(team.found.orders(1)[0], lane)
            worker.consume(lane)
            ledger.wait_for_text()
            worker.kill()
        began = now()
        worker = team.worker(_SHAPE, 1)
        worker.wait_ready()
        worker.consume(lane)
        run = durazzo.runs[-1]
        # Unknown for as long as nobody has looked at the provider for the text.
        lab.wait_for(lambda: run.status() in _ENDED, "durazzo's run to end", seconds=_PATIENCE)
        if (status := run.status()) is not Status.SUCCEEDED:
            raise BenchBroken(f"durazzo's run with the killed worker {status}")
        return ledger.aftermath(now() - began)
    finally:
        worker.kill()


class _Ledger:
    def __init__(self, found: Stage) -> None:
        self._found = found
        self._before = found.ledger()

    def wait_for_text(self) -> None:
        lab.wait_for(lambda: self._more("messages"), "the text in the ledger", seconds=_PATIENCE)

    def aftermath(self, seconds: float) -> Aftermath:
        return Aftermath(
            charges=self._more("charges"), texts=self._more("messages"), seconds=seconds
        )

    def _more(self, name: str) -> int:
        more: int = self._found.ledger()[name] - self._before[name]
        return more


@contextmanager
def _text_unanswered(found: Stage) -> Iterator[_Ledger]:
    url = f"{found.sandbox}/faults"
    late = {"match": "POST */Messages.json", "do": "latency", "ms": _ANSWER_MS, "after": True}
    if httpx.post(url, json=late).is_error:
        raise BenchBroken("the sandbox takes no latency")
    try:
        yield _Ledger(found)
    finally:
        httpx.delete(url)

"""What a message says: ids and a version, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bumped, with engine/state.py's, when the arguments change meaning; a worker leaves newer ones
#: alone. The version stays the first argument, and the run the second.
VERSION: Final = 1
#: Of a run's very first message: whatever belongs to a run under way goes before it. By Celery's
#: numbers for Redis, where 0 is the first.
FRESH: Final = 9
STEP_TASK: Final = "durazzo.step"
FALLBACK_TASK: Final = "durazzo.fallback"


def lists(lane: str) -> tuple[str, str]:
    """Redis' lists of a lane, in the order in which workers empty them: under way, fresh."""
    return lane, f"{lane}\x06\x16{FRESH}"


@dataclass(frozen=True, slots=True)
class TaskId:
    """``run.step.visit.send``: a person finds a run's tasks in Flower, and each send is its own."""

    run: str
    step: str
    visit: int
    #: Number of this send of the visit, from 1: every message has its own id.
    send: int = 1

    def __str__(self) -> str:
        return f"{self.run}.{self.step}.{self.visit}.{self.send}"

    @staticmethod
    def parse(text: str) -> TaskId:
        """Raises ValueError for an id that durazzo did not make."""
        run, _, rest = text.partition(".")
        step, visit, send = rest.rsplit(".", 2)
        return TaskId(run, step, int(visit), int(send))

    def args(self) -> tuple[int, str, str, int, int]:
        return (VERSION, self.run, self.step, self.visit, self.send)

"""What a message says: ids and a version, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bumped, with engine/state.py's, when the arguments change meaning; a worker leaves newer ones
#: alone. The version stays the first argument, and the run the second.
VERSION: Final = 1
STEP_TASK: Final = "durazzo.step"
FALLBACK_TASK: Final = "durazzo.fallback"


def priority(*, bulk: bool, fresh: bool) -> int:
    """By Celery's numbers for Redis, where 0 is the first: its list is emptied before all others.

    ``bulk``: of a batch's run, which every single run overtakes. ``fresh``: a run's very first
    message: whatever belongs to a run under way goes before it.
    """
    return 6 * bulk + 3 * fresh


def is_fresh(number: object) -> bool:
    """By the priority of a message; 9 was that of every first one in 0.1."""
    return number in {3, 9}


def is_bulk(number: object) -> bool:
    """By the priority of a message; 9 was that of every first one in 0.1."""
    return number in {6, 9}


def listed(lane: str, number: int) -> str:
    """Redis' list of a lane's messages of one priority."""
    return f"{lane}\x06\x16{number}" if number else lane


def lists(lane: str) -> tuple[str, ...]:
    """All of a lane's lists, in the order in which workers empty them."""
    kinds = ((bulk, fresh) for bulk in (False, True) for fresh in (False, True))
    return tuple(listed(lane, priority(bulk=bulk, fresh=fresh)) for bulk, fresh in kinds)


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

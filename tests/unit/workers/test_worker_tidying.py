"""Putting finished runs away takes the time that it is given, and makes the next tick no later."""

from __future__ import annotations

from dataclasses import dataclass, field

from structlog.testing import capture_logs

from orchestrator.journal.archive import Erased, Tidied
from tests.fakes.clock import ManualClock
from workers.tidying import CHUNK, Tidying


@dataclass
class Full:
    """So many runs that are over; each look takes 10 ms."""

    clock: ManualClock
    runs: int
    left: tuple[tuple[str, str], ...] = ()
    looks: list[int] = field(default_factory=list)

    def tidy(self, limit: int) -> Tidied:
        self.clock.advance(10)
        done = min(limit, self.runs)
        self.runs -= done
        self.looks.append(done)
        return Tidied(put_away=done, left=self.left)

    def forget(self, run: str, *, by: str, reason: str) -> Erased | None:
        raise AssertionError(run, by, reason)

    def keyed(self, scope: str, key: str) -> str | None:
        raise AssertionError(scope, key)


def test_it_stops_when_its_time_is_over() -> None:
    clock = ManualClock()
    archive = Full(clock, runs=100 * CHUNK)
    Tidying(archive, clock)(25)
    assert archive.looks == [CHUNK] * 3


def test_without_time_it_looks_once_so_that_they_do_not_pile_up() -> None:
    clock = ManualClock()
    archive = Full(clock, runs=100 * CHUNK)
    Tidying(archive, clock)(0)
    assert archive.looks == [CHUNK]


def test_it_stops_when_there_is_nothing_more() -> None:
    clock = ManualClock()
    archive = Full(clock, runs=CHUNK + 1)
    Tidying(archive, clock)(1_000)
    assert archive.looks == [CHUNK, 1]


def test_what_cannot_be_put_away_is_said_by_its_code() -> None:
    clock = ManualClock()
    with capture_logs() as logs:
        Tidying(Full(clock, runs=0, left=(("run-1", "seal-broken"),)), clock)(0)
    (entry,) = logs
    assert (entry["event"], entry["run"], entry["code"]) == (
        "runs.not-put-away", "run-1", "seal-broken",
    )  # fmt: skip

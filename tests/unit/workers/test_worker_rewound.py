"""A worker says in time what it remembers, and tells when Redis has lost it."""

from __future__ import annotations

from typing import cast

import pytest
from structlog.testing import capture_logs

from orchestrator.journal.port import GRACE, Journal
from orchestrator.journal.witness import Seen, Witness
from tests.fakes.clock import ManualClock
from workers.pulse import Pulse
from workers.timekeeper import TICK_EVERY


class Heart:
    """As much of a journal as a pulse needs."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.beats: list[int] = []
        self.missing = 0

    def heartbeat(self, _worker: str, *, ttl_ms: int) -> int:
        self.beats.append(self._clock.now)
        found, self.missing = self.missing, 0
        return found


def pulse_of(heart: Heart, clock: ManualClock, ttl: int) -> Pulse:
    return Pulse(
        worker="w", journal=cast("Journal", heart), clock=clock, ttl_ms=ttl, tick=lambda: False
    )


@pytest.mark.parametrize("ttl", [1_500, 6_000, 3_600_000])
def test_it_beats_twice_while_nobody_begins_anything_however_long_its_leases(ttl: int) -> None:
    clock = ManualClock()
    heart = Heart(clock)
    pulse = pulse_of(heart, clock, ttl)
    for _ in range(20):
        pulse._once()
        clock.advance(round(TICK_EVERY * 1000))
    gaps = [after - before for before, after in zip(heart.beats, heart.beats[1:], strict=False)]
    assert max(gaps) <= GRACE // 2


def test_writes_that_were_lost_are_one_line_in_the_log() -> None:
    clock = ManualClock()
    heart = Heart(clock)
    pulse = pulse_of(heart, clock, 6_000)
    heart.missing = 2
    with capture_logs() as logs:
        for _ in range(3):
            pulse._beat()
    assert logs == [
        {
            "event": "redis.rewound", "log_level": "error", "code": "redis-rewound",
            "begins_missing": 2,
        }
    ]  # fmt: skip


def test_an_answer_that_comes_late_makes_nobody_forget() -> None:
    witness = Witness()
    for seen in (Seen(4, "a"), Seen(2, "a"), Seen(4, "b"), Seen(3, "c")):
        witness.saw(seen)
    assert witness.seen == Seen(4, "b")

"""What a worker does while Redis is in trouble: it beats when it can, and logs little."""

from __future__ import annotations

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Journal
from tests.fakes.clock import ManualClock
from workers.outage import SAID_AGAIN, Outage
from workers.pulse import Pulse

TTL = 6_000
FULL = JournalUnavailable("full", reason="out-of-memory")
SILENT = JournalUnavailable("silent", reason="silent")


class Heart:
    """As much of a journal as a pulse needs."""

    def __init__(self) -> None:
        self.beats = 0
        self.trouble: JournalUnavailable | None = None

    def heartbeat(self, _worker: str, *, ttl_ms: int) -> None:
        if self.trouble:
            raise self.trouble
        self.beats += 1

    def retire(self, _worker: str) -> None:
        pass


def pulse_of(heart: Heart, clock: ManualClock) -> Pulse:
    return Pulse(
        worker="w", journal=cast("Journal", heart), clock=clock, ttl_ms=TTL, tick=lambda: False
    )


def events(logs: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"], line["reason"]) for line in logs]


def test_an_outage_is_said_when_it_begins_when_it_changes_and_when_it_is_over() -> None:
    clock = ManualClock()
    outage = Outage("pulse", clock)
    with capture_logs() as logs:
        outage.is_over()
        for error in (FULL, FULL, SILENT, SILENT, SILENT):
            outage.goes_on(error)
        clock.advance(3_000)
        outage.is_over()
        outage.is_over()
    assert events(logs) == [
        ("pulse.missed", "out-of-memory"),
        ("pulse.missed", "silent"),
        ("pulse.recovered", "silent"),
    ]
    assert logs[-1]["lasted_s"] == 3


def test_an_outage_that_lasts_is_said_again_each_minute() -> None:
    clock = ManualClock()
    outage = Outage("pulse", clock)
    with capture_logs() as logs:
        for _ in range(600):
            outage.goes_on(FULL)
            clock.advance(SAID_AGAIN // 200)
    assert len(logs) == 3


def test_tries_become_rarer_and_stay_frequent_enough_to_keep_a_lease() -> None:
    outage = Outage("pulse", ManualClock(), longest=2)
    assert outage.pause == 0
    pauses = []
    for _ in range(4):
        outage.goes_on(FULL)
        pauses.append(outage.pause)
    assert pauses == [0.5, 1, 2, 2]
    outage.is_over()
    assert outage.pause == 0


def test_a_worker_that_starts_without_redis_goes_on_and_counts_as_dead() -> None:
    heart, clock = Heart(), ManualClock()
    heart.trouble = SILENT
    pulse = pulse_of(heart, clock)
    with capture_logs() as logs:
        pulse.start()
        assert not pulse.alive()
        pulse.stop()
    assert ("pulse.missed", "silent") in events(logs)


def test_before_a_claim_a_worker_that_was_cut_off_beats() -> None:
    heart, clock = Heart(), ManualClock()
    pulse = pulse_of(heart, clock)
    pulse.revive()
    pulse.revive()
    assert (heart.beats, pulse.alive()) == (1, True)
    clock.advance(TTL)
    assert not pulse.alive()
    pulse.revive()
    assert (heart.beats, pulse.alive()) == (2, True)


def test_a_worker_that_cannot_beat_claims_nothing() -> None:
    heart = Heart()
    heart.trouble = FULL
    with pytest.raises(JournalUnavailable):
        pulse_of(heart, ManualClock()).revive()

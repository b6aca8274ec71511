"""``when-unknown: resend``: a text that is wanted twice rather than never, and only that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from orchestrator.engine.state import Phase, Status
from orchestrator.plan.model import Plan, WhenUnknown
from orchestrator.service.timeline import What, timeline
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.provider import Weather
from tests.fakes.world import World

#: Longer than a look-up waits at first; shorter than a worker's heartbeat lasts.
LATER = 90_000
ATTEMPTS = load_profiles()["twilio"].retry.max_attempts


def alert(when_unknown: WhenUnknown = "resend") -> Plan:
    return plans.plan(replace(plans.text("alert"), when_unknown=when_unknown))


@contextmanager
def world() -> Iterator[World]:
    found = World()
    try:
        yield found
    finally:
        found.close()


def live(found: World, *skies: Weather, rounds: int = 6, twice: bool = False) -> None:
    """What comes is delivered under one sky each, a look-up as well; then the sun shines.

    ``twice``: a text was sent that the run knows nothing of, and the books say so.
    """
    left = list(skies)
    for _ in range(rounds):
        while found.broker.queue:
            found.deliver(weather=left.pop(0) if left else "answer")
            if not twice:
                found.check()
        found.pass_time(LATER)
        found.tick()


def happened(found: World, run: str) -> list[str]:
    """Sends and look-ups, and what they came to."""
    entries = timeline(found.raw.history(run), found.runs[run])
    asked = (e for e in entries if e.what in {What.CALLED, What.LOOKED_UP})
    return [f"{e.what.value} {e.code or e.result}{' again' if e.again else ''}" for e in asked]


def test_what_is_not_found_is_sent_again_and_the_timeline_says_so() -> None:
    with world() as found:
        run = found.submit(alert())
        live(found, "dropped-before")
        assert found.state(run).status is Status.SUCCEEDED
        assert found.effects(run) == ["alert"]
        assert happened(found, run) == [
            "called reset", "looked-up not-found again", "called succeeded",
        ]  # fmt: skip


def test_what_is_found_is_not_sent_again() -> None:
    with world() as found:
        run = found.submit(alert())
        live(found, "dropped-after")
        assert found.state(run).status is Status.SUCCEEDED
        assert found.effects(run) == ["alert"]
        assert len(found.provider.sent) == 1


@pytest.mark.parametrize("sky", ["dropped-before", "500", "late"])
def test_without_the_documents_word_it_waits_for_a_person(sky: Weather) -> None:
    with world() as found:
        run = found.submit(alert("park"))
        live(found, sky)
        assert found.state(run).status is Status.UNKNOWN
        assert len(found.provider.sent) == 1


def test_a_provider_that_cannot_be_asked_proves_nothing() -> None:
    with world() as found:
        run = found.submit(alert())
        live(found, "dropped-before", "500-after", "500-after", rounds=3)
        assert found.state(run).status is Status.UNKNOWN
        assert len(found.provider.sent) == 1
        found.pass_time(LATER)
        live(found)
        assert found.state(run).status is Status.SUCCEEDED
        assert len(found.provider.sent) == 2


def test_what_is_not_on_the_first_page_of_a_list_that_goes_on_is_not_sent_again() -> None:
    with world() as found:
        run = found.submit(alert())
        found.provider.goes_on = True
        live(found, "dropped-before", rounds=3)
        assert found.state(run).status is Status.UNKNOWN
        assert happened(found, run)[:2] == ["called reset", "looked-up not-looked-up"]
        assert len(found.provider.sent) == 1
        found.provider.goes_on = False
        found.pass_time(LATER)
        live(found)
        assert found.state(run).status is Status.SUCCEEDED


def test_what_is_on_the_first_page_is_found_all_the_same() -> None:
    with world() as found:
        run = found.submit(alert())
        found.provider.goes_on = True
        live(found, "dropped-after")
        assert (found.state(run).status, found.effects(run)) == (Status.SUCCEEDED, ["alert"])


def test_a_text_that_comes_late_is_sent_twice_and_none_of_them_is_forgotten() -> None:
    """Twice rather than never: the one price of it."""
    with world() as found:
        run = found.submit(alert())
        live(found, "late", rounds=2)
        found.provider.arrive(0)
        live(found, twice=True)
        assert found.state(run).status is Status.SUCCEEDED
        assert found.effects(run) == ["alert", "alert"]
        assert len(found.provider.sent) == 2


def test_it_is_sent_as_often_as_the_policy_allows_and_then_left_to_a_person() -> None:
    with world() as found:
        run = found.submit(alert())
        never: list[Weather] = ["dropped-before", "answer"] * (ATTEMPTS + 2)
        live(found, *never, rounds=80)
        visit = found.state(run).visits["alert"]
        assert (visit.phase, visit.code, visit.attempts) == (Phase.UNKNOWN, "not-found", ATTEMPTS)
        assert len(found.provider.sent) == ATTEMPTS


def test_what_was_refused_meanwhile_does_not_ask_once_more() -> None:
    """A 429 did nothing, so what was found out before it still holds."""
    with world() as found:
        run = found.submit(alert())
        live(found, "dropped-before", "answer", "429", "401")
        assert found.state(run).status is Status.SUCCEEDED
        assert found.effects(run) == ["alert"]
        assert sum(line.startswith("looked-up") for line in happened(found, run)) == 1


def test_a_cancelled_run_sends_nothing_again() -> None:
    with world() as found:
        run = found.submit(alert())
        found.deliver(weather="dropped-before")
        found.pass_time(LATER)
        found.tick()
        found.deliver()
        assert found.state(run).visits["alert"].phase is Phase.WAITING
        found.control(run, "cancel")
        live(found)
        assert len(found.provider.sent) == 1
        assert found.state(run).status is Status.UNKNOWN


def test_a_worker_that_died_in_the_call_is_no_reason_to_hurry() -> None:
    """What it sent may be too young to be found: the first look that finds nothing says little."""
    with world() as found:
        run = found.submit(alert())
        actor = found.deliver(fate="stop", passes=5, weather="dropped-after")
        while not found.provider.texts:
            found.resume(found.parked.index(actor), fate="stop", passes=1, weather="dropped-after")
        found.kill(0)
        live(found)
        assert found.state(run).status is Status.SUCCEEDED
        assert len(found.provider.sent) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sky", ["answer", "dropped-before", "dropped-after", "late"])
def test_killed_at_every_place_it_comes_at_least_once(sky: Weather) -> None:
    place, died = 0, True
    while died:
        with world() as found:
            run = found.submit(alert())
            actor = found.deliver(fate="crash", passes=place, weather=sky)
            died = actor.crashed
            if died:
                found.kill(0)
            live(found, rounds=12)
            found.check()
            assert found.state(run).status is Status.SUCCEEDED, place
            assert found.effects(run), place
            # One send for each of the two that could not be told: never more.
            assert len(found.provider.sent) <= 2, place
        place += 1
    assert place > 5

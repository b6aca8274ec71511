"""Redis falls back from every place of a charge and its text to every place before it.

Whoever was at work lives on, or dies while another who heard of it lives. The judge is the
provider's ledger: one charge, one text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from orchestrator.engine.state import Phase, Status
from orchestrator.expressions.nodes import Constant
from orchestrator.plan.model import Plan, WhenUnknown
from orchestrator.service.timeline import timeline
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.provider import Weather
from tests.fakes.rewinding import RewindingWorld

BOTH = ["charge", "text"]
#: Of a charge and its text, undisturbed.
PLACES = 16
TWILIO = load_profiles()["twilio"]
#: Of a search for a text. ms.
SETTLE = 60_000


@contextmanager
def world(*, guard: bool = True) -> Iterator[RewindingWorld]:
    found = RewindingWorld(guard=guard)
    try:
        yield found
    finally:
        found.close()


def go(found: RewindingWorld, places: int, sky: Weather = "answer") -> None:
    """Past so many places, whoever comes to them."""
    while places > 0 and (found.parked or found.broker.queue):
        if found.parked:
            actor = found.parked[0]
            before = actor.passed
            found.resume(0, "stop", places - 1, sky)
        else:
            before = 0
            actor = found.deliver(0, 0, "stop", places, sky)
        places -= actor.passed - before


def fall(
    found: RewindingWorld, to: int, places: int, *, dies: bool, sky: Weather = "answer"
) -> str:
    """A run whose Redis falls back from ``to`` + ``places`` places to ``to``."""
    run = found.submit(plans.charge_and_text())
    go(found, to, sky)
    found.keep()
    go(found, places, sky)
    # As every worker does within the time that nobody has to begin anything.
    for worker in found.workers:
        worker.beat()
    if dies:
        found.kill(0)
    if found.guard:
        assert found.can_be_told()
    found.rewind(messages=dies)
    return run


def heal(found: RewindingWorld) -> None:
    """Until nothing is to be looked up any more, or for so long that nothing comes of it."""
    for _ in range(20):
        found.heal()
        found.check()
        if all(found.state(run).end for run in found.runs):
            return
        found.pass_time(20_000)
        found.tick()


@pytest.mark.slow
@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("sky", ["answer", "dropped-after"])
def test_wherever_redis_falls_back_to_a_charge_and_its_text_are_made_once(
    sky: Weather, *, dies: bool
) -> None:
    spans = [(to, places) for to in range(PLACES) for places in range(1, PLACES - to + 2)]
    for to, places in spans:
        with world() as found:
            run = fall(found, to, places, dies=dies, sky=sky)
            found.check()
            heal(found)
            state, done = found.state(run), found.effects(run)
            if dies and state.status is Status.UNKNOWN:
                # It died before it sent what Redis does know of: that is no loss of Redis'.
                assert (done, state.visits["text"].rewound) == (["charge"], 0), (to, places)
            else:
                assert (done, state.status) == (BOTH, Status.SUCCEEDED), (to, places)


@pytest.mark.slow
def test_unwatched_a_text_is_sent_twice() -> None:
    """What the test above would find."""
    doubled = set()
    for places in range(1, PLACES + 2):
        with world(guard=False) as found:
            run = fall(found, 0, places, dies=True)
            found.heal()
            doubled |= {tuple(found.effects(run))}
    assert ("charge", "text", "text") in doubled


def lost(found: RewindingWorld, flow: Plan, *, sent: bool) -> str:
    """A run of ``flow`` in a Redis that lost another's text, and this one's if it was ``sent``."""
    other, run = found.submit(plans.charge_and_text()), found.submit(flow)
    mine = [m for m in found.broker.queue if m.tasks[0].run == run]
    found.broker.queue[:] = [m for m in found.broker.queue if m not in mine]
    found.keep()
    while found.broker.queue:
        found.deliver()
    found.broker.queue += mine if sent else []
    while found.broker.queue:
        found.deliver()
    assert found.effects(other) == BOTH
    found.rewind(messages=True)
    found.broker.queue += mine
    return run


def told(found: RewindingWorld, run: str) -> list[str]:
    entries = timeline(found.raw.history(run), found.runs[run])
    return [e.what.value for e in entries if e.step]


def asks(found: RewindingWorld, run: str) -> list[int]:
    """After how long somebody looked for the run's text, from the loss. ms."""
    return [look.at - found.rewinds[0][0] for look in found.provider.looked if look.run == run]


@pytest.mark.parametrize("sent", [False, True])
def test_a_text_is_looked_up_once_whoever_sent_it_has_been_told(*, sent: bool) -> None:
    with world() as found:
        run = lost(found, plans.plan(plans.text("alert")), sent=sent)
        heal(found)
        assert (found.state(run).status, found.effects(run)) == (Status.SUCCEEDED, ["alert"])
        ends = ["rewound", "not-called", "looked-up"]
        assert told(found, run) == (ends if sent else [*ends, "called"])
        (asked,) = asks(found, run)
        assert asked >= TWILIO.deadline_ms + SETTLE


def test_a_provider_that_cannot_be_asked_is_asked_again() -> None:
    with world() as found:
        run = lost(found, plans.plan(plans.text("alert")), sent=False)
        skies: list[Weather] = ["500-after", "500-after", "500-after"]
        for _ in range(12):
            while found.broker.queue:
                found.deliver(weather=skies.pop(0) if skies else "answer")
            found.pass_time(90_000)
            found.tick()
        assert not skies
        assert found.effects(run) == ["alert"]
        assert told(found, run).count("called") == 1


def test_a_call_that_nobody_can_be_asked_about_is_left_to_a_person() -> None:
    with world() as found:
        run = lost(found, unasked("park"), sent=False)
        heal(found)
        visit = found.state(run).visits["hook"]
        assert (visit.phase, visit.code, visit.until) == (Phase.UNKNOWN, "redis-rewound", 0)
        assert not [sent for sent in found.provider.sent if sent.ref and sent.ref.run == run]


def test_it_is_made_after_a_pause_where_the_document_wants_it_twice_rather_than_never() -> None:
    with world() as found:
        run = lost(found, unasked("resend"), sent=False)
        for _ in range(3):
            while found.broker.queue:
                found.deliver(weather="refused")
            found.pass_time(31_000)
            found.tick()
        sent = [sent for sent in found.provider.sent if sent.ref and sent.ref.run == run]
        assert sent[0].at - found.rewinds[0][0] >= 30_000


def unasked(when_unknown: WhenUnknown) -> Plan:
    """A call without a key to a provider that has no look-up."""
    hook = plans.text("hook")
    path = (Constant("/2010-04-01/Accounts/AC1/Calls.json"),)
    call = replace(hook.call, path=path)
    return plans.plan(replace(hook, call=call, when_unknown=when_unknown))

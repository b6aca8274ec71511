"""Redis silent at every call of an attempt, for long and for short: what was known is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.engine.state import Phase, Result, Status
from tests.fakes import plans
from tests.fakes.actors import Silence
from tests.fakes.provider import Weather
from tests.fakes.world import World

pytestmark = pytest.mark.slow

#: Of an attempt: claim, begin, commit. The driver's and the timekeeper's come after them.
CLAIM, BEGIN, COMMIT = range(3)
#: Of a claim, the shortest that there is. ms.
LEASE = 30_000
#: More tries than fit into a call's lease.
LONG = 100


@contextmanager
def world(*, text: bool) -> Iterator[tuple[World, str]]:
    found = World()
    try:
        run = found.submit(plans.charge_and_text())
        if text:
            found.deliver()
        yield found, run
    finally:
        found.close()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("call", [CLAIM, BEGIN, COMMIT])
@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("length", [1, 3, 8])
def test_a_short_silence_costs_no_send_and_leaves_nothing_in_doubt(
    text: bool, call: int, carried_out: bool, length: int
) -> None:
    with world(text=text) as (found, run):
        began = found.clock.now
        found.deliver(silence=Silence(call, call + length, carried_out))
        found.heal()
        assert found.clock.now - began < LEASE, "nobody waited for a lease to end"
        found.check()
        assert found.state(run).status is Status.SUCCEEDED
        assert len(found.provider.sent) == 2, "a charge and a text, each sent once"


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("sky", ["answer", "declined", "dropped-after"])
def test_a_silence_longer_than_the_lease_is_the_worker_s_death(text: bool, sky: Weather) -> None:
    for call in (CLAIM, BEGIN, COMMIT):
        with world(text=text) as (found, _):
            found.deliver(silence=Silence(call, LONG), weather=sky)
            found.heal()
            found.check()


def test_a_lease_that_was_taken_over_in_the_silence_is_not_written_over() -> None:
    with world(text=True) as (found, run):
        before = found.state(run).seq
        actor = found.deliver(fate="stop", passes=6, silence=Silence(COMMIT, COMMIT + 3))
        assert actor.at == "commit"
        found.workers[0].frozen = True
        found.pass_time(7_000)
        found.tick(1)
        found.deliver(worker=1)
        taken = found.state(run)
        assert taken.seq > before
        assert taken.visits["text"].phase is Phase.UNKNOWN
        found.resume(0)
        assert found.state(run).visits["text"].result == Result.UNKNOWN
        found.heal()
        found.check()

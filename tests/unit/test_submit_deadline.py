"""A deadline at submit: a span or a time, the document's own beside it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.errors import InputsRefused
from orchestrator.plan.model import Plan
from orchestrator.service import Core, Run, submit
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.batching import no_batches
from tests.fakes.world import World

HOUR = 3_600_000
FLOW = plans.linear("a")
TIMED = replace(FLOW, timeout_ms=2 * HOUR)


class House:
    def __init__(self, world: World) -> None:
        worker = world.workers[0]
        self.now = world.clock.now
        self.world = world
        self.core = Core(
            journal=world.raw,
            plans=worker.driver._plans,
            driver=worker.driver,
            profiles=load_profiles(),
            **no_batches(worker.driver._plans),
            clock=world.clock,
            entropy=world.entropy,
        )

    def submit(
        self, deadline: timedelta | datetime | None, plan: Plan = FLOW, key: str | None = None
    ) -> Run:
        return submit(self.core, plan, {}, deadline=deadline, key=key)

    def at(self, ms: int) -> datetime:
        return datetime.fromtimestamp((self.now + ms) / 1000, UTC)


@pytest.fixture
def house() -> Iterator[House]:
    world = World()
    yield House(world)
    world.close()


def test_a_span_and_a_time_are_kept_as_a_time(house: House) -> None:
    assert house.submit(timedelta(minutes=30)).state().deadline == house.now + HOUR // 2
    assert house.submit(house.at(HOUR)).state().deadline == house.now + HOUR
    east = house.at(HOUR).astimezone(timezone(timedelta(hours=9)))
    assert house.submit(east).state().deadline == house.now + HOUR
    assert house.submit(None).state().deadline == 0


@pytest.mark.parametrize(("hours", "counts"), [(1, 1), (3, 2)])
def test_of_the_callers_and_the_documents_own_the_earlier_counts(
    house: House, hours: int, counts: int
) -> None:
    for given in (timedelta(hours=hours), house.at(hours * HOUR)):
        assert house.submit(given, TIMED).state().deadline == house.now + counts * HOUR
    assert house.submit(None, TIMED).state().deadline == house.now + 2 * HOUR


@pytest.mark.parametrize(
    "given",
    [
        timedelta(0),
        timedelta(seconds=-5),
        timedelta(days=367),
        datetime(2023, 1, 1),  # noqa: DTZ001  that is the point
        datetime(2023, 1, 1, tzinfo=UTC),
        datetime(2033, 1, 1, tzinfo=UTC),
    ],
)
def test_a_deadline_that_cannot_be_meant_is_refused_and_nothing_is_accepted(
    house: House, given: timedelta | datetime
) -> None:
    with pytest.raises(InputsRefused, match="deadline"):
        house.submit(given)
    assert house.core.journal.recent(1) == []


def test_the_same_submit_under_a_key_finds_its_run_also_after_the_deadline(house: House) -> None:
    deadline = house.at(HOUR)
    first = house.submit(deadline, key="order-1")
    house.world.clock.advance(2 * HOUR)
    again = house.submit(deadline, key="order-1")
    assert (again.id, again.known) == (first.id, True)
    other = house.submit(timedelta(hours=5), key="order-1")
    assert other.state().deadline == house.now + HOUR, "it keeps the one it was accepted with"


def test_a_run_that_only_waits_in_its_lane_is_ended_by_the_timekeeper(house: House) -> None:
    run = house.submit(timedelta(hours=1))
    house.world.clock.advance(HOUR)
    for _ in range(2):
        house.world.tick()
        house.world.pass_time(5_000)
    state = run.state()
    assert (state.end, state.code) == ("failed", "deadline-passed")
    report = run.report()
    assert report.explain() == "the run's deadline passed before step a was done: deadline-passed"
    assert house.world.broker.announced == {run.id: {"failed"}}


def test_a_step_that_was_never_entered_is_named_and_can_be_gone_on_from(house: House) -> None:
    flow = plans.charge_and_text()
    run = submit(house.core, flow, {"order": "o", "amount": 5}, deadline=timedelta(seconds=10))
    # After its begin.
    house.world.deliver(fate="stop", passes=4)
    house.world.clock.advance(10_000)
    house.world.resume(0)
    report = run.report()
    assert (report.state, report.error_code) == ("failed", "deadline-passed")
    assert report.error is not None
    assert (report.error.step, report.error.visits) == ("text", 0)
    assert report.stands().startswith("but charged ")
    house.world.retry(run.id)
    house.world.runs[run.id] = flow
    house.world.heal()
    assert run.state().end == "succeeded"

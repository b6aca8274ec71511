"""Rows of a batch become runs once each and are counted once each, wherever workers die."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.state import Status
from orchestrator.journal.batches import Batch, Opened, Row, run_of
from tests.fakes import plans
from tests.fakes.batching import open_batch
from tests.fakes.world import World

pytestmark = pytest.mark.slow

BATCH = "dunning"


@contextmanager
def opened(rows: int, window: int) -> Iterator[World]:
    world = World()
    flow = plans.charge_and_text()
    given_rows = [
        Row(number=n, inputs={"order": run_of(BATCH, n), "amount": 4_200})
        for n in range(1, rows + 1)
    ]
    try:
        assert open_batch(world.batches, flow, BATCH, given_rows, window=window) is Opened.NEW
        yield world
    finally:
        world.close()


def head(world: World) -> Batch:
    found = world.batches.read(BATCH)
    assert found is not None
    return found


def carry_on(world: World) -> None:
    """Nobody dies any more: until every row has ended, or is parked for a person."""
    while world.parked:
        world.resume(0)
    for _ in range(300):
        while world.broker.queue:
            world.deliver()
        if at_rest(world):
            return
        world.pass_time(7_000)
        world.tick()
    raise AssertionError(f"accepted is not finished: {head(world)}")


def at_rest(world: World) -> bool:
    found = head(world)
    return found.waiting == 0 and found.ended + found.parked == found.total


def check(world: World, rows: int) -> None:
    found = head(world)
    assert found.busy == 0
    doubtful = world.batches.parked(BATCH)
    assert len(doubtful) == found.parked
    assert world.batches.active() == []
    numbers = range(1, rows + 1)
    for number, record in zip(numbers, world.batches.records(found, numbers), strict=True):
        run = run_of(BATCH, number)
        world.runs[run] = plans.charge_and_text()
        if record is None:
            assert number in doubtful
            assert world.state(run).status is Status.UNKNOWN
        else:
            assert (record.run, record.end) == (run, world.state(run).end)
    ends: dict[str, int] = {}
    for run in world.runs:
        if end := world.state(run).end:
            ends[end] = ends.get(end, 0) + 1
    assert found.ends == dict(sorted(ends.items()))
    world.check()
    assert len(world.provider.charges) == rows


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 9),
    window=st.integers(1, 4),
    deaths=st.lists(st.integers(0, 30), max_size=4),
    ticks=st.lists(st.integers(0, 8), max_size=2),
)
def test_every_row_becomes_one_run_and_is_counted_once(
    rows: int, window: int, deaths: list[int], ticks: list[int]
) -> None:
    with opened(rows, window) as world:
        # The timekeeper dies while it admits, or sends.
        for passes in ticks:
            if world.tick(fate="crash", passes=passes).crashed:
                world.kill(0)
        world.tick()
        left = list(deaths)
        for _ in range(80):
            assert head(world).busy <= window
            if not left or (not world.broker.queue and at_rest(world)):
                break
            if not world.broker.queue:
                world.pass_time(7_000)
                world.tick()
                continue
            actor = world.deliver(fate="crash", passes=left[0])
            if actor.crashed:
                left.pop(0)
                world.kill(0)
            else:
                left[0] -= actor.passed
        carry_on(world)
        check(world, rows)

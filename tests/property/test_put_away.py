"""A run that was put away is the run that it was, whatever happened to it."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.journal.compact import Finished, pack, unpack, values_of
from orchestrator.journal.redis_archive import WAIT, RedisArchive
from orchestrator.journal.seal import AesSeal, NoSeal
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.journal import check_fold
from tests.fakes.provider import WEATHERS, Weather
from tests.fakes.world import World

SEAL = AesSeal([b"k" * 32])
LINES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60).map(str.encode)
NAMES = st.text(st.characters(codec="ascii", blacklist_categories=["Cc"]), min_size=1, max_size=9)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20).filter(str.isprintable)
JSON = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), max_size=4)


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@given(
    plain=st.dictionaries(LINES.filter(bool), LINES, max_size=6),
    log=st.lists(LINES, max_size=6),
    values=st.dictionaries(NAMES.map("o:{}".format), JSON.map(encoded), max_size=4),
    key=st.none() | st.text(max_size=20).filter(str.isprintable),
)
def test_whatever_a_run_held_is_given_back_byte_for_byte(
    plain: dict[bytes, bytes], log: list[bytes], values: dict[str, bytes], key: str | None
) -> None:
    held = values | ({} if key is None else {"key": key.encode()})
    text = pack(SEAL, "run-1", Finished(plain=plain, log=log, values=held))
    assert unpack(text) == (plain, log)
    assert values_of(SEAL, "run-1", text) == held


FLOWS = [plans.charge_and_text, plans.fallback_loop, plans.fork_and_join, plans.retry_action]


@settings(max_examples=40, deadline=None)
@given(
    flow=st.sampled_from(FLOWS),
    weathers=st.lists(st.sampled_from(WEATHERS), max_size=6),
    cancelled=st.booleans(),
)
def test_history_and_state_are_the_same_before_and_after(
    flow: Callable[[], Plan], weathers: list[Weather], *, cancelled: bool
) -> None:
    world = World()
    try:
        run = world.submit(flow())
        for weather in weathers:
            if world.broker.queue:
                world.deliver(weather=weather)
        if cancelled:
            world.control(run, "cancel")
        world.heal()
        _check(world, run)
    finally:
        world.close()


def _check(world: World, run: str) -> None:
    archive = RedisArchive(world.client, NoSeal())
    before = world.raw.history(run), world.raw.read(run), world.raw.inputs(run)
    world.pass_time(WAIT)
    archive.tidy(10)
    put_away = archive.find(run) is not None
    assert put_away == bool(world.state(run).end)
    assert (world.raw.history(run), world.raw.read(run), world.raw.inputs(run)) == before
    check_fold(world.raw, run)
    world.retry(run)
    world.heal()
    history = world.raw.history(run)
    assert history[: len(before[0])] == before[0]
    check_fold(world.raw, run)
    world.check()

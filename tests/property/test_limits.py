"""Whatever comes to a scope, and whenever: never above rate and burst, and everyone goes."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.clock import ManualClock
from tests.fakes.servers import fake_redis

pytestmark = pytest.mark.slow

#: Calls the real function, for a visit that stands nowhere.
SCRIPT = """
local us, now = clock('clock')
local visit = cjson.decode(ARGV[1])
local at, wait = turn_of(visit, us, now, 1, 4, ARGV[2] == '1', ARGV[3], 1000)
return {at or 0, wait or 0, cjson.encode(visit)}
"""
REFUSE = "local _, now = clock('clock') slow_down(KEYS[1], now)"
#: What a worker may hold. ms.
HOLD = 250


@dataclass
class Caller:
    number: int
    #: When it came first. ms.
    came: int
    bulk: bool
    visit: dict[str, int] = field(default_factory=dict)
    #: When its call was made, 0 before.
    at: int = 0
    comings: int = 0


class Scope:
    """One limit, and a timekeeper that sends who waits at every ``tick`` ms."""

    def __init__(self, client: Any, clock: ManualClock, rate: float, burst: int) -> None:
        lib = (resources.files("orchestrator.journal") / "lib.lua").read_text(encoding="utf-8")
        self._turn = client.register_script(f"#!lua\n{lib}{SCRIPT}")
        self._refuse = client.register_script(f"#!lua\n{lib}{REFUSE}")
        self.clock = clock
        self.client = client
        self.rate, self.burst = rate, burst
        self.concurrency = 0

    def come(self, caller: Caller) -> int:
        """When it is to come again, 0 when it has its call."""
        caller.comings += 1
        words = [json.dumps(caller.visit), int(caller.bulk), caller.number]
        rates = [round(1_000_000 / self.rate), self.burst, self.concurrency]
        at, wait, visit = self._turn(keys=["scope"], args=[*words, *rates])
        caller.visit = json.loads(visit) or {}
        caller.at = at
        assert not at or self.clock.now <= at <= self.clock.now + HOLD, "no slot is held for longer"
        return int(wait)

    def refuse(self) -> None:
        self._refuse(keys=["scope"], args=[])

    def run(self, callers: list[Caller], tick: int = 1, *, until: int = 0) -> list[Caller]:
        """Everyone's way to its call, in the order of time; ``until``: no further than that."""
        heap = [(caller.came, caller.number, caller) for caller in callers]
        heapq.heapify(heap)
        while heap and (not until or heap[0][0] < until):
            time, number, caller = heapq.heappop(heap)
            self.clock.now = max(self.clock.now, time)
            if again := self.come(caller):
                at = max(again, self.clock.now)
                heapq.heappush(heap, (-(-at // tick) * tick, number, caller))
            assert caller.comings < 1_000, "it goes round in circles"
        return [caller for caller in callers if caller.at]


@contextmanager
def scope(rate: float, burst: int) -> Iterator[Scope]:
    clock = ManualClock()
    with fake_redis(clock) as client:
        yield Scope(client, clock, rate, burst)


def check_rate(found: Scope, called: list[Caller]) -> None:
    """Of every span of time, from any call to any other."""
    times = sorted(caller.at for caller in called)
    for first, begins in enumerate(times):
        for last in range(first, len(times)):
            span = (times[last] - begins + 1) / 1000
            assert last - first + 1 <= found.rate * span + found.burst + 1e-6


gaps = st.lists(st.tuples(st.integers(0, 120), st.booleans()), min_size=1, max_size=50)


@settings(max_examples=60, deadline=None)
@given(
    gaps=gaps,
    rate=st.sampled_from([0.5, 5.0, 24.5, 100.0]),
    burst=st.sampled_from([1, 2, 5, 25]),
    tick=st.sampled_from([1, 50, 500, 5_000]),
)
def test_any_mix_stays_within_rate_and_burst_and_everyone_goes(
    gaps: list[tuple[int, bool]], rate: float, burst: int, tick: int
) -> None:
    with scope(rate, burst) as found:
        came, callers = found.clock.now, []
        for number, (gap, bulk) in enumerate(gaps):
            came += gap
            callers.append(Caller(number, came, bulk))
        called = found.run(callers, tick)
        assert len(called) == len(callers)
        check_rate(found, called)


@settings(max_examples=30, deadline=None)
@given(gaps=gaps, refused=st.sets(st.integers(0, 49), max_size=20))
def test_refusals_never_make_it_faster_and_stop_nobody(
    gaps: list[tuple[int, bool]], refused: set[int]
) -> None:
    with scope(24.5, 2) as found:
        came, called = found.clock.now, []
        for number, (gap, bulk) in enumerate(gaps):
            came += 20 * gap
            if number in refused:
                found.refuse()
            called += found.run([Caller(number, came, bulk)])
        assert len(called) == len(gaps)
        check_rate(found, called)


def crowd(found: Scope, count: int, *, bulk: bool, first: int = 0, gap: float = 0) -> list[Caller]:
    now = found.clock.now
    return [Caller(first + n, now + round(n * gap), bulk) for n in range(count)]


def test_an_urgent_call_does_not_wait_behind_the_line_of_the_bulk() -> None:
    with scope(25, 2) as found:
        began = found.clock.now
        bulk = crowd(found, 200, bulk=True)
        urgent = [Caller(1_000 + n, began + 1_000 + 500 * n, bulk=False) for n in range(10)]
        found.run([*bulk, *urgent], 50)
        assert max(caller.at - caller.came for caller in urgent) <= 2 * HOLD
        assert max(caller.at for caller in bulk) - began > 200 / 25 * 1000, "who paid for it"
        check_rate(found, [*bulk, *urgent])


@pytest.mark.parametrize("rate", [1.0, 25.0])
def test_bulk_keeps_a_tenth_though_urgent_calls_would_take_it_all(rate: float) -> None:
    with scope(rate, 2) as found:
        began, gap = found.clock.now, 1000 / rate
        bulk = crowd(found, 60, bulk=True)
        urgent = crowd(found, 300, bulk=False, first=1_000, gap=gap)
        called = found.run([*bulk, *urgent], 50, until=began + round(300 * gap))
        check_rate(found, called)
        share = sum(caller.bulk for caller in called) / len(called)
        assert 0.08 <= share <= 0.25, "a tenth or so, and not more than that"


def test_a_line_that_comes_in_time_uses_the_whole_rate() -> None:
    with scope(25, 2) as found:
        began = found.clock.now
        callers = crowd(found, 250, bulk=True)
        found.run(callers, 50)
        assert max(caller.at for caller in callers) - began <= 250 / 25 * 1000
        assert max(caller.comings for caller in callers) <= 2, "a line is stood in once"


def test_half_of_the_rate_is_left_to_the_bulk_when_urgent_calls_take_the_other() -> None:
    with scope(20, 2) as found:
        began = found.clock.now
        bulk = crowd(found, 200, bulk=True)
        urgent = crowd(found, 100, bulk=False, first=1_000, gap=100)
        called = found.run([*bulk, *urgent], 50, until=began + 10_000)
        assert sum(not caller.bulk for caller in called) >= 97
        assert sum(caller.bulk for caller in called) >= 90


def test_a_scope_with_a_concurrency_has_no_more_calls_under_way() -> None:
    with scope(100, 10) as found:
        found.concurrency = 3
        callers = crowd(found, 10, bulk=False)
        waits = [found.come(caller) for caller in callers]
        assert sum(not wait for wait in waits) == 3
        assert all(wait >= found.clock.now for wait in waits if wait)
        found.client.zrem("scope:busy", "0")
        found.clock.advance(1_000)
        # Each call's lease was a second: one that never says that it is over is counted no longer.
        assert sum(not found.come(caller) for caller in callers[3:]) == 3


def test_the_real_limit_is_found_where_the_one_that_was_set_is_too_high() -> None:
    """The provider takes 10 a second, 25 were said."""
    with scope(25, 2) as found:
        began = found.clock.now
        waiting = [(caller.came, caller.number, caller) for caller in crowd(found, 600, bulk=True)]
        taken: list[int] = []
        refused: list[int] = []
        while waiting:
            time, number, caller = heapq.heappop(waiting)
            found.clock.now = max(found.clock.now, time)
            if again := found.come(caller):
                heapq.heappush(waiting, (-(-again // 50) * 50, number, caller))
            elif len([at for at in taken[-10:] if at > caller.at - 1_000]) < 10:
                taken.append(caller.at)
            else:
                refused.append(caller.at)
                found.refuse()
                caller.visit = {}
                heapq.heappush(waiting, (caller.at + 1_000, number, caller))
        span = (max(taken) - began) / 1000
        assert 600 / span > 8.5, "most of what there is, is used"
        later = [at for at in refused if at > began + 10_000]
        assert len(later) < 0.06 * len(taken)

"""Runs by crashes, lost, doubled and late messages, lost leases, clock jumps and controls.

The invariants read the provider's ledger, not durazzo's own belief (``World.check``): one
charge and one text at most for an intent, no text sent again after one that may have gone out,
ended runs in agreement with the books, and every run's events folding to its state. When all
is healed at the end, every run that was accepted has ended, or is known to be unknown.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from orchestrator.engine.state import Status
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.actors import HEARD, Fate, Silence
from tests.fakes.provider import WEATHERS, Weather
from tests.fakes.rewinding import RewindingWorld
from tests.fakes.world import World

pytestmark = pytest.mark.slow

FLOWS = (
    plans.charge_and_text,
    plans.fallback_loop,
    plans.fork_and_join,
    plans.retry_action,
    plans.timed,
)
#: A run is hard to break in more than a few places at once; more runs only dilute them.
MOST_RUNS = 2

ANY = st.integers(0, 7)
#: ms to a run's deadline.
DEADLINES = st.sampled_from([0, 0, 0, 2_000, 10_000, 120_000, 100_000_000])
SKIES = st.one_of(st.just("answer"), st.sampled_from(WEATHERS))
#: (what becomes of an actor, after how many places)
FATES = st.one_of(
    st.just(("end", 0)),
    st.tuples(st.just("stop"), st.integers(0, 8)),
    st.tuples(st.just("crash"), st.integers(0, 8)),
)
SPANS = st.sampled_from([
    100,
    1_000,
    5_000,
    7_000,  # a heartbeat's life
    31_000,  # a hold's end
    90_000,  # a call's lease
    3_600_000,
    90_000_000,  # 25 h: Stripe has forgotten its keys
])
#: Which calls to Redis get no answer.
SILENCES = st.one_of(
    st.just(HEARD),
    st.builds(
        lambda first, calls, carried_out: Silence(first, first + calls, carried_out),
        st.integers(0, 4),
        st.integers(1, 8),
        st.booleans(),
    ),
)
STORM = st.lists(st.tuples(FATES, SKIES), min_size=1, max_size=8)


class Durazzo(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()

    def make_world(self) -> World:
        return World()

    @initialize(flow=st.sampled_from(FLOWS), within=DEADLINES, quick=st.booleans())
    def first(self, flow: Callable[[], Plan], *, within: int, quick: bool) -> None:
        self.world.quick = quick
        self.world.submit(flow(), within=within)

    @precondition(lambda self: len(self.world.runs) < MOST_RUNS)
    @rule(flow=st.sampled_from(FLOWS), sent=st.booleans(), echo=st.booleans(), within=DEADLINES)
    def submit(self, flow: Callable[[], Plan], sent: bool, echo: bool, within: int) -> None:
        self.world.submit(flow(), sent=sent, echo=echo, within=within)

    # The broker.

    @precondition(lambda self: self.world.broker.queue)
    @rule(index=ANY, host=ANY, fate=FATES, sky=SKIES, echo=st.booleans(), silence=SILENCES)
    def deliver(
        self,
        index: int,
        *,
        host: int,
        fate: tuple[Fate, int],
        sky: Weather,
        echo: bool,
        silence: Silence,
    ) -> None:
        awake = self._awake()
        if awake:
            index %= len(self.world.broker.queue)
            self.world.deliver(
                index, awake[host % len(awake)], *fate, sky, echo=echo, silence=silence
            )

    @precondition(lambda self: self.world.broker.queue)
    @rule(index=ANY)
    def lose(self, index: int) -> None:
        self.world.broker.queue.pop(index % len(self.world.broker.queue))

    @precondition(lambda self: self.world.broker.ever)
    @rule(index=st.integers(0, 30))
    def come_again(self, index: int) -> None:
        ever = self.world.broker.ever
        self.world.broker.queue.append(ever[-1 - index % len(ever)])

    # Processes.

    @precondition(lambda self: self.world.parked)
    @rule(index=ANY, fate=FATES, sky=SKIES)
    def go_on(self, index: int, fate: tuple[Fate, int], sky: Weather) -> None:
        """A process that stood still goes on: its lease may be another's by now."""
        self.world.resume(index % len(self.world.parked), *fate, sky)

    @rule(host=ANY)
    def kill(self, host: int) -> None:
        self.world.kill(host % len(self.world.workers))

    @rule(host=ANY)
    def freeze(self, host: int) -> None:
        """No heartbeat any more; what it does goes on when its turn comes."""
        self.world.workers[host % len(self.world.workers)].frozen = True

    @precondition(lambda self: any(w.frozen for w in self.world.workers))
    @rule(beats=st.booleans())
    def thaw(self, beats: bool) -> None:
        for worker in self.world.workers:
            worker.frozen = False
            if beats:
                worker.beat()

    @rule(host=ANY, fate=FATES, echo=st.booleans())
    def tick(self, host: int, fate: tuple[Fate, int], echo: bool) -> None:
        self.world.tick(host % len(self.world.workers), *fate, echo=echo)

    # Time and the network.

    @rule(span=SPANS)
    def time_passes(self, span: int) -> None:
        self.world.pass_time(span)

    @precondition(lambda self: self.world.provider.network)
    @rule(index=ANY)
    def arrive(self, index: int) -> None:
        self.world.provider.arrive(index % len(self.world.provider.network))

    # People.

    @rule(index=ANY, kind=st.sampled_from(["cancel", "pause", "resume", "resume"]), fate=FATES)
    def control(self, index: int, kind: str, fate: tuple[Fate, int]) -> None:
        runs = list(self.world.runs)
        self.world.control(runs[index % len(runs)], kind, *fate)

    # Much at once, or nothing would ever get far.

    @rule(index=ANY, fate=FATES)
    def retry(self, index: int, fate: tuple[Fate, int]) -> None:
        runs = list(self.world.runs)
        self.world.retry(runs[index % len(runs)], *fate)

    @rule(fates=STORM)
    def storm(self, fates: list[tuple[tuple[Fate, int], Weather]]) -> None:
        """The timekeeper sends what is due, and each message meets a fate of its own."""
        world = self.world
        for fate, sky in fates:
            if not world.broker.queue:
                world.pass_time(7_000)
                world.tick()
            if not world.broker.queue:
                return
            actor = world.deliver(0, 0, *fate, sky)
            if actor.crashed:
                world.kill(0)
            world.check()

    @rule(sky=SKIES, rounds=st.integers(1, 12))
    def spell(self, sky: Weather, rounds: int) -> None:
        """The provider is as it is for a while: long enough to use all attempts up."""
        self.world.carry_on(rounds, sky)

    @precondition(lambda self: self.world.broker.queue)
    @rule(
        passes=st.integers(0, 8), asleep=st.booleans(), span=SPANS, sky=SKIES, fates=STORM,
        late=st.tuples(FATES, SKIES),
    )  # fmt: skip
    def overtaken(
        self,
        *,
        passes: int,
        asleep: bool,
        span: int,
        sky: Weather,
        fates: list[tuple[tuple[Fate, int], Weather]],
        late: tuple[tuple[Fate, int], Weather],
    ) -> None:
        """A process stands still until others have taken over, and then goes on."""
        world = self.world
        actor = world.deliver(0, 1, "stop", passes, sky)
        world.workers[1].frozen = asleep
        world.pass_time(span)
        self.storm(fates)
        world.workers[1].frozen = False
        if actor in world.parked:
            world.resume(world.parked.index(actor), *late[0], late[1])

    def _awake(self) -> list[int]:
        return [n for n, worker in enumerate(self.world.workers) if not worker.frozen]

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self._finish()
        finally:
            self.world.close()

    def _finish(self) -> None:
        """Accepted is finished."""
        world = self.world
        world.heal()
        world.check()
        for run in world.runs:
            if world.state(run).status is Status.PAUSED:
                world.control(run, "resume")
        world.heal()
        world.check()
        for run in world.runs:
            state = world.state(run)
            assert state.status is not Status.PAUSED
            self.check_told(state.end, world.broker.announced.get(run, set()))
            assert (world.client.zscore("{durazzo}:due", run) is None) == bool(state.end)

    def check_told(self, end: str, told: set[str]) -> None:
        """Each end is told once a retry has taken an earlier one back, and the last one always."""
        assert end in told if end else not told - {"failed", "cancelled"}


class Rewinding(Durazzo):
    """Redis loses writes that it acknowledged, and somebody who is alive remembers them."""

    world: RewindingWorld

    def make_world(self) -> World:
        return RewindingWorld()

    @rule(fates=STORM, messages=st.booleans())
    def rewind(self, fates: list[tuple[tuple[Fate, int], Weather]], *, messages: bool) -> None:
        """All that a while brought is lost."""
        self.world.keep()
        self.storm(fates)
        if self.world.can_be_told():
            self.world.rewind(messages=messages)

    def check_told(self, end: str, told: set[str]) -> None:
        """What was told, and then lost, is told all the same."""
        assert not end or end in told


DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"

TestDurazzo = Durazzo.TestCase
TestDurazzo.settings = settings(
    max_examples=5_000 if DEEP else 100, stateful_step_count=60 if DEEP else 30
)

TestRewinding = Rewinding.TestCase
TestRewinding.settings = settings(
    max_examples=5_000 if DEEP else 100, stateful_step_count=60 if DEEP else 30
)

"""People and workers at one run at the same time: real threads, a real server, a thousand times.

A person's commands start when a worker passes a place that the seed chose (before or after one
of its scripts, before or after the provider has carried a call out); from there on nobody waits
for anybody. The judge is the provider's own book.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from orchestrator.canvas.messages import TaskId
from orchestrator.clock import SystemClock, SystemEntropy
from orchestrator.driver import Driver, Plans
from orchestrator.engine.state import Status
from orchestrator.errors import RetryRefused
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Committed, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import NoSeal
from orchestrator.plan.model import Plan
from orchestrator.policy.outcomes import Result
from orchestrator.service.control import cancel, pause, resume
from orchestrator.service.core import Core
from orchestrator.service.retry import retry
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.batching import no_batches
from tests.fakes.journal import check_fold
from tests.fakes.provider import Provider, Weather
from tests.fakes.servers import binaries, running
from tests.fakes.world import SECRETS, Broker, Message
from workers.attempt import Attempt
from workers.credentials import Credentials
from workers.render import FrozenRequest
from workers.timekeeper import Timekeeper
from workers.told import Said

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: In all; ``DURAZZO_RACES`` asks for more.
RACES = int(os.environ.get("DURAZZO_RACES", "1000"))
PARTS = 4
WORKERS = 2
FOR_EVER = 10**12
COMMANDS = ("cancel", "pause", "resume", "retry", "tick")
FLOWS: tuple[Callable[[], Plan], ...] = (plans.charge_and_text, plans.fork_and_join)
#: What Stripe does, and then it answers. Not among it: a request lost on its way there, for then a
#: run that was cancelled stays unknown, since nobody can say.
SKIES: tuple[Weather, ...] = ("answer", "declined", "dropped-after", "429", "429", "429")
MOST_TROUBLE = 12


class Start:
    """Fires when the workers have passed so many places, or when they are done."""

    def __init__(self, after: int) -> None:
        self._left = after
        self._lock = threading.Lock()
        self._fired = threading.Event()

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self._fired.set()

    def fire(self) -> None:
        self._fired.set()

    def wait(self) -> None:
        assert self._fired.wait(60)


class PacedScripts:
    """The real scripts, which tell when they are called."""

    def __init__(self, inner: Scripts, passed: Callable[[], None]) -> None:
        self._inner = inner
        self._passed = passed

    def __getitem__(self, name: str) -> Any:
        return self._inner[name]

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        self._passed()
        try:
            return self._inner.call(name, *args, **named)
        finally:
            self._passed()


class PacedJournal(RedisJournal):
    """The real journal, which tells when it is used, and counts decisions that came too late."""

    start = Start(0)
    news = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # Each race has another start.
        paced: Any = PacedScripts(self._scripts, lambda: self.start.passed())  # noqa: PLW0108
        self._scripts = paced

    def _commit(self, *args: Any, **named: Any) -> Committed:
        committed = super()._commit(*args, **named)
        self.news += committed is Committed.NEWS
        return committed


class RedisClock:
    """The provider's clock agrees with the journal's, which the test moves."""

    def __init__(self, journal: RedisJournal) -> None:
        self._journal = journal

    @property
    def now(self) -> int:
        return self._journal.now()


class RacingProvider(Provider):
    """Each charge has a weather of its own, and one call at a time is in the books."""

    def __init__(self, journal: PacedJournal, chance: random.Random) -> None:
        super().__init__(RedisClock(journal))  # type: ignore[arg-type]
        self._start = journal.start
        self._skies = chance.choices(SKIES, k=MOST_TROUBLE)
        self._books = threading.Lock()

    def call(
        self,
        request: FrozenRequest,
        *,
        headers: Sequence[tuple[str, str]],
        url: str,
        deadline_s: float,
    ) -> Result:
        self._start.passed()
        with self._books:
            charges = request.provider == "stripe" and request.method == "POST"
            self.weather = self._skies.pop() if charges and self._skies else "answer"
            result = super().call(request, headers=headers, url=url, deadline_s=deadline_s)
        self._start.passed()
        return result


class House:
    """One journal, two workers and a timekeeper, for one race after another."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.journal = PacedJournal(client, NoSeal())
        self.plans = Plans(self.journal)
        for number in range(WORKERS):
            self.journal.heartbeat(f"w{number}", ttl_ms=FOR_EVER)
        self.threads = ThreadPoolExecutor(WORKERS + 1)
        #: Races that ended so.
        self.ends: Counter[str] = Counter()

    def close(self) -> None:
        self.threads.shutdown()


class Race:
    def __init__(self, house: House, number: int, seed: int) -> None:
        self.house = house
        self.journal = house.journal
        self.run = f"run-{number}"
        self.chance = random.Random(seed)
        self.broker = Broker()
        self.driver = Driver(self.journal, house.plans, self.broker)
        self.start = house.journal.start = Start(self.chance.randrange(1, 40))
        self.provider = RacingProvider(house.journal, random.Random(seed))
        self.core = Core(
            journal=self.journal, plans=house.plans, driver=self.driver, profiles=load_profiles(),
            **no_batches(house.plans),
            clock=SystemClock(), entropy=SystemEntropy(),
        )  # fmt: skip
        self.timekeeper = Timekeeper(
            me="t", journal=self.journal, plans=house.plans, driver=self.driver, queues=self.broker
        )
        self.attempts = [self._attempt(f"w{number}") for number in range(WORKERS)]

    def _attempt(self, worker: str) -> Attempt:
        return Attempt(
            worker=worker,
            journal=self.journal,
            plans=self.house.plans,
            driver=self.driver,
            profiles=load_profiles(),
            credentials=Credentials(SECRETS),
            caller=self.provider,  # type: ignore[arg-type]
            servers={},
            clock=SystemClock(),
            entropy=SystemEntropy(),
        )

    def race(self) -> None:
        # Each race has a provider of its own, which counts its payments from 0 again.
        names = (f"{name}{n}" for name in ("stripe:pi_", "twilio:SM") for n in range(10))
        self.house.client.delete(*map(Keys().effect, names))
        flow = self.chance.choice(FLOWS)()
        new = plans.new_run(flow, self.run, inputs={"order": self.run, "amount": 4_200})
        assert self.journal.accept(new).new
        graph, state = self.house.plans.graph(new.digest), self.journal.read(self.run)
        assert state is not None
        for step in flow.starts:
            self.broker.send(TaskId(self.run, step, 1), state, graph)
        commands = self.chance.choices(COMMANDS, k=self.chance.randrange(1, 5))
        person = self.house.threads.submit(self._command, commands)
        workers = [self.house.threads.submit(self._work, attempt) for attempt in self.attempts]
        for worker in workers:
            worker.result(60)
        self.start.fire()
        person.result(60)

    def _command(self, commands: Sequence[str]) -> None:
        self.start.wait()
        for name in commands:
            with suppress(RetryRefused):
                self._do(name)

    def _do(self, name: str) -> None:
        match name:
            case "cancel":
                cancel(self.core, self.run, by="ops")
            case "pause":
                pause(self.core, self.run, by="ops")
            case "resume":
                resume(self.core, self.run, by="ops")
            case "retry":
                retry(self.core, self.run, by="ops")
            case _:
                self.timekeeper.tick()

    def _work(self, attempt: Attempt) -> None:
        while self.broker.queue:
            with suppress(IndexError):
                self._task(attempt, self.broker.queue.pop(0))

    def _task(self, attempt: Attempt, message: Message) -> None:
        """As ``workers.tasks`` does, and Celery around it."""
        task, *rest = message.tasks
        ref = Ref(task.run, task.step, task.visit, task.send, message.fresh)
        if message.kind == "fallback":
            self.driver.send_entered(ref.run, ref.step, ref.visit)
            return
        told = attempt.drive(ref, {(task.step, task.visit) for task in rest[:1]})
        if told.said in {Said.FAILED, Said.HANDLED}:
            self.broker.put(Message("fallback", message.tasks[:1]))
        elif told.said is Said.GO_ON and rest:
            self.broker.put(Message("step", tuple(rest)))

    def finish(self) -> None:
        """Nobody disturbs it any more: it ends."""
        resume(self.core, self.run, by="ops")
        span = 1_000
        for _ in range(60):
            self._work(self.attempts[0])
            state = self.journal.read(self.run)
            assert state is not None
            if state.end and not state.outbox:
                return
            self.house.client.incrby(Keys().clock, span)
            self.timekeeper.tick()
            span = min(2 * span, 600_000)
        raise AssertionError(f"accepted is not finished: {self.journal.read(self.run)}")

    def check(self) -> None:
        check_fold(self.journal, self.run)
        state = self.journal.read(self.run)
        assert state is not None
        self.house.ends[state.end] += 1
        history = self.journal.history(self.run)
        rows = [(e.kind, e.fields["s"], e.fields["n"], e.fields["a"])
                for e in history if e.kind in {"begun", "outcome"} and e.fields["a"]]  # fmt: skip
        begun = [row[1:] for row in rows if row[0] == "begun"]
        assert len(set(begun)) == len(begun), "one attempt, one call"
        classified = {row[1:] for row in rows if row[0] == "outcome"}
        assert set(begun) <= classified, "a call was abandoned: nobody said what it came to"
        effects = [*self.provider.charges, *self.provider.texts]
        done = Counter(effect.step for effect in effects)
        assert max(done.values(), default=0) <= 1, f"executed twice: {done}"
        known = [e.fields["s"] for e in history
                 if e.kind == "outcome" and e.fields["k"] == "succeeded"]  # fmt: skip
        assert sorted(known) == sorted(done), "what the provider did is what the journal knows"
        assert not self.provider.changed, "one key, other bytes"
        assert self.broker.announced[self.run], "nobody was told"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with running(binaries()["valkey"]) as client:
        found = House(client)
        yield found
        found.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_commands_that_race_calls_in_flight_lose_no_outcome_and_execute_nothing_twice(
    house: House, part: int
) -> None:
    before = house.journal.news
    house.ends.clear()
    for number in range(RACES // PARTS):
        seed = part * RACES + number
        race = Race(house, seed, seed)
        try:
            race.race()
            race.finish()
            race.check()
        except Exception as error:
            error.add_note(f"seed {seed}: {race.journal.read(race.run)}")
            raise
    assert house.journal.news > before, "they never met"
    assert {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} <= set(house.ends)

"""A whole durazzo in one process: real journal, engine, driver, attempts and timekeeper.

What is not real: the network (a queue of messages that the test delivers, loses, doubles and
reorders), the provider, the clock, and the processes, which are actors that can be stopped and
killed at every place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from orchestrator.admission import Admission
from orchestrator.canvas.messages import TaskId, priority
from orchestrator.driver import Driver, Plans
from orchestrator.engine.advance import Decision
from orchestrator.engine.effects import Totals
from orchestrator.engine.events import Event
from orchestrator.engine.state import Phase, State, Status, Visit
from orchestrator.errors import DurazzoError, JournalUnavailable
from orchestrator.expressions.nodes import Json
from orchestrator.journal.archive import Tidied
from orchestrator.journal.batches import Admitted, Admittee, Batch, Record
from orchestrator.journal.port import (
    Acceptance,
    Begun,
    Claim,
    Committed,
    Limit,
    Listed,
    NewRun,
    Pace,
    Ref,
    Rewound,
    Settlement,
    Stop,
    Tick,
    Wake,
)
from orchestrator.journal.redis import KEY_LIFE, RedisJournal
from orchestrator.journal.redis_archive import RedisArchive, Whole
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import NoSeal
from orchestrator.plan import codec
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from orchestrator.service.core import Core
from orchestrator.service.retry import retry
from orchestrator.wiring import load_profiles
from tests.fakes.actors import HEARD, Actor, Fate, Silence, current, pause
from tests.fakes.batching import no_batches
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.counted import check_counts, check_doubt
from tests.fakes.journal import check_fold
from tests.fakes.plans import new_run
from tests.fakes.provider import Effect, Provider, Sent, Weather
from tests.fakes.servers import fake_redis
from workers.attempt import Attempt
from workers.credentials import Credentials
from workers.held import Checkpoint
from workers.tidying import Tidying
from workers.timekeeper import Timekeeper
from workers.told import Said, Told

SECRETS = {
    "STRIPE_SECRET_KEY": "sk_test_x",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "token",
}
TTL = 6_000


class StoppingJournal:
    """The real journal, with a place to die before each change of it."""

    def __init__(self, inner: RedisJournal) -> None:
        self._inner = inner

    def _change(self, name: str, *args: Any, **named: Any) -> Any:
        pause(name)
        method = getattr(self._inner, name)
        actor = current()
        if actor is None:
            return method(*args, **named)
        number, silence = actor.calls, actor.silence
        actor.calls += 1
        silent = silence.first <= number < silence.past
        if silent and not (number == silence.first and silence.carried_out):
            raise JournalUnavailable("no answer")
        answer = method(*args, **named)
        if silent:
            raise JournalUnavailable("no answer")
        return method(*args, **named) if actor.echo else answer

    def accept(self, new: NewRun) -> Acceptance:
        found: Acceptance = self._change("accept", new)
        return found

    def claim(self, ref: Ref, worker: str, *, mine: bool = False) -> Claim:
        found: Claim = self._change("claim", ref, worker, mine=mine)
        return found

    def begin(
        self,
        ref: Ref,
        fence: int,
        *,
        deadline_ms: int,
        frozen: bytes | None,
        limits: Sequence[Limit],
        durable: bool = False,
        provider: str = "",
    ) -> Begun:
        found: Begun = self._change(
            "begin",
            ref,
            fence,
            deadline_ms=deadline_ms,
            frozen=frozen,
            limits=limits,
            durable=durable,
            provider=provider,
        )
        return found

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        found: Begun = self._change("look", ref, fence, deadline_ms=deadline_ms, limits=limits)
        return found

    def commit(
        self, ref: Ref, fence: int, settlement: Settlement, decision: Decision | None
    ) -> Committed:
        found: Committed = self._change("commit", ref, fence, settlement, decision)
        return found

    def resolve(self, ref: Ref, settlement: Settlement, decision: Decision | None) -> Committed:
        found: Committed = self._change("resolve", ref, settlement, decision)
        return found

    def decide(self, run: str, decision: Decision) -> Committed:
        found: Committed = self._change("decide", run, decision)
        return found

    def control(self, run: str, kind: str, *, by: str, reason: str) -> State | None:
        found: State | None = self._change("control", run, kind, by=by, reason=reason)
        return found

    def reopen(
        self,
        run: str,
        step: str,
        seen: int,
        *,
        by: str,
        reason: str,
        batch: str = "",
        in_turn: bool = False,
    ) -> int | None:
        found: int | None = self._change(
            "reopen", run, step, seen, by=by, reason=reason, batch=batch, in_turn=in_turn
        )
        return found

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        found: int | None = self._change("mark_sent", ref, seen, patience_ms=patience_ms)
        return found

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        self._change("postpone", times)

    def settle(self, run: str, batch: str = "", record: Record | None = None) -> bool:
        fill: bool = self._change("settle", run, batch, record)
        return fill

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        found: Tick = self._change("tick", leader, lease_ms=lease_ms, limit=limit)
        return found

    def heartbeat(self, worker: str, *, ttl_ms: int) -> int:
        return self._inner.heartbeat(worker, ttl_ms=ttl_ms)

    def retire(self, worker: str) -> None:
        self._inner.retire(worker)

    def alive(self) -> frozenset[str]:
        return self._inner.alive()

    def require_writable(self) -> None:
        self._inner.require_writable()

    def rewound(self) -> Rewound | None:
        return self._inner.rewound()

    def now(self) -> int:
        return self._inner.now()

    def plan(self, digest: str) -> bytes:
        return self._inner.plan(digest)

    def read(self, run: str) -> State | None:
        return self._inner.read(run)

    def history(self, run: str, *, reasons: bool = False) -> list[Event]:
        return self._inner.history(run, reasons=reasons)

    def inputs(self, run: str) -> Mapping[str, Json]:
        return self._inner.inputs(run)

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]:
        return self._inner.outputs(run, steps)

    def key_of(self, run: str) -> str | None:
        return self._inner.key_of(run)

    def recent(self, limit: int) -> list[str]:
        return self._inner.recent(limit)

    def lanes(self) -> frozenset[str]:
        return self._inner.lanes()

    def unended(self, first: int, limit: int) -> Sequence[Listed]:
        return self._inner.unended(first, limit)

    def doubted(self, limit: int) -> Sequence[Listed]:
        return self._inner.doubted(limit)

    def page(self, *, until: int, since: int, limit: int, after: str = "") -> Sequence[Listed]:
        return self._inner.page(until=until, since=since, limit=limit, after=after)

    def stop(self, provider: str, *, by: str, reason: str) -> Stop:
        found: Stop = self._change("stop", provider, by=by, reason=reason)
        return found

    def go_on(self, provider: str, *, by: str, reason: str, pace: Pace) -> Wake:
        found: Wake = self._change("go_on", provider, by=by, reason=reason, pace=pace)
        return found

    def wake(self, provider: str, *, pace: Pace, woken: int) -> Wake:
        found: Wake = self._change("wake", provider, pace=pace, woken=woken)
        return found

    def stops(self, *, reasons: bool = False) -> Sequence[Stop]:
        return self._inner.stops(reasons=reasons)

    def house(self, *, reasons: bool = False) -> list[Event]:
        return self._inner.house(reasons=reasons)


class StoppingBatches(RedisBatches):
    """The real batches, with places to die around the change that rows become runs by."""

    def admit(
        self, batch: Batch, starts: Sequence[str], admittees: Sequence[Admittee], *, drop: int = -1
    ) -> Admitted:
        pause("admit")
        admitted = super().admit(batch, starts, admittees, drop=drop)
        pause("admitted")
        return admitted


class StoppingArchive(RedisArchive):
    """The real archive, with places to die around all that it does at a tick."""

    def tidy(self, limit: int) -> Tidied:
        pause("tidy")
        return super().tidy(limit)

    def _read(self, runs: Sequence[str]) -> list[Whole]:
        found = super()._read(runs)
        pause("put-away")
        return found


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker carries: a chain of tasks, or the error callback of one."""

    kind: Literal["step", "fallback"]
    tasks: tuple[TaskId, ...]
    #: It waits behind all that are not.
    fresh: bool = False
    #: Of a batch: it waits behind all that are not, fresh or under way.
    bulk: bool = False


class Broker:
    """The canvas and its queue: may lose, double and reorder, as Redis and Celery do."""

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.ever: list[Message] = []
        self.announced: dict[str, set[str]] = {}

    def put(self, message: Message) -> None:
        later = (i for i, m in enumerate(self.queue) if _priority(m) > _priority(message))
        self.queue.insert(next(later, len(self.queue)), message)
        if message not in self.ever:
            self.ever.append(message)

    def send(self, task: TaskId, state: State, graph: Graph) -> None:
        """As ``Canvas.send``."""
        pause("send")
        rest = graph.segment(task.step)[1:]
        tasks = (TaskId(task.run, s, state.visited(s) + 1, 1) for s in rest)
        fresh = graph.is_fresh(task.step, task.visit, task.send)
        self.put(Message("step", (task, *tasks), fresh, bool(state.batch)))

    def announce(self, run: str, state: State) -> None:
        pause("announce")
        self.announced.setdefault(run, set()).add(state.end)

    def backlog(self, lane: str, *, fresh: bool | None = None, bulk: bool = False) -> int:
        if fresh is None:
            return len(self.queue)
        return sum((m.fresh, m.bulk) == (fresh, bulk) for m in self.queue)


def _priority(message: Message) -> int:
    return priority(bulk=message.bulk, fresh=message.fresh)


class Worker:
    """A process: its incarnation, its pulse, and what it is made of."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.frozen = False
        self._world = world
        self._beat_at = 0
        #: What the process remembers is its own, and dies with it.
        self.raw = RedisJournal(world.client, NoSeal(), guard=world.guard)
        journal = StoppingJournal(self.raw)
        plans = Plans(journal)
        batches = StoppingBatches(world.client, NoSeal(), key_life_ms=KEY_LIFE)
        self.admission = Admission(batches, plans, world.broker)
        self.driver = Driver(journal, plans, world.broker, self.admission.fill)
        self.attempt = Attempt(
            worker=name,
            journal=journal,
            plans=plans,
            driver=self.driver,
            profiles=load_profiles(),
            credentials=Credentials(world.secrets),
            caller=world.provider,  # type: ignore[arg-type]
            servers={},
            clock=world.clock,
            entropy=world.entropy,
            alive=self.alive,
            reached=_reached,
        )
        self.timekeeper = Timekeeper(
            me=name, journal=journal, plans=plans, driver=self.driver, queues=world.broker,
            tend=self.admission.tend,
            tidy=Tidying(StoppingArchive(world.client, NoSeal()), world.clock),
        )  # fmt: skip
        self.beat()

    def beat(self) -> None:
        if not self.frozen:
            self.raw.heartbeat(self.name, ttl_ms=TTL)
            self._beat_at = self._world.clock.now

    def alive(self) -> bool:
        return self._world.clock.now - self._beat_at < TTL


def _reached(point: Checkpoint, _ref: Ref) -> None:
    pause(point)


class World:
    def __init__(self, workers: int = 2, *, guard: bool = True) -> None:
        """``guard``: workers remember what Redis has acknowledged."""
        self.guard = guard
        #: Whether a worker goes on with a chain's next task, or the broker has it.
        self.quick = False
        self._stack = ExitStack()
        self.clock = ManualClock()
        self.entropy = SeededEntropy()
        self.client = self._stack.enter_context(fake_redis(self.clock))
        self.raw = RedisJournal(self.client, NoSeal())
        self.batches = RedisBatches(self.client, NoSeal(), key_life_ms=KEY_LIFE)
        self.journal = StoppingJournal(self.raw)
        self.secrets = dict(SECRETS)
        self.broker = Broker()
        self.provider = Provider(self.clock)
        self.runs: dict[str, Plan] = {}
        self.parked: list[Actor] = []
        self._births = self._accepted = 0
        self.workers = [self._birth() for _ in range(workers)]

    def close(self) -> None:
        for actor in self.parked:
            if not actor.done:
                actor.crash()
        self._stack.close()

    def _birth(self) -> Worker:
        self._births += 1
        return Worker(self, f"w{self._births}")

    # What people do.

    def submit(
        self,
        flow: Plan,
        *,
        sent: bool = True,
        echo: bool = False,
        within: int = 0,
        accounts: str = "",
    ) -> str:
        """``sent``: False when the submitter died before its first message went out.

        ``echo``: True when its client lost the answer, and sent the whole again. ``within``: ms to
        the run's deadline, 0 for none.
        """
        run = f"run-{self._accepted}"
        self._accepted += 1
        self.runs[run] = flow
        given: dict[str, object] = {"order": run, "amount": 4_200}
        new = new_run(flow, run, inputs=given, within=within, accounts=accounts)
        assert self.raw.accept(new).new
        if echo:
            assert self.raw.accept(new).run == run
        if sent:
            state = self.state(run)
            graph = Graph(flow, codec.digest(new.plan))
            for step in flow.starts:
                self.broker.send(TaskId(run, step, 1), state, graph)
        return run

    def control(self, run: str, kind: str, fate: Fate = "end", passes: int = 0) -> None:
        worker = self.workers[0]

        def work() -> None:
            self.journal.control(run, kind, by="ops", reason="")
            worker.driver.carry_on(run)

        self._start(Actor(worker.name, work), fate, passes)

    def retry(self, run: str, fate: Fate = "end", passes: int = 0) -> None:
        """As ``durazzo retry RUN`` does: refused where something would be done again."""
        worker = self.workers[0]
        core = Core(
            journal=self.journal,
            plans=worker.driver._plans,
            driver=worker.driver,
            profiles=load_profiles(),
            **no_batches(worker.driver._plans),
            clock=self.clock,
            entropy=self.entropy,
        )

        def work() -> None:
            retry(core, run, by="ops")

        self._start(Actor(worker.name, partial(_edge, work)), fate, passes)

    # What the broker and the processes do.

    def deliver(
        self,
        index: int = 0,
        worker: int = 0,
        fate: Fate = "end",
        passes: int = 0,
        weather: Weather = "answer",
        *,
        echo: bool = False,
        silence: Silence = HEARD,
    ) -> Actor:
        message = self.broker.queue.pop(index)
        task = message.tasks[0]
        ref = Ref(task.run, task.step, task.visit, task.send, message.fresh)
        host = self.workers[worker]
        actor = Actor(host.name, lambda: self._task(host, message, ref), ref)
        actor.echo, actor.silence = echo, silence
        self._start(actor, fate, passes, weather)
        if actor.crashed:
            # Celery calls the error callback for a killed pool child as well.
            self.broker.put(Message("fallback", message.tasks[:1], bulk=message.bulk))
        return actor

    def _task(self, host: Worker, message: Message, ref: Ref) -> None:
        """As ``workers.tasks`` does, and Celery around it."""
        if message.kind == "fallback":
            pause(Checkpoint.FALLBACK)
            _edge(lambda: host.driver.send_entered(ref.run, ref.step, ref.visit))
            return
        rest = message.tasks[1:]
        carried = {(rest[0].step, rest[0].visit)} if rest else set()
        told = _edge(lambda: host.attempt.drive(ref, carried))
        if not isinstance(told, Told):
            return
        if told.said in {Said.FAILED, Said.HANDLED}:
            pause("errback")
            self.broker.put(Message("fallback", message.tasks[:1], bulk=message.bulk))
        elif told.said is Said.GO_ON and rest:
            pause("chain")
            following = Message("step", rest, bulk=message.bulk)
            if self.quick:
                self._task(host, following, Ref(rest[0].run, rest[0].step, rest[0].visit, 1))
            else:
                self.broker.put(following)

    def tick(
        self, worker: int = 0, fate: Fate = "end", passes: int = 0, *, echo: bool = False
    ) -> Actor:
        host = self.workers[worker]
        actor = Actor(host.name, lambda: _edge(host.timekeeper.tick))
        actor.echo = echo
        self._start(actor, fate, passes)
        return actor

    def _start(self, actor: Actor, fate: Fate, passes: int, weather: Weather = "answer") -> None:
        self.provider.weather = weather
        actor.go(fate, passes)
        if not actor.done:
            self.parked.append(actor)

    def resume(
        self, index: int, fate: Fate = "end", passes: int = 0, weather: Weather = "answer"
    ) -> None:
        actor = self.parked.pop(index)
        self.provider.weather = weather
        actor.go(fate, passes)
        if not actor.done:
            self.parked.append(actor)

    def kill(self, worker: int) -> None:
        """SIGKILL: everything it did stops where it stands, and another comes in its place."""
        name = self.workers[worker].name
        for actor in [a for a in self.parked if a.worker == name]:
            actor.crash()
            self.parked.remove(actor)
        self.workers[worker] = self._birth()

    def pass_time(self, ms: int) -> None:
        self.clock.advance(ms)
        for worker in self.workers:
            worker.beat()

    # What is asked.

    def state(self, run: str) -> State:
        state = self.raw.read(run)
        assert state is not None
        return state

    def at_rest(self, run: str) -> bool:
        status = self.state(run).status
        if status in {Status.UNKNOWN, Status.PAUSED}:
            return True
        return bool(self.state(run).end) and not self.state(run).outbox

    def heal(self, rounds: int = 400) -> None:
        """Everything works again: who was stopped goes on, and all that is due is done."""
        for worker in self.workers:
            worker.frozen = False
            worker.beat()
        while self.parked:
            self.resume(0)
        while self.provider.network:
            self.provider.arrive(0)
        if not self.carry_on(rounds):
            unrest = {run: self.state(run) for run in self.runs if not self.at_rest(run)}
            raise AssertionError(f"accepted is not finished: {unrest}")

    def carry_on(self, rounds: int, sky: Weather = "answer") -> bool:
        """Deliver and keep time until all runs are at rest. Whether they came to it."""
        span = 1_000
        for _ in range(rounds):
            while self.broker.queue:
                self.deliver(weather=sky)
            if all(self.at_rest(run) for run in self.runs):
                return True
            self.pass_time(span)
            self.tick()
            # Patience doubles up to minutes: the clock is in a hurry as well.
            span = 1_000 if self.broker.queue else min(span * 2, 600_000)
        return False

    # What must hold, always.

    def check(self) -> None:
        self._check_books()
        for run in self.runs:
            self._check_fold(run)
            self._check_run(run, self.state(run))
            self._check_halts(run)
            self._check_late(run)
        self._check_counts()

    def _check_counts(self) -> None:
        check_counts(self.client, [self.raw.history(run) for run in self.raw.recent(1_000)])
        check_doubt(self.client, [(run, self.state(run)) for run in self.runs])

    def _check_fold(self, run: str) -> None:
        check_fold(self.raw, run)

    def _check_books(self) -> None:
        books = self.provider
        assert not books.changed, "one key, other bytes"
        charged = [(effect.run, effect.step) for effect in books.charges]
        # A new visit follows a refusal only, so a step charges once however often it is entered.
        assert len(set(charged)) == len(charged), f"charged twice: {books.charges}"
        keys = [effect.key for effect in books.charges]
        assert len(set(keys)) == len(keys), f"one intent charged twice: {books.charges}"
        self._check_texts()

    def _check_texts(self) -> None:
        for first, again in self.sent_again():
            raise AssertionError(f"sent again after it may have been sent: {first}, {again}")

    def sent_again(self) -> Iterator[tuple[Sent, Sent]]:
        """Texts that may have gone out, and the next send of the same."""
        texts: dict[Ref, Sent] = {}
        for sent in self.provider.sent:
            if sent.ref is None or not sent.ref.step.startswith(_TEXT_STEPS):
                continue
            last = texts.get(sent.ref)
            if last is not None and last.maybe:
                yield last, sent
            texts[sent.ref] = sent

    def _check_run(self, run: str, state: State) -> None:
        for visit in state.visits.values():
            assert visit.phase is not Phase.SUCCEEDED or visit.result == "succeeded"
            assert visit.phase is not Phase.UNKNOWN or visit.doubt
        if state.end:
            self._check_ended(run, state)

    def _check_halts(self, run: str) -> None:
        """After a pause, and after a cancel for good, no call is begun."""
        halted = ended = False
        for event in self.raw.history(run):
            if event.kind == "control" and event.fields["k"] == "retry":
                halted = ended = False
            elif event.kind == "control":
                halted = event.fields["k"] == "pause" or (halted and event.fields["k"] == "cancel")
                ended = ended or event.fields["k"] == "cancel"
            assert event.kind != "begun" or not (halted or ended), "begun though halted"

    def _check_late(self, run: str) -> None:
        """By the provider's books, nothing is sent after the deadline, until a person retries."""
        accepted, *rest = self.raw.history(run)
        deadline = accepted.fields.get("u")
        if not deadline:
            return
        retries = [e.at for e in rest if e.kind == "control" and e.fields["k"] == "retry"]
        until = next((at for at in retries if at >= deadline), None)
        for sent in self.provider.sent:
            late = sent.given >= deadline and (until is None or sent.given < until)
            assert sent.ref is None or sent.ref.run != run or not late, f"sent late: {sent}"

    def _check_ended(self, run: str, state: State) -> None:
        """An ended run is in agreement with the provider's books: no effect that it knows not."""
        assert all(v.phase is not Phase.UNKNOWN for v in state.visits.values())
        known = [
            e.fields["s"] for e in self.raw.history(run)
            if e.kind == "outcome" and e.fields["k"] == "succeeded"
        ]  # fmt: skip
        effects = [e for e in (*self.provider.charges, *self.provider.texts) if e.run == run]
        assert sorted(known) == sorted(e.step for e in effects), f"{run}: {known} but {effects}"
        told = Totals.of(state.effects)
        charged = sum(charge.amount for charge in self.provider.charges if charge.run == run)
        assert sum(told.amounts.get("charged", {}).values()) == charged, f"{run}: {told}"
        texts = [text for text in self.provider.texts if text.run == run]
        assert told.counts.get("texted", 0) == len(texts), f"{run}: {told}"
        if state.end == "succeeded":
            assert known, "succeeded without doing anything"
        if state.end == "failed":
            assert state.code

    def effects(self, run: str) -> list[str]:
        found: list[Effect] = [*self.provider.charges, *self.provider.texts]
        return sorted(effect.step for effect in found if effect.run == run)


#: Names of the steps that send a text, in the plans of ``fakes.plans``.
_TEXT_STEPS = ("text", "remind", "receipt", "sorry")


def _edge(work: Any) -> object:
    """As the task's edge: durazzo's own errors end a task, and everything else is a bug here."""
    try:
        return work()
    except DurazzoError:
        return None

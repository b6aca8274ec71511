"""A batch: rows become runs once, a window of them at a time, and are counted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.admission import Admission
from orchestrator.canvas.messages import TaskId
from orchestrator.driver import Driver, Plans
from orchestrator.engine.effects import Effect
from orchestrator.engine.state import Phase, Result, State, Status
from orchestrator.errors import SealBroken, UploadGone
from orchestrator.journal.batches import Batch, Opened, Record, Row, run_of
from orchestrator.journal.port import Began, Begun, Pace, Ref
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.graph import Graph
from tests.contract.conftest import KEY, World
from tests.fakes import plans
from tests.fakes.batching import new_batch, open_batch
from tests.fakes.journal import Lease, take

KEY_LIFE = 400 * 24 * 3_600_000
FLOW = plans.linear("a")
BY: Any = {"by": "ops", "reason": ""}


@dataclass
class Sent:
    tasks: list[TaskId] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)

    def send(self, task: TaskId, state: State, graph: Graph) -> None:
        assert state.batch
        self.tasks.append(task)

    def announce(self, run: str, state: State) -> None:
        assert state.end
        self.announced.append(run)


class House:
    def __init__(self, world: World) -> None:
        self.world = world
        self.sent = Sent()
        self.batches = RedisBatches(world.client, AesSeal([KEY]), world.keys, key_life_ms=KEY_LIFE)
        known = Plans(world.journal)
        self.admission = Admission(self.batches, known, self.sent)
        self.driver = Driver(world.journal, known, self.sent, self.admission.fill)

    def open(self, rows: int | list[Row] = 5, **other: object) -> Batch:
        found = (
            [Row(number=n, inputs={"n": n}) for n in range(1, rows + 1)]
            if isinstance(rows, int)
            else rows
        )
        assert open_batch(self.batches, FLOW, "b-1", found, **other) is Opened.NEW
        return self.batch

    @property
    def batch(self) -> Batch:
        found = self.batches.read("b-1")
        assert found is not None
        return found

    def lease(self, number: int, step: str = "a", visit: int = 1) -> Lease:
        run = run_of("b-1", number)
        self.world.journal.heartbeat("w1", ttl_ms=600_000)
        state = self.state(number)
        graph = Plans(self.world.journal).graph(state.plan)
        return take(self.world.journal, graph, Ref(run, step, visit), "w1")

    def end(
        self, number: int, result: Result = Result.SUCCEEDED, code: str = "", done: str = ""
    ) -> None:
        lease = self.lease(number, visit=self.state(number).visits["a"].number)
        lease.begin()
        lease.commit(result, code=code, done=done)
        self.driver.carry_on(run_of("b-1", number))

    def state(self, number: int) -> State:
        found = self.world.journal.read(run_of("b-1", number))
        assert found is not None
        return found

    def record(self, number: int) -> Record:
        (found,) = self.batches.records(self.batch, [number])
        assert found is not None
        return found


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def test_as_many_rows_become_runs_as_the_window_has_room_for(house: House) -> None:
    house.open(5, window=2)
    assert house.admission.fill("b-1") == 2
    assert [task.run for task in house.sent.tasks] == ["b-1-1", "b-1-2"]
    assert (house.batch.busy, house.batch.waiting) == (2, 3)
    assert house.admission.fill("b-1") == 0
    assert house.state(1).batch == "b-1"
    assert house.world.journal.inputs("b-1-1") == {"n": 1}


def test_a_run_that_ends_makes_room_for_the_next_row(house: House) -> None:
    house.open(4, window=2)
    house.admission.fill("b-1")
    house.end(1)
    assert [task.run for task in house.sent.tasks] == ["b-1-1", "b-1-2", "b-1-3"]
    assert house.batch.ends == {"succeeded": 1}
    for number in (2, 3, 4):
        house.end(number)
    assert (house.batch.state, house.batch.ends) == ("finished", {"succeeded": 4})
    assert (house.batch.busy, house.batches.active()) == (0, [])


def test_rows_are_forgotten_when_they_are_runs_and_their_index_stays(house: House) -> None:
    rows = [Row(number=n, key=f"k{n}", inputs={"n": n}) for n in range(1, 301)]
    house.open(rows, window=400)
    assert house.admission.fill("b-1") == 300
    fresh = RedisBatches(house.world.client, AesSeal([KEY]), key_life_ms=KEY_LIFE)
    assert fresh.rows(house.batch, 0) == fresh.rows(house.batch, 1) == []
    assert fresh.index(house.batch, 1)[-1] == (300, "k300")


def test_a_run_that_ended_is_counted_once_however_often_its_duties_are_paid(house: House) -> None:
    house.open(1)
    house.admission.fill("b-1")
    house.end(1, Result.FINAL, code="card_declined")
    record = Record(end="failed", code="card_declined", run="b-1-1")
    assert house.world.journal.settle("b-1-1", "b-1", record) is False
    assert (house.batch.ends, house.batch.codes) == ({"failed": 1}, {"card_declined": 1})
    assert (house.record(1).end, house.record(1).step) == ("failed", "a")


def test_what_a_run_did_stands_in_its_record_and_in_the_sums(house: House) -> None:
    house.open(2)
    house.admission.fill("b-1")
    house.end(1, done="charged pi_1 1999 usd")
    house.end(2, done="charged pi_2 500 usd")
    assert house.batch.sums == {"charged:usd": 2_499}
    assert house.record(1).effects == "a charged pi_1 1999 usd"
    assert house.state(1).effects == (
        Effect(step="a", what="charged", id="pi_1", amount=1_999, currency="usd"),
    )


def test_a_retry_takes_back_what_was_counted(house: House) -> None:
    house.open(2)
    house.admission.fill("b-1")
    house.end(1, Result.FINAL, code="card_declined")
    assert house.world.journal.reopen("b-1-1", "a", 1, **BY, batch="b-1") == 2
    assert (house.batch.ends, house.batch.codes, house.batch.busy) == ({}, {}, 2)
    assert house.batches.records(house.batch, [1]) == [None]
    house.end(1)
    house.end(2)
    assert (house.batch.ends, house.batch.busy) == ({"succeeded": 2}, 0)


def test_a_run_in_doubt_gives_its_place_to_another_row(house: House) -> None:
    house.open(3, window=1)
    house.admission.fill("b-1")
    lease = house.lease(1)
    lease.begin()
    lease.commit(Result.UNKNOWN, code="timeout")
    house.driver.carry_on("b-1-1")
    assert house.state(1).status is Status.UNKNOWN
    assert (house.batch.busy, house.batch.parked) == (0, 1)
    assert house.batches.parked("b-1") == [1]
    house.admission.tend()
    assert house.batch.busy == 1


def test_a_run_that_waits_for_long_gives_its_place_to_another_row(house: House) -> None:
    house.open(3, window=2)
    house.admission.fill("b-1")
    for number, delay in ((1, 3_600_000), (2, 2_000)):
        lease = house.lease(number)
        lease.begin()
        lease.commit(Result.TRANSIENT, delay=delay)
        house.driver.carry_on(run_of("b-1", number))
    assert house.batch.busy == 1


def test_a_used_run_key_is_known_or_refused_and_charges_nothing(house: House) -> None:
    rows = [Row(number=n, key=f"invoice-{n}", inputs={"n": n}) for n in (1, 2, 3)]
    scope = {"key_scope": FLOW.name, "window": 9}
    house.open(rows, **scope)
    house.admission.fill("b-1")
    again = [rows[0], Row(number=2, key="invoice-2", inputs={"n": 22}), Row(number=7, key="other")]
    open_batch(house.batches, FLOW, "b-2", again, **scope, print="q")
    assert house.admission.fill("b-2") == 3
    found = house.batches.read("b-2")
    assert found is not None
    assert (found.ends, found.busy) == ({"known": 1, "refused": 1}, 1)
    known, refused, fresh = house.batches.records(found, [1, 2, 7])
    assert known is not None
    assert refused is not None
    assert (known.end, known.run) == ("known", "b-1-1")
    assert (refused.end, refused.code, refused.run) == ("refused", "run-key-conflict", "b-1-2")
    assert fresh is None
    assert house.world.journal.read("b-2-1") is None
    assert house.world.journal.key_of("b-2-7") == "other"


def test_the_same_rows_are_the_same_batch_and_others_are_refused_its_name(house: House) -> None:
    house.open(5)
    house.admission.fill("b-1")
    rows = [Row(number=n) for n in range(1, 6)]
    assert open_batch(house.batches, FLOW, "b-1", rows) is Opened.SAME
    assert open_batch(house.batches, FLOW, "b-1", rows, print="other") is Opened.OTHER
    assert house.batch.admitted == 3
    assert not list(house.world.client.scan_iter("*upload*"))


def test_what_was_uploaded_and_not_opened_in_time_is_forgotten(house: House) -> None:
    house.batches.upload("u", 0, [Row(number=1)])
    assert 0 < house.world.client.pttl(house.world.keys.upload("u", "rows")) <= 3_600_000
    house.batches.discard("u")
    with pytest.raises(UploadGone):
        house.batches.open(new_batch(FLOW, "b-1", [Row(number=1)]))
    assert house.batches.read("b-1") is None


def test_a_stopped_batch_begins_no_call_until_it_goes_on(house: House) -> None:
    house.open(5, window=2)
    house.admission.fill("b-1")
    lease = house.lease(1)
    house.world.journal.stop("batch:b-1", **BY)
    assert lease.begin().verdict is Began.STOPPED
    assert house.state(1).visits["a"].phase is Phase.WAITING
    assert (house.batch.state, house.batch.stopped) == ("paused", "ops")
    assert house.admission.fill("b-1") == 0
    other = house.world.accept(plans.linear("a"), "run-1")
    assert house.world.take(other, "a").begin().verdict is Began.YES
    pace = Pace(batch=10, spacing_us=0, spread_ms=0)
    assert house.world.journal.go_on("batch:b-1", **BY, pace=pace).woken == 1
    assert house.lease(1).begin().verdict is Began.YES


def test_it_stops_by_itself_when_too_many_fail_and_goes_on_when_told(house: House) -> None:
    house.open(100, window=100, ratio=0.5)
    house.admission.fill("b-1")
    for number in range(1, 10):
        house.end(number)
    for number in range(10, 19):
        house.end(number, Result.FINAL, code="card_declined")
    assert house.batch.stopped == ""
    for number in (19, 20):
        house.end(number, Result.FINAL, code="card_declined")
    assert (house.batch.stopped, house.batch.stopped_code) == ("durazzo", "failure-ratio")
    assert [e.kind for e in house.world.journal.house()] == ["stopped"]
    house.batches.set_base("b-1")
    house.world.journal.go_on("batch:b-1", **BY, pace=Pace(batch=9, spacing_us=0, spread_ms=0))
    house.end(21, Result.FINAL, code="card_declined")
    assert house.batch.stopped == ""


def test_a_cancelled_batch_gives_up_what_is_no_run_yet(house: House) -> None:
    house.open(5, window=2)
    house.admission.fill("b-1")
    assert house.batches.cancel("b-1", **BY) == 3
    assert house.batches.cancel("b-1", **BY) == 0
    assert house.batches.cancel("other", **BY) == -1
    assert house.admission.fill("b-1") == 0
    assert (house.batch.state, house.batch.waiting) == ("cancelled", 0)
    house.end(1)
    house.end(2)
    assert house.batch.ends == {"given-up": 3, "succeeded": 2}
    assert house.batch.ended == house.batch.total


def test_two_that_fill_at_once_admit_each_row_once(house: House) -> None:
    house.open(4, window=2)
    seen = house.batch
    house.admission.fill("b-1")
    graph = Plans(house.world.journal).graph(seen.digest)
    late = Admission(_Stale(house.batches, seen), Plans(house.world.journal), house.sent)
    assert graph.plan.starts
    assert late.fill("b-1") == 0
    assert house.batch.busy == 2


class _Stale(RedisBatches):
    """Reads the batch as it was."""

    def __init__(self, inner: RedisBatches, seen: Batch) -> None:
        self.__dict__.update(inner.__dict__)
        self._seen = seen

    def read(self, batch: str) -> Batch | None:
        assert batch == self._seen.id
        return self._seen


def test_nothing_of_a_row_stands_in_clear(house: House) -> None:
    rows = [Row(number=1, key="mia@example.org", inputs={"phone": "+15551234567"})]
    house.open(rows, key_scope="w")
    house.admission.fill("b-1")
    house.end(1, Result.FINAL, code="card_declined")
    everything = b"\n".join(house.world.everything())
    assert b"mia@example.org" not in everything
    assert b"5551234567" not in everything


def test_a_waiting_row_takes_at_most_two_hundred_bytes(house: House) -> None:
    if not house.world.real:
        pytest.skip("fakeredis has no memory to measure")
    rows = [
        Row(number=n, key=f"inv-2026-11-{n:06}", inputs={
            "customer": f"cus_{n * 7919:014x}", "amount": 1_000 + n, "currency": "usd",
            "phone": f"+1555{n * 6151 % 10**7:07}", "name": f"Customer Number {n}",
        })
        for n in range(1, 10_001)
    ]  # fmt: skip
    house.open(rows, key_scope="w")
    keys = house.world.keys
    used = sum(
        house.world.client.memory_usage(keys.batch("b-1", part), samples=0)
        for part in ("rows", "index")
    )
    assert used / len(rows) <= 200


def test_a_batch_that_cannot_be_opened_stops_no_other(house: House) -> None:
    house.open(2)
    rows = [Row(number=1)]
    other = RedisBatches(house.world.client, AesSeal([b"x" * 32]), key_life_ms=KEY_LIFE)
    other._names = house.batches._names
    open_batch(other, FLOW, "a-0", rows)
    with pytest.raises(SealBroken):
        house.admission.tend()
    assert house.batch.busy == 2


def durably(house: House, number: int) -> Begun:
    """As a text begins, which has no key."""
    return house.lease(number).begin(durable=True)


def rewound(house: House) -> int:
    """Some text was begun, and Redis knows nothing of it. When that was found out."""
    journal = house.world.journal
    assert durably(house, 1).verdict is Began.YES
    house.world.client.hset(house.world.keys.server, "begun", 0)
    assert journal.heartbeat("w1", ttl_ms=600_000) == 1
    found = journal.rewound()
    assert found is not None
    return found.at


def test_rows_that_come_again_after_redis_lost_them_are_looked_up_first(house: House) -> None:
    """Under the same id, and accepted after the loss: their texts may be out all the same."""
    house.open(4, window=2)
    house.admission.fill("b-1")
    at = rewound(house)
    house.world.advance(60_000)
    for number in (1, 2):
        house.world.client.srem(house.world.keys.batch("b-1", "open"), number)
    house.admission.fill("b-1")
    assert house.state(3).accepted > at
    for number in (2, 3):
        assert durably(house, number).verdict is Began.REWOUND
        visit = house.state(number).visits["a"]
        assert (visit.phase, visit.first) == (Phase.UNKNOWN, at - 600_000)


def test_rows_far_behind_a_loss_and_batches_of_since_go_on(house: House) -> None:
    house.open(2, window=9)
    house.admission.fill("b-1")
    rewound(house)
    house.world.advance(10)
    open_batch(house.batches, FLOW, "b-2", [Row(number=1)], print="q")
    house.admission.fill("b-2")
    graph = Plans(house.world.journal).graph(house.batch.digest)
    lease = take(house.world.journal, graph, Ref("b-2-1", "a", 1), "w1")
    house.world.advance(10_000)
    assert lease.begin(durable=True).verdict is Began.YES
    head = house.world.keys.batch("b-1")
    found = house.world.client.hmget(head, ["lost", "lost:to"])
    assert found == [None, None], "it admitted nothing since"

"""Forgetting: nothing that a customer gave is left anywhere, and what it came to stays."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.driver import Plans
from orchestrator.engine.state import Result, Status
from orchestrator.errors import ForgetRefused, SealBroken, UnknownRun
from orchestrator.expressions.nodes import Json
from orchestrator.journal.archive import LIFE
from orchestrator.journal.batches import ERASED, Batch, Row
from orchestrator.journal.compact import unpack, values_of
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.model import Plan
from orchestrator.service import Core, find
from orchestrator.service import forget as forgetting
from orchestrator.service.batch import report
from orchestrator.service.submit import submit
from orchestrator.wiring import load_profiles
from tests.contract.conftest import KEY, World
from tests.contract.test_archive import House as Runs
from tests.contract.test_journal_batches import House as Batches
from tests.fakes import plans
from tests.fakes.batching import new_batch, open_batch
from tests.fakes.clock import ManualClock, SeededEntropy

FLOW = plans.linear("a")
SEAL = AesSeal([KEY])
#: Parts of everything that a customer gave, or got.
CANARY = "canary"
WHO = {"by": "dpo", "reason": "request 17"}


class House:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rows = Batches(world)
        self.archive = RedisArchive(world.client, SEAL)
        self.core = Core(
            journal=world.journal,
            plans=Plans(world.journal),
            driver=self.rows.driver,
            batches=self.rows.batches,
            admission=self.rows.admission,
            archive=self.archive,
            profiles=load_profiles(),
            clock=ManualClock(),
            entropy=SeededEntropy(),
        )

    def batch(self, *numbers: int, window: int = 10, name: str = "b-1") -> Batch:
        found = [
            Row(number=n, key=f"{CANARY}-key-{n}", inputs={"phone": f"{CANARY}-phone-{n}"})
            for n in numbers
        ]
        open_batch(
            self.rows.batches, FLOW, name, found, window=window, key_scope=FLOW.name,
        )  # fmt: skip
        self.rows.admission.fill(name)
        return self.read(name)

    def read(self, name: str) -> Batch:
        found = self.rows.batches.read(name)
        assert found is not None
        return found

    def forget_run(self, run: str) -> forgetting.Forgotten:
        return forgetting.forget(self.core, forgetting.of_run(self.core, run), **WHO)

    def forget_key(self, key: str, scope: str = FLOW.name) -> forgetting.Forgotten:
        return forgetting.forget(self.core, forgetting.of_key(self.core, scope, key), **WHO)

    def put_away(self) -> None:
        self.world.advance(60_000)
        assert self.archive.tidy(100).left == ()

    def canaries(self) -> set[str]:
        """All that can be read with the key, and that a customer gave."""
        found = " ".join(text.decode("utf-8", "replace") for text in self._readable())
        words = found.replace('"', " ").replace(",", " ").replace("}", " ").split()
        return {word for word in words if CANARY in word}

    def _readable(self) -> Iterator[bytes]:
        for key in self.world.client.scan_iter():
            for field, value in self._values(key):
                yield from (field, value)
                yield from self._opened(key.decode(), field.decode("utf-8", "replace"), value)

    def _values(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        client = self.world.client
        match client.type(key):
            case b"hash":
                yield from client.hgetall(key).items()
            case b"list":
                yield from ((b"", line) for line in client.lrange(key, 0, -1))
            case b"zset" | b"set":
                everything = client.zrange(key, 0, -1) if client.type(key) == b"zset" else ()
                yield from ((b"", member) for member in everything)
            case _:
                yield b"", client.get(key)

    def _opened(self, key: str, field: str, value: bytes) -> Iterator[bytes]:
        """Whatever opens anywhere."""
        _, _, rest = key.partition(":")
        kind, _, name = rest.partition(":")
        run = name.partition(":")[0]
        if kind == "done":
            for line in unpack(value)[1]:
                yield from (line, *_reasons(line, f"{run}:why"))
            yield from values_of(SEAL, run, value).values()
        places = [f"{run}:{field}", f"{run}:print"]
        if kind == "batch" and (batch := self.rows.batches.read(run)):
            part = name.partition(":")[2]
            places += [f"{batch.place}:{part}:{field}", f"{run}:out:{field}"]
            value = value.partition(b"\n")[2] if part == "out" else value
        for place in places:
            yield from _tried(value, place)
        yield from _reasons(value, f"{run}:why")


def _tried(value: bytes, place: str) -> Iterator[bytes]:
    try:
        opened = SEAL.open(value, place)
    except SealBroken:
        return
    yield opened
    try:
        yield zlib.decompress(opened)
    except zlib.error:
        return


def _reasons(line: bytes, place: str) -> Iterator[bytes]:
    try:
        sealed = base64.b64decode(json.loads(line)["sealed"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return
    yield from _tried(sealed, place)


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def ended_run(house: House, *, put_away: bool = False) -> None:
    """Failed, with a text sent; a person paused it, and said why."""
    flow: Plan = plans.charge_and_text()
    runs = Runs(house.world)
    inputs: dict[str, Json] = {"order": f"{CANARY}-order", "amount": 1}
    key = (flow.name, f"{CANARY}-key")
    house.world.journal.accept(plans.new_run(flow, "run-1", inputs={**inputs}, key=key))
    house.world.journal.control("run-1", "pause", by="eve", reason=f"{CANARY}-reason")
    house.world.journal.control("run-1", "resume", by="eve", reason="")
    outputs: dict[str, Any] = {"id": f"{CANARY}-output"}
    runs.call("run-1", "charge", outputs=outputs, done="charged pi_1 4200 usd")
    lease = runs.lease("run-1", "text")
    lease.commit(Result.FINAL, code="refused")
    runs.driver.carry_on("run-1")
    if put_away:
        house.put_away()


@pytest.mark.parametrize("put_away", [False, True])
def test_nothing_that_a_customer_gave_is_left(house: House, *, put_away: bool) -> None:
    ended_run(house, put_away=put_away)
    assert house.canaries() == {f"{CANARY}-{what}" for what in ("order", "key", "reason", "output")}
    done = house.forget_key(f"{CANARY}-key", "charge-and-text")
    assert house.canaries() == set()
    assert done.erased is not None
    assert (done.erased.values, done.erased.reasons) == (("inputs", "key", "o:charge"), 1)
    assert [effect.told for effect in done.stands] == ["charged 42.00 USD pi_1"]
    house.put_away()
    assert house.canaries() == set()


def test_that_it_ran_and_what_stands_is_kept(house: House) -> None:
    ended_run(house)
    house.forget_run("run-1")
    state = house.world.journal.read("run-1")
    assert state is not None
    assert (state.status, state.code, state.failed_step) == (Status.FAILED, "refused", "text")
    assert [effect.id for effect in state.effects] == ["pi_1"]
    last = house.world.journal.history("run-1", reasons=True)[-1]
    assert (last.kind, last.fields["k"], last.fields["by"], last.fields["why"]) == (
        "control", "forget", "dpo", "request 17",
    )  # fmt: skip


def test_the_same_order_is_still_not_charged_twice(house: House) -> None:
    ended_run(house)
    house.forget_run("run-1")
    inputs: dict[str, Json] = {"order": f"{CANARY}-order", "amount": 1}
    run = submit(house.core, plans.charge_and_text(), inputs, key=f"{CANARY}-key")
    assert (run.id, run.known) == ("run-1", True)


def test_it_is_reported_without_its_values(house: House) -> None:
    ended_run(house)
    house.forget_run("run-1")
    told = find(house.core, "run-1").report()
    assert (told.state, dict(told.outputs), told.forgotten > 0) == ("failed", {}, True)
    assert told.as_json()["erased_at"] == told.forgotten


def test_forgetting_again_erases_nothing_more_and_is_no_error(house: House) -> None:
    ended_run(house)
    house.forget_run("run-1")
    events = house.world.journal.history("run-1")
    assert house.forget_run("run-1").erased is None
    assert house.forget_key(f"{CANARY}-key", "charge-and-text").erased is None
    assert house.world.journal.history("run-1") == events


def test_a_run_that_goes_on_is_refused_and_says_what_to_do(house: House) -> None:
    graph = house.world.accept(plans.linear("a"), order=CANARY)
    with pytest.raises(ForgetRefused, match="durazzo cancel"):
        house.forget_run("run-1")
    lease = house.world.take(graph, "a")
    lease.begin()
    lease.commit(Result.UNKNOWN, code="answer-lost")
    with pytest.raises(ForgetRefused, match="durazzo resolve"):
        house.forget_run("run-1")
    assert house.world.journal.inputs("run-1") == {"order": CANARY}


def test_a_run_whose_duties_are_undone_is_refused_for_a_moment(house: House) -> None:
    graph = house.world.accept(plans.linear("a"))
    lease = house.world.take(graph, "a")
    lease.begin()
    lease.commit()
    with pytest.raises(ForgetRefused, match="in a moment"):
        house.forget_run("run-1")


@pytest.mark.parametrize("scope", ["test-flow", "another"])
def test_a_key_that_nobody_used_is_said(house: House, scope: str) -> None:
    if scope == "another":
        ended_run(house)
    with pytest.raises(UnknownRun):
        house.forget_key(f"{CANARY}-key", scope)
    with pytest.raises(UnknownRun):
        house.forget_run("nobody-1")


# Rows of batches.


def test_a_row_is_forgotten_in_its_batch_and_its_neighbours_are_not(house: House) -> None:
    house.batch(1, 2, 5)
    house.rows.end(2, done="charged pi_2 700 usd")
    done = house.forget_key(f"{CANARY}-key-2")
    assert done.subject.rows == {"b-1": (2,)}
    assert {word for word in house.canaries() if word.endswith("-2")} == set()
    assert {f"{CANARY}-key-1", f"{CANARY}-phone-5"} <= house.canaries()
    rows = {row.number: row for row in report(house.core, house.read("b-1"))}
    assert (rows[2].key, rows[2].state, rows[2].run) == (ERASED, "succeeded", "b-1-2")
    assert [effect.id for effect in rows[2].effects] == ["pi_2"]
    assert rows[5].key == f"{CANARY}-key-5"


def test_a_row_whose_block_still_waits_is_forgotten_and_the_rest_of_it_runs(house: House) -> None:
    house.batch(1, 2, 3, window=1)
    house.rows.end(1)
    done = house.forget_run("b-1-1")
    assert done.subject.rows == {"b-1": (1,)}
    assert {word for word in house.canaries() if word.endswith("-1")} == set()
    for number in (2, 3):
        phone = {"phone": f"{CANARY}-phone-{number}"}
        assert house.world.journal.inputs(f"b-1-{number}") == phone
        house.rows.end(number)
    assert house.read("b-1").ends == {"succeeded": 3}


def test_a_row_of_another_batch_with_the_same_key_is_forgotten_as_well(house: House) -> None:
    house.batch(1)
    house.rows.end(1)
    house.batch(1, 2, name="b-2")
    assert house.read("b-2").ends == {"known": 1}
    done = house.forget_key(f"{CANARY}-key-1")
    assert done.subject.rows == {"b-1": (1,), "b-2": (1,)}
    assert {word for word in house.canaries() if word.endswith("-1")} == set()


def test_a_key_in_another_scope_is_another_order(house: House) -> None:
    house.batch(1)
    house.rows.end(1)
    rows = [Row(number=1, key=f"{CANARY}-key-1", inputs={})]
    open_batch(house.rows.batches, FLOW, "b-2", rows, key_scope="scope:other")
    assert house.forget_run("b-1-1").subject.rows == {"b-1": (1,)}
    assert f"{CANARY}-key-1" in house.canaries()


def test_a_row_that_is_yet_to_come_is_not_made_a_new_order(house: House) -> None:
    """Without its key it would run anew, and charge again."""
    house.batch(1)
    house.rows.end(1)
    house.batch(7, 1, name="b-2", window=1)
    with pytest.raises(ForgetRefused, match="row 1 of batch b-2"):
        house.forget_key(f"{CANARY}-key-1")
    assert f"{CANARY}-key-1" in house.canaries()


def test_a_run_whose_time_is_over_is_forgotten_in_its_batch(house: House) -> None:
    house.batch(1, 2)
    house.rows.end(1)
    house.put_away()
    house.world.advance(LIFE)
    assert house.archive.tidy(100).removed == 1
    done = house.forget_run("b-1-1")
    assert (done.erased, done.subject.state) == (None, None)
    assert {word for word in house.canaries() if word.endswith("-1")} == set()


def test_whoever_dies_halfway_does_the_rest_when_it_comes_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.batch(1)
    house.rows.end(1)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(house.archive, "forget", dies)
        with pytest.raises(KeyboardInterrupt):
            house.forget_run("b-1-1")
    assert house.world.journal.key_of("b-1-1") == f"{CANARY}-key-1"
    house.forget_run("b-1-1")
    assert house.canaries() == set()


def test_a_block_that_is_forgotten_meanwhile_does_not_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.batch(1, 2, window=1)
    house.rows.end(1)
    client, key = house.world.client, house.world.keys.batch("b-1", "rows")
    assert client.exists(key) == 0 or client.hlen(key) == 1
    scripts = house.rows.batches._scripts
    real = scripts.call

    def meanwhile(name: str, *args: Any, **named: Any) -> Any:
        client.delete(key)
        return real(name, *args, **named)

    monkeypatch.setattr(scripts, "call", meanwhile)
    house.forget_run("b-1-1")
    assert client.exists(key) == 0


def test_the_same_rows_again_are_the_same_batch(house: House) -> None:
    batch = house.batch(1)
    house.rows.end(1)
    house.forget_run("b-1-1")
    row = Row(number=1, key=f"{CANARY}-key-1", inputs={"phone": f"{CANARY}-phone-1"})
    house.rows.batches.upload("again", 0, [row])
    new = new_batch(FLOW, "b-1", [row], "again", key_scope=FLOW.name)
    assert house.rows.batches.open(new) == "same"
    assert house.read("b-1").total == batch.total
    assert house.canaries() == set()

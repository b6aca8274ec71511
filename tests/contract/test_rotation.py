"""Sealing keys change: nothing is left under the old one, nothing is lost, and nobody waits."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.driver import Plans
from orchestrator.engine.state import Result
from orchestrator.errors import SealBroken
from orchestrator.journal import sealed
from orchestrator.journal.batches import Row
from orchestrator.journal.compact import unpack
from orchestrator.journal.port import Pace, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.rotation import Census, Progress, Rotated, Rotation, census, pepper_id
from orchestrator.journal.run_keys import RunKeys
from orchestrator.journal.seal import AesSeal, NoSeal
from orchestrator.journal.sealed import Kind, Sealed, Spot
from tests.contract.conftest import KEY, World
from tests.contract.test_archive import House as Runs
from tests.contract.test_journal_batches import House as Batches
from tests.fakes import plans
from tests.fakes.batching import open_batch
from tests.fakes.journal import take

NEW = b"n" * 32
OLD_SEAL, BOTH, NEW_SEAL = AesSeal([KEY]), AesSeal([NEW, KEY]), AesSeal([NEW])
(OLD_ID,), (NEW_ID,) = OLD_SEAL.ids, NEW_SEAL.ids
FLOW = plans.linear("a")
WHY = "Ms Smith rang"
_DAY = 24 * 3_600_000


def silent(_: Progress) -> None:
    """Nobody looks on."""


class Rich:
    """A journal in which everything has happened that leaves something sealed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs, self.batches = Runs(world), Batches(world)
        self._run_them()
        self._fill_batches()
        self._stop()

    def _run_them(self) -> None:
        runs, journal = self.runs, self.world.journal
        for number in (1, 2, 3):
            runs.succeed(f"away-{number}", ("charge-and-text", f"order-away-{number}"))
        runs.accept("cancelled", None)
        journal.control("cancelled", "pause", by="eve", reason=f"{WHY} 1")
        journal.control("cancelled", "cancel", by="eve", reason=f"{WHY} 2")
        assert runs.driver.carry_on("cancelled")
        assert runs.put_away() == 4
        runs.accept("forgotten", ("charge-and-text", "order-forgotten"))
        runs.call("forgotten", "charge", Result.FINAL, code="refused")
        assert runs.archive.forget("forgotten", by="dpo", reason=f"{WHY} 3")
        runs.succeed("ended", ("charge-and-text", "order-ended"))
        runs.accept("paused", None)
        journal.control("paused", "pause", by="eve", reason=f"{WHY} 4")
        runs.accept("calling", ("charge-and-text", "order-calling"))
        runs.call("calling", "charge", outputs={"id": "pi_1"}, done="charged pi_1 4200 usd")
        runs.lease("calling", "text")

    def _fill_batches(self) -> None:
        batches = self.batches.batches
        rows = [Row(number=n, key=f"row-{n}", inputs={"phone": f"+1555{n}"}) for n in range(1, 6)]
        self.batches.open(rows, window=2, key_scope="test-flow")
        self.batches.admission.fill("b-1")
        self.batches.end(1, done="texted SM1")
        open_batch(batches, FLOW, "b-2", rows[:2], window=2, key_scope="other")
        batches.cancel("b-2", by="eve", reason=f"{WHY} 5")
        open_batch(batches, FLOW, "b-3", rows[:2], window=2, key_scope="another")
        batches.upload("unopened", 0, rows)

    def _stop(self) -> None:
        journal = self.world.raw
        journal.stop("twilio", by="eve", reason=f"{WHY} 6")
        journal.go_on(
            "twilio", by="eve", reason=f"{WHY} 7", pace=Pace(batch=1, spacing_us=1, spread_ms=1)
        )
        journal.stop("stripe", by="eve", reason=f"{WHY} 8")
        journal.stop("batch:b-3", by="eve", reason=f"{WHY} 9")

    # What is asked.

    @property
    def names(self) -> list[str]:
        return self.world.raw.recent(100)

    def told(self, seal: AesSeal) -> dict[str, Any]:
        """All that can be read of it with these keys. Raises SealBroken."""
        client, keys = self.world.client, self.world.keys
        journal = RedisJournal(client, seal, keys)
        batches = RedisBatches(client, seal, keys, key_life_ms=_DAY)
        return {
            "pepper": RunKeys(client, seal, keys).pepper(),
            "stops": journal.stops(reasons=True),
            **{f"run {run}": self._run(journal, run) for run in self.names},
            **{f"key {run}": _accepted(journal, run) for run in ("ended", "calling", "away-1")},
            **{f"batch {name}": _batch(batches, name) for name in batches.all()},
            "upload": _opened_upload(self.world, seal),
            "house": _reasons_of_the_house(self.world, seal),
        }

    def _run(self, journal: RedisJournal, run: str) -> list[object]:
        state = journal.read(run)
        assert state is not None
        frozen = {
            field: journal._seal.open(value, f"{run}:{field.decode()}")
            for field, value in self.world.client.hgetall(self.world.keys.data(run)).items()
        }
        return [
            state, journal.history(run, reasons=True), journal.inputs(run), journal.key_of(run),
            journal.outputs(run, ["charge", "text", "a"]), journal.plan(state.plan), frozen,
        ]  # fmt: skip


def _accepted(journal: RedisJournal, run: str) -> object:
    """A run key finds its run, and knows what it was used for."""
    inputs: dict[str, Any] = {**journal.inputs(run)}
    new = plans.new_run(
        plans.charge_and_text(), "again", inputs=inputs, key=("charge-and-text", f"order-{run}")
    )
    return journal.accept(new)


def _batch(batches: RedisBatches, name: str) -> list[object]:
    batch = batches.read(name)
    assert batch is not None
    return [
        batch, batches.rows(batch, 0), batches.index(batch, 0), batches.records(batch, [1, 2]),
        batches.known(batch, [Row(number=1, key="row-1", inputs={"phone": "+15551"})]),
    ]  # fmt: skip


def _opened_upload(world: World, seal: AesSeal) -> list[bytes]:
    parts = ("rows", "index")
    found = {part: world.client.hget(world.keys.upload("unopened", part), "0") for part in parts}
    return [seal.open(found[part], f"unopened:{part}:0") for part in parts]


def _reasons_of_the_house(world: World, seal: AesSeal) -> list[str]:
    """``journal.house`` knows no batch's."""
    found = []
    for line in world.client.lrange(world.keys.house, 0, -1):
        if b'"sealed":"' not in line:
            continue
        text = base64.b64decode(line.partition(b'"sealed":"')[2].partition(b'"')[0])
        about = ("stops:twilio", "stops:stripe", "stops:batch:b-2", "stops:batch:b-3")
        found += [why for place in about if (why := _tried(seal, text, place))]
    return found


def _tried(seal: AesSeal, text: bytes, place: str) -> str:
    try:
        return seal.open(text, place).decode()
    except SealBroken:
        return ""


def traces(world: World, seal: AesSeal) -> list[bytes]:
    """Texts in all of Redis with the mark of a value that this key sealed, wherever it stands."""
    mark = b"\x01" + bytes.fromhex(seal.ids[0])
    # As a reason has it: 6 digits of base64 say the first 36 bits.
    written = base64.b64encode(mark)[:6]
    return [text for text in _texts(world) if mark in text or written in text]


def _texts(world: World) -> Iterator[bytes]:
    """With those within what was compressed."""
    client = world.client
    for key in client.scan_iter():
        match client.type(key):
            case b"hash":
                yield from (
                    key + b" " + field + b" " + v for field, v in client.hgetall(key).items()
                )
            case b"list":
                yield from (key + b" " + line for line in client.lrange(key, 0, -1))
            case b"string":
                yield key + b" " + client.get(key)
                if b":done:" in key:
                    yield from (key + b" " + line for line in unpack(client.get(key))[1])
            case b"zset":
                yield from client.zrange(key, 0, -1)
            case _:
                yield from client.smembers(key)


def rotated(world: World, seal: AesSeal = BOTH) -> Rotated:
    return Rotation(world.client, seal, world.keys).rotate(silent)


def counted(world: World) -> Census:
    return census(world.client, silent, world.keys)


@pytest.fixture
def rich(world: World) -> Rich:
    return Rich(world)


def test_the_history_has_something_of_every_kind_that_is_sealed(rich: Rich) -> None:
    found = counted(rich.world)
    assert found.ids == (OLD_ID,)
    assert set(found.under(OLD_ID)) == set(Kind)


def test_after_a_rotation_the_old_key_is_needed_for_nothing(rich: Rich) -> None:
    before = rich.told(OLD_SEAL)
    done = rotated(rich.world)
    assert traces(rich.world, OLD_SEAL) == []
    assert rich.told(NEW_SEAL) == before
    assert (done.broken, done.late, done.census.unread) == (0, 0, 0)
    assert done.census.ids == (NEW_ID,)
    assert done.resealed == sum(done.census.values.values())
    assert done.passes == 2


@pytest.mark.parametrize("kind", Kind)
def test_what_a_rotation_forgot_would_be_found(
    rich: Rich, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for row in sealed._ROWS if row.kind is not kind]
    monkeypatch.setattr(sealed, "_ROWS", rows)
    rotated(rich.world)
    assert traces(rich.world, OLD_SEAL)
    monkeypatch.undo()
    with pytest.raises(SealBroken) if kind is not Kind.REASONS else pytest.raises(AssertionError):
        before = rich.told(BOTH)
        assert rich.told(NEW_SEAL) == before


def test_a_second_rotation_finds_nothing_to_do(rich: Rich) -> None:
    rotated(rich.world)
    dump = sorted(rich.world.client.dump(key) for key in rich.world.client.scan_iter())
    again = rotated(rich.world)
    assert (again.resealed, again.passes) == (0, 2), "it looks twice at least"
    assert dump == sorted(rich.world.client.dump(key) for key in rich.world.client.scan_iter())


def test_a_rotation_that_was_cut_short_leaves_all_readable_and_the_next_goes_on(
    rich: Rich,
) -> None:
    before = rich.told(OLD_SEAL)
    pages = []

    def cut(progress: Progress) -> None:
        pages.append(progress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Rotation(rich.world.client, BOTH, rich.world.keys).rotate(cut)
    assert pages
    assert rich.told(BOTH) == before
    assert rotated(rich.world).late == 0
    assert rich.told(NEW_SEAL) == before


# Beside workers: between what is read and what is written, anything may happen.


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Something happens once, after the first page was read and before it is written."""

    def happens(what: Callable[[], object]) -> None:
        pages, todo = Sealed.pages, [what]

        def disturbed(self: Sealed) -> Iterator[list[Spot]]:
            for page in pages(self):
                if todo:
                    todo.pop()()
                yield page

        monkeypatch.setattr(Sealed, "pages", disturbed)

    return happens


Meanwhile = Callable[[Callable[[], object]], None]


def test_what_a_worker_writes_meanwhile_stays_as_it_wrote_it(
    rich: Rich, meanwhile: Meanwhile
) -> None:
    journal = RedisJournal(rich.world.client, BOTH, rich.world.keys)

    def work() -> None:
        state = journal.read("paused")
        assert state is not None
        journal.control("paused", "resume", by="eve", reason=f"{WHY} 10")
        graph = Plans(journal).graph(state.plan)
        lease = take(journal, graph, Ref("paused", "charge", 1), "w2")
        lease.begin(b"frozen meanwhile")
        lease.commit(outputs={"id": "pi_2"})
        rich.runs.archive.forget("ended", by="dpo", reason=f"{WHY} 11")

    meanwhile(work)
    rotated(rich.world)
    assert traces(rich.world, OLD_SEAL) == []
    after = RedisJournal(rich.world.client, NEW_SEAL, rich.world.keys)
    assert after.outputs("paused", ["charge"]) == {"charge": {"id": "pi_2"}}
    # What was erased does not come back.
    assert (after.inputs("ended"), after.key_of("ended")) == ({}, None)
    assert f"{WHY} 11" in str(after.history("ended", reasons=True))


def test_a_run_that_is_put_away_meanwhile_is_met_all_the_same(
    rich: Rich, meanwhile: Meanwhile
) -> None:
    journal = rich.world.journal
    journal.control("paused", "cancel", by="eve", reason=f"{WHY} 12")
    assert rich.runs.driver.carry_on("paused")
    before = rich.told(OLD_SEAL)
    archive = RedisArchive(rich.world.client, BOTH, rich.world.keys)

    def put_away() -> None:
        rich.world.advance(60_000)
        assert archive.tidy(100).put_away >= 3

    meanwhile(put_away)
    rotated(rich.world)
    assert traces(rich.world, OLD_SEAL) == []
    after = rich.told(NEW_SEAL)
    for run in ("paused", "ended", "forgotten"):
        # But for what only a run that is not put away has.
        assert after[f"run {run}"][:5] == before[f"run {run}"][:5]


def test_a_run_that_is_sealed_anew_while_it_is_taken_out_is_taken_out(
    rich: Rich, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rich.told(OLD_SEAL)["run away-1"]
    archive = RedisArchive(rich.world.client, BOTH, rich.world.keys)
    found, rotations = RedisArchive.find, [lambda: rotated(rich.world)]

    def disturbed(self: RedisArchive, run: str) -> bytes | None:
        text = found(self, run)
        if rotations:
            rotations.pop()()
        return text

    with monkeypatch.context() as patched:
        patched.setattr(RedisArchive, "find", disturbed)
        assert archive.take_out("away-1")
    assert rich.runs.forms("away-1") == (3, 0)
    assert rich.told(NEW_SEAL)["run away-1"][:6] == before[:6]


def test_an_upload_that_becomes_a_batch_meanwhile_is_met_all_the_same(
    rich: Rich, meanwhile: Meanwhile
) -> None:
    batches = RedisBatches(rich.world.client, OLD_SEAL, rich.world.keys, key_life_ms=_DAY)
    rows = [Row(number=1, key="x", inputs={"phone": "+1"})]
    meanwhile(lambda: open_batch(batches, FLOW, "b-9", rows, key_scope="s"))
    rotated(rich.world)
    assert traces(rich.world, OLD_SEAL) == []


def test_whoever_goes_on_writing_under_the_old_key_is_told_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accept(FLOW, x=1)
    pages, numbers = Sealed.pages, iter(range(100))

    def busy(self: Sealed) -> Iterator[list[Spot]]:
        world.accept(FLOW, f"late-{next(numbers)}", x=1)
        yield from pages(self)

    monkeypatch.setattr(Sealed, "pages", busy)
    done = rotated(world)
    assert done.passes == 5
    assert done.late > 0


def test_what_a_key_stands_for_does_not_live_longer(rich: Rich) -> None:
    keys = rich.world.keys
    names = [
        RunKeys(rich.world.client, OLD_SEAL, keys).name(("charge-and-text", "order-ended")),
        keys.upload("unopened", "rows"),
    ]
    before = [rich.world.client.pttl(name) for name in names]
    rotated(rich.world)
    after = [rich.world.client.pttl(name) for name in names]
    assert all(0 < now <= then for now, then in zip(after, before, strict=True))


# What cannot be opened stays as it is, and is told.


def test_values_under_a_key_that_is_not_at_hand_stay_and_are_counted(rich: Rich) -> None:
    before = counted(rich.world).under(OLD_ID)
    done = rotated(rich.world, NEW_SEAL)
    assert (done.resealed, done.broken) == (0, 0)
    assert done.census.under(OLD_ID) == before
    assert rich.told(OLD_SEAL)


def test_a_value_that_was_moved_is_told_and_stays_where_it_is(world: World) -> None:
    world.accept(FLOW, x=1)
    value = world.client.hget(world.keys.data("run-1"), "inputs")
    world.client.hset(world.keys.data("run-2"), "inputs", value)
    done = rotated(world)
    assert done.broken == 1
    assert done.census.under(OLD_ID) == {Kind.RUNS: 1}
    assert world.client.hget(world.keys.data("run-2"), "inputs") == value


def test_what_stands_in_clear_stays_in_clear_and_is_told(world: World) -> None:
    world.accept(FLOW, x=1)
    RedisJournal(world.client, NoSeal(), world.keys).accept(plans.new_run(FLOW, "clear"))
    done = rotated(world)
    assert done.census.under("") == {Kind.RUNS: 1}
    assert done.broken == 0


def test_a_finished_run_of_a_newer_release_is_left_alone_and_counted(world: World) -> None:
    text = b"\x09" + bytes(4) + b"of a newer release"
    world.client.set(world.keys.done("newer"), text)
    assert rotated(world).census.unread == 1
    assert world.client.get(world.keys.done("newer")) == text


def test_a_finished_run_that_was_cut_off_is_left_alone_and_counted(world: World) -> None:
    world.client.set(world.keys.done("cut"), b"\x01\x00")
    world.accept(FLOW, x=1)
    done = rotated(world)
    assert done.census.unread == 1
    assert done.census.under(NEW_ID)[Kind.RUNS] == 1
    assert world.client.get(world.keys.done("cut")) == b"\x01\x00"


def test_the_peppers_key_is_known_in_one_round_trip(world: World) -> None:
    assert pepper_id(world.client, world.keys) is None
    RunKeys(world.client, OLD_SEAL, world.keys).pepper()
    assert pepper_id(world.client, world.keys) == OLD_ID
    rotated(world)
    assert pepper_id(world.client, world.keys) == NEW_ID


def test_what_is_longer_than_one_answer_is_read_to_its_end(world: World) -> None:
    client, keys = world.client, world.keys
    rows = {str(n): OLD_SEAL.seal(b"x" * 100, f"long:rows:{n}") for n in range(700)}
    client.hset(keys.upload("long", "rows"), mapping=rows)
    why = base64.b64encode(OLD_SEAL.seal(b"asked", "long:why")).decode()
    line = f'{{"e":"control","t":1,"k":"pause","by":"ops","sealed":"{why}"}}'
    client.rpush(keys.log("long"), *[line, '{"e":"settled","t":1}'] * 1_200)
    for number in range(600):
        client.hset(
            keys.data(f"many-{number}"), "inputs", OLD_SEAL.seal(b"{}", f"many-{number}:inputs")
        )
    done = rotated(world)
    assert done.census.under(NEW_ID) == {Kind.UPLOADS: 700, Kind.REASONS: 1_200, Kind.RUNS: 600}
    assert traces(world, OLD_SEAL) == []

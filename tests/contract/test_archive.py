"""Finished runs are put away: less room, the same answers; and they are gone when their time is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.driver import Driver, Plans
from orchestrator.engine.events import Event, fold
from orchestrator.engine.state import VERSION, Result, State, Status
from orchestrator.errors import RetryRefused, RunRemoved
from orchestrator.expressions.nodes import Json
from orchestrator.journal.archive import LIFE, STANDING
from orchestrator.journal.port import Claimed, Listed, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.redis_archive import WAIT, RedisArchive
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.graph import Graph
from orchestrator.service import cancel, retry
from orchestrator.service.submit import submit
from tests.contract.conftest import KEY, World
from tests.contract.test_journal_page import core_of
from tests.fakes import plans
from tests.fakes.journal import Lease, take

FLOW = plans.charge_and_text()
DAY = 24 * 3_600_000
KEYED = ("charge-and-text", "order-1042")
INPUTS: dict[str, Json] = {"order": "+15558675310", "amount": 4_200}


@dataclass
class House:
    world: World
    life: int | None = LIFE

    def __post_init__(self) -> None:
        seal = AesSeal([KEY])
        self.archive = RedisArchive(self.world.client, seal, life_ms=self.life)
        self.journal = self.world.journal
        known = Plans(self.journal)
        self.driver = Driver(self.journal, known, _Silent())

    def accept(self, run: str = "run-1", key: tuple[str, str] | None = KEYED) -> None:
        assert self.journal.accept(plans.new_run(FLOW, run, inputs={**INPUTS}, key=key)).new

    def call(self, run: str, step: str, result: Result = Result.SUCCEEDED, **other: Any) -> None:
        self.lease(run, step).commit(result, **other)
        self.driver.carry_on(run)

    def lease(self, run: str, step: str) -> Lease:
        self.journal.heartbeat("w1", ttl_ms=600_000)
        state = self.state(run)
        graph: Graph = Plans(self.journal).graph(state.plan)
        lease = take(self.journal, graph, Ref(run, step, state.visits[step].number))
        lease.begin()
        return lease

    def succeed(self, run: str = "run-1", key: tuple[str, str] | None = KEYED) -> None:
        self.accept(run, key)
        self.call(run, "charge", outputs={"id": "pi_1"}, done="charged pi_1 4200 usd")
        self.call(run, "text", outputs={"sid": "SM1"}, done="texted SM1")
        assert self.state(run).end == "succeeded"

    def fail(self, run: str = "run-1", *, charged: bool = False) -> None:
        self.accept(run, None)
        if charged:
            self.call(run, "charge", outputs={"id": "pi_1"}, done="charged pi_1 4200 usd")
        self.call(run, "text" if charged else "charge", Result.FINAL, code="refused")
        assert self.state(run).end == "failed"

    def put_away(self, *, limit: int = 100) -> int:
        self.world.advance(WAIT)
        found = self.archive.tidy(limit)
        assert found.left == ()
        return found.put_away

    def state(self, run: str = "run-1") -> State:
        found = self.journal.read(run)
        assert found is not None
        return found

    def forms(self, run: str = "run-1") -> tuple[int, int]:
        """Keys that it has as a run under way, and as one that is put away."""
        k, client = self.world.keys, self.world.client
        return client.exists(k.run(run), k.log(run), k.data(run)), client.exists(k.done(run))

    def told(self, run: str = "run-1") -> dict[str, Any]:
        """All that can be asked of it."""
        page = self.journal.page(until=self.journal.now(), since=0, limit=100)
        return {
            "state": self.journal.read(run),
            "history": self.journal.history(run, reasons=True),
            "inputs": self.journal.inputs(run),
            "outputs": self.journal.outputs(run, ["charge", "text", "never"]),
            "key": self.journal.key_of(run),
            "listed": [row for row in page if row.run == run],
            "recent": self.journal.recent(10),
        }


class _Silent:
    def send(self, *_: object) -> None: ...

    def announce(self, *_: object) -> None: ...


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def _cancelled(house: House) -> None:
    house.accept()
    house.journal.control("run-1", "pause", by="eve", reason="asks Mr Smith first")
    house.journal.control("run-1", "resume", by="eve", reason="")
    house.journal.control("run-1", "cancel", by="ops", reason="ordered twice")
    assert house.driver.carry_on("run-1")


ENDS: dict[str, Callable[[House], None]] = {
    "succeeded": House.succeed,
    "failed": House.fail,
    "failed-but-charged": lambda house: house.fail(charged=True),
    "cancelled": _cancelled,
}


# Putting away.


@pytest.mark.parametrize("end", ENDS)
def test_a_run_reads_the_same_before_and_after(house: House, end: str) -> None:
    ENDS[end](house)
    before = house.told()
    assert house.put_away() == 1
    assert house.forms() == (0, 1)
    assert house.told() == before
    assert fold(house.journal.history("run-1")) == house.state()


def test_nothing_of_it_can_be_read_without_the_key(house: House) -> None:
    house.succeed()
    house.put_away()
    stored = b"\n".join(house.world.everything())
    for value in ("+15558675310", "order-1042"):
        assert value.encode() not in stored


def test_a_run_is_left_alone_for_a_minute_after_its_end(house: House) -> None:
    house.succeed()
    house.world.advance(WAIT - 5_000)
    assert house.archive.tidy(100).put_away == 0
    assert house.forms() == (3, 0)


def test_what_goes_on_is_never_put_away(house: House) -> None:
    house.accept()
    house.call("run-1", "charge")
    house.world.advance(400 * DAY)
    house.world.client.zadd(house.world.keys.ended, {"run-1": 1, "nobody": 1})
    assert house.archive.tidy(100).put_away == 0
    assert house.forms() == (3, 0)
    assert house.world.client.zcard(house.world.keys.ended) == 0, "nobody asks about it again"


def test_so_many_are_put_away_at_once_and_no_more(house: House) -> None:
    for number in range(5):
        house.succeed(f"run-{number}", None)
    assert house.put_away(limit=2) == 2
    assert house.archive.tidy(2).put_away == 2
    assert house.archive.tidy(2).put_away == 1
    assert house.archive.tidy(2).put_away == 0


def test_both_forms_stand_on_one_page_in_their_order(house: House) -> None:
    house.succeed("run-1", None)
    house.world.advance(WAIT)
    house.succeed("run-2", None)
    house.world.advance(10)
    house.accept("run-3", None)
    before = [*house.journal.page(until=house.journal.now(), since=0, limit=10)]
    assert house.archive.tidy(100).put_away == 1
    after: list[Listed] = []
    for _ in range(3):
        last = after[-1] if after else None
        until = last.accepted if last else house.journal.now()
        after += house.journal.page(until=until, since=0, limit=1, after=last.run if last else "")
    assert after == before
    assert [row.run for row in after] == ["run-3", "run-2", "run-1"]


def test_a_worker_that_dies_between_reading_and_writing_leaves_it_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.succeed()
    before = house.told()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(house.archive, "_call", dies)
        with pytest.raises(KeyboardInterrupt):
            house.put_away()
    assert (house.forms(), house.told()) == ((3, 0), before)
    assert house.archive.tidy(100).put_away == 1
    assert house.told() == before


def test_two_who_put_away_at_once_do_it_once(house: House) -> None:
    house.succeed()
    house.world.advance(WAIT)
    other = RedisArchive(house.world.client, AesSeal([KEY]))
    found = _between(house.archive, lambda: other.tidy(100))
    assert (found.put_away, house.forms()) == (0, (0, 1))


def _between(archive: RedisArchive, act: Callable[[], object]) -> Any:
    """A look of ``archive``, with something that happens after it has read and before it writes."""
    real = archive._read

    def read(runs: Any) -> Any:
        found = real(runs)
        act()
        return found

    archive._read = read  # type: ignore[method-assign]
    try:
        return archive.tidy(100)
    finally:
        archive._read = real  # type: ignore[method-assign]


def test_a_run_that_is_retried_meanwhile_is_not_put_away(house: House) -> None:
    house.fail()
    house.world.advance(WAIT)
    found = _between(
        house.archive,
        lambda: house.journal.reopen("run-1", "charge", 1, by="ops", reason="the card works"),
    )
    assert (found.put_away, house.forms()[1]) == (0, 0)
    house.world.advance(2 * WAIT)
    assert house.archive.tidy(100).put_away == 0
    assert house.state().status is Status.RUNNING
    house.call("run-1", "charge", done="charged pi_2")
    house.call("run-1", "text")
    assert house.put_away() == 1


def test_what_cannot_be_read_is_left_as_it_is(house: House) -> None:
    house.succeed()
    house.world.advance(WAIT)
    stranger = RedisArchive(house.world.client, AesSeal([b"x" * 32]))
    found = stranger.tidy(100)
    assert (found.put_away, found.left) == (0, (("run-1", "seal-broken"),))
    assert stranger.tidy(100).left == (), "it is not tried at every tick"
    assert house.forms() == (3, 0)
    house.world.advance(DAY)
    assert house.archive.tidy(100).put_away == 1


def test_a_run_of_a_newer_release_is_left_to_it(house: House) -> None:
    house.succeed()
    house.world.client.hset(house.world.keys.run("run-1"), "v", str(VERSION + 1))
    house.world.advance(WAIT)
    assert house.archive.tidy(100).left == (("run-1", "newer-release"),)
    assert house.forms() == (3, 0)


def test_a_field_that_a_newer_release_added_is_kept(house: House) -> None:
    house.fail()
    house.world.client.hset(house.world.keys.run("run-1"), "colour", "blue")
    house.put_away()
    house.journal.reopen("run-1", "charge", 1, by="ops", reason="")
    assert house.world.client.hget(house.world.keys.run("run-1"), "colour") == b"blue"


# What is done to a run that is put away.


def test_a_late_message_about_it_does_nothing(house: House) -> None:
    house.succeed()
    late = house.world.raw
    house.put_away()
    before = house.told()
    for step in ("charge", "text"):
        verdict = late.claim(Ref("run-1", step, 1), "w2").verdict
        assert verdict in {Claimed.FINISHED, Claimed.ABSENT}
    assert house.journal.control("run-1", "pause", by="ops", reason="") is None
    assert not late.settle("run-1")
    assert house.driver.send_entered("run-1", "charge", 1) == 0
    assert house.told() == before
    assert house.forms() == (0, 1)


def test_it_is_retried_as_if_it_had_never_been_put_away(house: House) -> None:
    house.fail()
    events = house.journal.history("run-1")
    house.put_away()
    assert house.journal.reopen("run-1", "charge", 1, by="ops", reason="it works now") == 2
    assert house.forms() == (3, 0)
    *before, retried = house.journal.history("run-1", reasons=True)
    assert before == events
    assert retried.fields["why"] == "it works now"
    assert house.world.client.zscore(house.world.keys.kept, "run-1") is None
    house.call("run-1", "charge", outputs={"id": "pi_2"}, done="charged pi_2")
    house.call("run-1", "text", outputs={"sid": "SM2"})
    assert house.journal.inputs("run-1") == INPUTS
    assert house.put_away() == 1


def test_a_run_that_was_taken_out_and_not_reopened_is_put_away_again(house: House) -> None:
    house.fail()
    house.put_away()
    before = house.told()
    assert house.archive.take_out("run-1")
    assert (house.forms(), house.told()) == ((3, 0), before)
    assert house.journal.reopen("run-1", "charge", 7, by="ops", reason="") is None
    assert house.put_away() == 1
    assert house.told() == before


def test_a_run_that_succeeded_is_not_reopened_by_taking_it_out(house: House) -> None:
    house.succeed()
    house.put_away()
    assert house.journal.reopen("run-1", "charge", 1, by="ops", reason="") is None
    assert house.state().end == "succeeded"


def test_its_run_key_gives_it_and_nothing_runs_twice(house: House) -> None:
    house.succeed()
    house.put_away()
    again = house.journal.accept(plans.new_run(FLOW, "run-2", inputs={**INPUTS}, key=KEYED))
    assert (again.run, again.new, again.differs, again.gone) == ("run-1", False, (), False)


def test_a_submission_that_is_sent_again_much_later_finds_it(house: House) -> None:
    """A client that had no answer: the same id, not another run."""
    house.accept(key=None)
    at = house.state().accepted
    house.call("run-1", "charge")
    house.call("run-1", "text")
    house.put_away()
    again = house.world.raw.accept(plans.new_run(FLOW, "run-1", inputs={**INPUTS}))
    assert (again.new, again.at) == (True, at)
    assert house.forms() == (0, 1)


def test_whoever_asks_for_many_finds_it(house: House) -> None:
    core = core_of(house.world)
    house.fail()
    house.put_away()
    assert cancel(core, "run-1", by="ops").end == "failed"
    assert retry(core, "run-1", by="ops").status is Status.RUNNING


# Its time.


def test_after_its_time_nothing_is_left_but_its_run_key(house: House) -> None:
    house.succeed()
    house.put_away()
    house.world.advance(LIFE - DAY)
    assert house.archive.tidy(100).removed == 0
    house.world.advance(DAY)
    assert house.archive.tidy(100).removed == 1
    assert house.journal.read("run-1") is None
    assert house.journal.recent(10) == []
    left = {key.decode() for key in house.world.client.scan_iter()}
    parts = {key.partition(":")[2].partition(":")[0] for key in left}
    assert parts <= {"plan", "key", "pepper", "clock", "workers", "lane", "server", "counts"}, parts
    with pytest.raises(RunRemoved):
        _submit(house)


def _submit(house: House) -> None:
    submit(core_of(house.world), FLOW, INPUTS, key="order-1042")


def test_what_charged_and_came_to_no_good_end_is_kept_three_times_as_long(house: House) -> None:
    house.fail(charged=True)
    house.fail("run-2")
    assert house.put_away() == 2
    house.world.advance(LIFE)
    assert house.archive.tidy(100).removed == 1
    assert house.state().effects
    house.world.advance((STANDING - 1) * LIFE)
    assert house.archive.tidy(100).removed == 1
    assert house.journal.recent(10) == []


def test_what_is_in_doubt_is_never_removed(house: House) -> None:
    house.accept()
    house.call("run-1", "charge", Result.UNKNOWN, code="answer-lost")
    house.world.advance(10 * LIFE)
    assert house.archive.tidy(100).removed == 0
    assert house.state().status is Status.UNKNOWN


def test_a_time_that_is_set_anew_holds_for_what_is_there_already(house: House) -> None:
    house.succeed()
    house.put_away()
    house.world.advance(2 * LIFE)
    assert House(house.world, None).archive.tidy(100).removed == 0
    assert House(house.world, 3 * LIFE).archive.tidy(100).removed == 0
    assert House(house.world, DAY).archive.tidy(100).removed == 1


def test_a_run_that_was_retried_has_all_its_time_again(house: House) -> None:
    house.fail()
    house.put_away()
    house.world.advance(LIFE - DAY)
    house.journal.reopen("run-1", "charge", 1, by="ops", reason="")
    house.call("run-1", "charge", Result.FINAL, code="refused")
    house.put_away()
    house.world.advance(LIFE - DAY)
    assert house.archive.tidy(100).removed == 0
    house.world.advance(DAY)
    assert house.archive.tidy(100).removed == 1


def test_so_many_are_removed_at_once_and_no_more(house: House) -> None:
    for number in range(3):
        house.succeed(f"run-{number}", None)
    house.put_away()
    house.world.advance(LIFE)
    assert [house.archive.tidy(2).removed for _ in range(3)] == [2, 1, 0]


# Erased values.


def test_a_forgotten_run_keeps_what_it_came_to(house: House) -> None:
    house.succeed()
    house.put_away()
    before = house.state()
    erased = house.archive.forget("run-1", by="ops", reason="request 17")
    assert erased is not None
    assert erased.values == ("inputs", "key", "o:charge", "o:text")
    for _ in range(2):
        after = house.state()
        assert after.forgotten > 0
        assert (after.end, after.visits) == (before.end, before.visits)
        assert fold(house.journal.history("run-1")) == after
        told = house.told()
        assert (told["inputs"], told["outputs"], told["key"]) == ({}, {}, None)
        house.put_away()
    assert house.forms() == (0, 1)


def test_why_people_did_something_is_erased_and_that_they_did_it_is_not(house: House) -> None:
    _cancelled(house)
    erased = house.archive.forget("run-1", by="dpo", reason="request 17")
    assert erased is not None
    assert erased.reasons == 2
    controls = [e for e in house.journal.history("run-1", reasons=True) if e.kind == "control"]
    told = [(e.fields["k"], e.fields["by"], e.fields.get("why")) for e in controls]
    assert told == [
        ("pause", "eve", None), ("resume", "eve", None), ("cancel", "ops", None),
        ("forget", "dpo", "request 17"),
    ]  # fmt: skip


def test_a_reason_that_an_earlier_release_wrote_in_clear_is_erased(house: House) -> None:
    _cancelled(house)
    event = Event(kind="control", at=1, fields={"k": "pause", "by": "eve", "why": "Mr Smith"})
    house.world.client.linsert(
        house.world.keys.log("run-1"), "BEFORE", *_last(house), event.encode()
    )  # fmt: skip
    house.archive.forget("run-1", by="dpo", reason="")
    assert b"Smith" not in b"".join(house.world.everything())


def _last(house: House) -> list[bytes]:
    last: list[bytes] = house.world.client.lrange(house.world.keys.log("run-1"), -1, -1)
    return last


def test_a_run_that_goes_on_forgets_nothing(house: House) -> None:
    house.accept()
    assert house.archive.forget("run-1", by="dpo", reason="") is None
    assert house.archive.forget("nobody", by="dpo", reason="") is None
    assert house.journal.inputs("run-1") == INPUTS


def test_a_forgotten_run_is_not_retried(house: House) -> None:
    house.fail()
    house.archive.forget("run-1", by="dpo", reason="")
    assert house.journal.reopen("run-1", "charge", 1, by="ops", reason="") is None
    with pytest.raises(RetryRefused, match="erased"):
        retry(core_of(house.world), "run-1", by="ops")


def test_a_run_that_is_retried_meanwhile_forgets_nothing(house: House) -> None:
    house.fail()
    real = house.archive._read

    def read(runs: Any) -> Any:
        found = real(runs)
        house.journal.reopen("run-1", "charge", 1, by="ops", reason="")
        return found

    house.archive._read = read  # type: ignore[method-assign]
    assert house.archive.forget("run-1", by="dpo", reason="") is None
    assert house.journal.inputs("run-1") == INPUTS


# Room and work.


def test_a_finished_run_of_two_steps_keeps_less_than_2000_bytes(house: House) -> None:
    if not house.world.real:
        pytest.skip("fakeredis has no memory to measure")
    client, k = house.world.client, house.world.keys
    names = [f"01m7ze6hm1dwerb9rpgz3{number:05}" for number in range(200)]
    for run in names:
        house.succeed(run, ("charge-and-text", run))
    before = client.memory_usage(k.run(names[0])) + client.memory_usage(k.log(names[0]))
    house.world.advance(WAIT)
    while house.archive.tidy(100).put_away:
        pass
    done = client.memory_usage(k.done(names[0]), samples=0)
    lines = sum(client.memory_usage(key, samples=0) for key in (k.runs, k.kept)) / len(names)
    assert done < before
    assert done + lines < 2_000, (done, lines)


def test_a_tick_beside_thousands_that_are_kept_is_as_many_commands_as_beside_ten(
    house: House,
) -> None:
    if not house.world.real:
        pytest.skip("fakeredis counts no commands")
    assert _cost(house, 5_000) == _cost(house, 10)


def _cost(house: House, number: int) -> int:
    client, k = house.world.client, house.world.keys
    now = house.journal.now()
    client.zadd(k.kept, {f"k-{n}": now for n in range(number)})
    client.zadd(k.ended, {f"e-{n}": now + WAIT for n in range(number)})
    house.archive.tidy(100)

    def calls() -> int:
        rows = client.info("commandstats")
        return sum(row["calls"] for name, row in rows.items() if name != "cmdstat_info")

    before = calls()
    house.archive.tidy(100)
    return calls() - before


def test_reading_a_run_under_way_costs_one_round_trip(house: House) -> None:
    house.accept()
    asked: list[str] = []
    journal = RedisJournal(house.world.client, AesSeal([KEY]))
    journal._archive.find = asked.append  # type: ignore[assignment,method-assign]
    assert journal.read("run-1")
    assert journal.inputs("run-1")
    assert asked == []

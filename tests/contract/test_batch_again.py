"""Failed rows and rows in doubt that go on again: each once, within the batch's window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from orchestrator.driver import Plans
from orchestrator.engine.state import Phase, Result, Status
from orchestrator.errors import JournalUnavailable, NoWorker
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.seal import AesSeal
from orchestrator.service import Core, resolve, retry
from orchestrator.service.batch import resolve_all, retry_failed
from orchestrator.wiring import load_profiles
from tests.contract.conftest import KEY, World
from tests.contract.test_journal_batches import House
from tests.fakes.clock import ManualClock, SeededEntropy

ROWS = 5
WINDOW = 2


class Desk(House):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.core = Core(
            journal=world.journal,
            plans=Plans(world.journal),
            driver=self.driver,
            batches=self.batches,
            admission=self.admission,
            archive=RedisArchive(world.client, AesSeal([KEY]), world.keys),
            profiles=load_profiles(),
            clock=ManualClock(),
            entropy=SeededEntropy(1),
        )

    def ended(self, result: Result, rows: int = ROWS) -> None:
        """A batch of which every row came to that."""
        self.open(rows, window=WINDOW)
        self.admission.fill("b-1")
        for number in range(1, rows + 1):
            self.end(number, result, code="card_declined")
            self.admission.fill("b-1")

    def ready(self) -> list[int]:
        """Rows that have been entered anew."""
        entered = {Phase.READY, Phase.WAITING}
        rows = range(1, ROWS + 1)
        return [n for n in rows if self.state(n).visits["a"].phase in entered]

    def making_room(self, result: Result) -> Callable[[], None]:
        """What waits for room, while a worker ends one of those that go on again."""

        def wait() -> None:
            assert self.batch.busy == WINDOW
            self.end(self.ready()[0], result, code="card_declined")

        return wait


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def refuse() -> None:
    raise AssertionError("there is room")


def test_a_retry_in_turn_does_nothing_while_the_window_is_full(desk: Desk) -> None:
    desk.open(2, window=1)
    desk.admission.fill("b-1")
    desk.end(1, Result.FINAL, code="card_declined")
    desk.admission.tend()
    before = desk.batch, desk.state(1)
    reopen = partial(desk.world.journal.reopen, "b-1-1", "a", 1, by="ops", reason="", batch="b-1")
    assert reopen(in_turn=True) == 0
    assert (desk.batch, desk.state(1)) == before
    desk.end(2)
    assert reopen(in_turn=True) == 2
    assert (desk.batch.busy, desk.batch.ends) == (1, {"succeeded": 1})


def test_failed_rows_go_on_within_the_window(desk: Desk) -> None:
    desk.ended(Result.FINAL)
    wait = desk.making_room(Result.SUCCEEDED)
    done = []
    for one in retry_failed(desk.core, "b-1", by="ops", wait=wait):
        assert desk.batch.busy <= WINDOW
        done.append((one.run, one.refused))
    assert done == [(f"b-1-{n}", None) for n in range(1, ROWS + 1)]
    assert desk.batch.ends == {"succeeded": ROWS - WINDOW}


def test_a_row_that_fails_again_meanwhile_is_not_retried_by_the_same_order(desk: Desk) -> None:
    desk.ended(Result.FINAL)
    wait = desk.making_room(Result.FINAL)
    assert len(list(retry_failed(desk.core, "b-1", by="ops", wait=wait))) == ROWS
    assert [desk.state(n).visits["a"].number for n in range(1, ROWS + 1)] == [2] * ROWS


@pytest.mark.parametrize("why", [JournalUnavailable("gone"), NoWorker("none"), KeyboardInterrupt()])
def test_what_is_broken_off_is_found_by_the_same_order_again(
    desk: Desk, why: BaseException
) -> None:
    desk.ended(Result.FINAL)

    def broken() -> None:
        raise why

    first = retry_failed(desk.core, "b-1", by="ops", wait=broken)
    assert [next(first).run, next(first).run] == ["b-1-1", "b-1-2"]
    with pytest.raises(type(why)):
        next(first)
    wait = desk.making_room(Result.SUCCEEDED)
    again = [one.run for one in retry_failed(desk.core, "b-1", by="ops", wait=wait)]
    assert again == ["b-1-3", "b-1-4", "b-1-5"]
    assert [desk.state(n).visits["a"].number for n in range(1, ROWS + 1)] == [2] * ROWS


def test_one_that_is_refused_takes_no_place_and_stops_no_other(desk: Desk) -> None:
    desk.open(3, window=3)
    desk.admission.fill("b-1")
    desk.end(1, Result.FINAL, code="criteria-not-met", done="charged pi_1 500 usd")
    desk.end(2, Result.FINAL, code="card_declined")
    done = [one.refused and one.refused.code for one in retry_failed(desk.core, "b-1", by="ops")]
    assert done == ["retry-refused", None]
    assert desk.batch.busy == 2


def test_a_run_that_is_resolved_and_goes_on_has_its_place_again(desk: Desk) -> None:
    desk.ended(Result.UNKNOWN, rows=1)
    assert (desk.batch.busy, desk.batch.parked) == (0, 1)
    resolve(desk.core, "b-1-1", "a", "resend", by="ops", reason="")
    assert (desk.batch.busy, desk.batch.parked) == (1, 0)
    desk.end(1)
    assert (desk.batch.busy, desk.batch.ends) == (0, {"succeeded": 1})


def test_one_that_is_resolved_and_ends_takes_no_place(desk: Desk) -> None:
    desk.ended(Result.UNKNOWN, rows=1)
    resolve(desk.core, "b-1-1", "a", "failed", by="ops", reason="")
    assert (desk.batch.busy, desk.batch.parked, desk.batch.ends) == (0, 0, {"failed": 1})


def test_rows_in_doubt_go_on_within_the_window(desk: Desk) -> None:
    desk.ended(Result.UNKNOWN)
    assert desk.batch.parked == ROWS
    wait = desk.making_room(Result.SUCCEEDED)
    done = []
    for one in resolve_all(desk.core, "b-1", "a", "resend", by="ops", reason="", wait=wait):
        assert desk.batch.busy <= WINDOW
        done.append(one.refused)
    assert done == [None] * ROWS
    assert (desk.batch.parked, desk.batch.ends) == (0, {"succeeded": ROWS - WINDOW})


def test_a_single_retry_is_a_persons_word_and_waits_for_nothing(desk: Desk) -> None:
    desk.ended(Result.FINAL)
    list(retry_failed(desk.core, "b-1", by="ops"))
    assert desk.batch.busy == ROWS
    assert desk.state(1).status is Status.RUNNING


def test_a_retry_is_sent_at_once_and_not_when_it_is_missed(desk: Desk) -> None:
    desk.ended(Result.FINAL, rows=1)
    retry(desk.core, "b-1-1", by="ops")
    assert [str(task) for task in desk.sent.tasks] == ["b-1-1.a.1.1", "b-1-1.a.2.1"]

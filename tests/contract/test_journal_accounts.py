"""A run's accounts: they stand in its events and its hash, and older releases leave it alone."""

from __future__ import annotations

import hashlib
import json

import pytest

from orchestrator.engine.state import VERSION
from orchestrator.journal.batches import Batch, Opened, Row
from orchestrator.journal.port import Claimed, Ref
from orchestrator.journal.run_keys import differs, fingerprint
from tests.contract.conftest import World
from tests.contract.test_journal_batches import FLOW, House, house
from tests.fakes import plans
from tests.fakes.batching import open_batch
from tests.fakes.journal import check_fold

__all__ = ["house"]

ACCOUNTS = "stripe=eu,twilio=main"
KEYED = ("test-flow", "order-1")


def test_a_runs_accounts_are_in_its_state_and_in_its_events(world: World) -> None:
    assert world.journal.accept(plans.new_run(FLOW, accounts=ACCOUNTS)).new
    state = world.journal.read("run-1")
    assert state is not None
    assert state.accounts == ACCOUNTS
    assert world.journal.history("run-1")[0].fields["ac"] == ACCOUNTS
    claim = world.journal.claim(Ref("run-1", "a", 1), "w1")
    assert claim.state is not None
    assert claim.state.accounts == ACCOUNTS


def test_a_run_without_accounts_is_written_as_before(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW))
    assert "ac" not in world.journal.history("run-1")[0].fields
    assert not {b"accounts", b"v"} & set(world.client.hgetall(world.keys.run("run-1")))


def test_a_release_that_knows_no_accounts_leaves_such_a_run_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would call by another account."""
    world.accept(FLOW)
    world.journal.accept(plans.new_run(FLOW, "run-2", accounts=ACCOUNTS))
    world.advance(60_000)
    monkeypatch.setattr("orchestrator.journal.redis.VERSION", 1)
    assert world.raw.claim(Ref("run-2", "a", 1), "old").verdict is Claimed.NEWER
    tick = world.raw.tick("old", lease_ms=1, limit=10)
    assert ([due.run for due in tick.due], tick.newer) == (["run-1"], ("run-2",))
    monkeypatch.undo()
    assert VERSION > 1
    assert world.raw.claim(Ref("run-2", "a", 1), "new").verdict is Claimed.YES


def test_a_key_with_another_account_is_a_conflict_and_starts_nothing(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW, "r1", key=KEYED, accounts="stripe=eu"))
    same = world.journal.accept(plans.new_run(FLOW, "r2", key=KEYED, accounts="stripe=eu"))
    assert (same.run, same.new, same.conflict) == ("r1", False, False)
    for accounts in ("", "stripe=us", ACCOUNTS):
        other = world.journal.accept(plans.new_run(FLOW, "r3", key=KEYED, accounts=accounts))
        assert (other.run, other.new, other.differs) == ("r1", False, ("account",))
    assert world.journal.read("r3") is None


def test_a_key_that_was_used_before_there_were_accounts_still_holds() -> None:
    told = fingerprint("d1", {"a": 1})
    inputs = hashlib.sha256(json.dumps({"a": 1}, separators=(",", ":")).encode()).hexdigest()
    assert told == f"d1\n{inputs}".encode()
    assert differs("d1", {"a": 1}, told) == ()
    assert differs("d1", {"a": 1}, told, accounts="stripe=eu") == ("account",)
    first = hashlib.sha256(b'd1\n{"a":1}').digest()
    assert differs("d1", {"a": 1}, first) == ()
    assert differs("d1", {"a": 1}, first, accounts="stripe=eu") == ("account",)
    assert differs("d2", {"a": 1}, first, accounts="stripe=eu") == ("plan", "inputs", "account")


def opened(house: House, keys: int = 0, **other: object) -> Batch:
    rows = [Row(number=n, key=f"k{n}" if n <= keys else None, inputs={"n": n}) for n in (1, 2, 3)]
    return house.open(rows, **other)


def test_every_run_of_a_batch_has_its_accounts(house: House) -> None:
    batch = opened(house, accounts=ACCOUNTS)
    assert batch.accounts == ACCOUNTS
    house.admission.fill("b-1")
    for number in (1, 2, 3):
        assert house.state(number).accounts == ACCOUNTS
        check_fold(house.world.journal, f"b-1-{number}")
    house.end(1)
    assert house.state(1).end == "succeeded"


def test_a_batch_without_accounts_has_none(house: House) -> None:
    assert opened(house).accounts == ""
    house.admission.fill("b-1")
    assert house.state(1).accounts == ""


def test_a_row_whose_key_ran_in_another_account_is_refused_and_runs_nothing(house: House) -> None:
    scope = {"key_scope": "shop"}
    opened(house, keys=3, **scope, accounts="stripe=eu")
    house.admission.fill("b-1")
    rows = [Row(number=n, key=f"k{n}", inputs={"n": n}) for n in (1, 2, 3)]
    for name, accounts in (("b-same", "stripe=eu"), ("b-us", "stripe=us"), ("b-none", "")):
        made = open_batch(house.batches, FLOW, name, rows, **scope, accounts=accounts)
        assert made is Opened.NEW
        house.admission.fill(name)
    ends = {name: (house.batches.read(name)) for name in ("b-same", "b-us", "b-none")}
    assert {name: dict(b.ends) for name, b in ends.items() if b} == {
        "b-same": {"known": 3}, "b-us": {"refused": 3}, "b-none": {"refused": 3},
    }  # fmt: skip

"""accept: from here on the run stands in the due-set until its end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.engine.recovery import RESEND_AFTER
from orchestrator.engine.state import Phase
from orchestrator.errors import UnknownRun
from orchestrator.journal.port import Claimed, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from tests.contract.conftest import KEY, World
from tests.fakes import plans

FLOW = plans.linear("a", "b")
KEYED = ("test-flow", "order-1")


def test_an_accepted_run_is_there_whole(world: World) -> None:
    new = plans.new_run(FLOW, inputs={"order": "o-1"}, key=KEYED)
    before = world.journal.now()
    accepted = world.journal.accept(new)
    assert (accepted.run, accepted.new, accepted.conflict) == ("run-1", True, False)
    state = world.journal.read("run-1")
    assert state is not None
    assert before <= state.accepted <= world.journal.now()
    assert (state.plan, state.name, state.lane) == (new.digest, "test-flow", "default")
    assert state.visits["a"].phase is Phase.READY
    assert set(state.visits) == {"a"}
    assert world.journal.inputs("run-1") == {"order": "o-1"}
    assert world.journal.key_of("run-1") == "order-1"
    assert world.journal.plan(new.digest) == new.plan
    assert world.journal.recent(10) == ["run-1"]
    due = world.due()
    assert due is not None
    assert 0 < due <= RESEND_AFTER


def test_a_run_without_a_key_has_none_and_is_always_new(world: World) -> None:
    assert world.journal.accept(plans.new_run(FLOW, "r1")).new
    assert world.journal.accept(plans.new_run(FLOW, "r2")).new
    assert world.journal.key_of("r1") is None


def test_the_same_key_and_inputs_give_the_same_run_whatever_their_order(world: World) -> None:
    first = plans.new_run(FLOW, "r1", inputs={"a": 1, "b": [1.5, None]}, key=KEYED)
    again = plans.new_run(FLOW, "r2", inputs={"b": [1.5, None], "a": 1}, key=KEYED)
    assert world.journal.accept(first).new
    accepted = world.journal.accept(again)
    assert (accepted.run, accepted.new, accepted.conflict) == ("r1", False, False)
    assert world.journal.read("r2") is None
    assert world.journal.recent(10) == ["r1"]


def test_the_same_key_with_other_inputs_is_a_conflict_and_starts_nothing(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW, "r1", inputs={"a": 1}, key=KEYED))
    accepted = world.journal.accept(plans.new_run(FLOW, "r2", inputs={"a": 2}, key=KEYED))
    assert (accepted.run, accepted.new, accepted.conflict) == ("r1", False, True)
    assert accepted.differs == ("inputs",)
    assert world.journal.read("r2") is None


def test_the_same_key_with_another_plan_is_a_conflict(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW, "r1", key=KEYED))
    accepted = world.journal.accept(plans.new_run(plans.linear("a"), "r2", key=KEYED))
    assert (accepted.run, accepted.new, accepted.conflict) == ("r1", False, True)
    assert accepted.differs == ("plan",)
    both = plans.new_run(plans.linear("a"), "r2", inputs={"a": 2}, key=KEYED)
    assert world.journal.accept(both).differs == ("plan", "inputs")


def test_a_key_counts_within_its_scope_only(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW, "r1", key=("one", "k")))
    assert world.journal.accept(plans.new_run(FLOW, "r2", key=("two", "k"))).new


def test_scope_and_key_are_not_run_together(world: World) -> None:
    world.journal.accept(plans.new_run(FLOW, "r1", key=("ab", "c")))
    assert world.journal.accept(plans.new_run(FLOW, "r2", key=("a", "bc"))).new


def test_a_key_still_stands_for_its_run_after_the_end(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    world.client.flushall()
    new = plans.new_run(plans.linear("a"), key=KEYED)
    world.journal.accept(new)
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit()
    world.journal.settle("run-1")
    again = world.journal.accept(plans.new_run(plans.linear("a"), "r2", key=KEYED))
    assert (again.run, again.new, again.conflict) == ("run-1", False, False)


def removed(world: World, run: str) -> None:
    """All of a run's own, as the removal of old runs takes it away."""
    keys = world.keys
    world.client.delete(keys.run(run), keys.log(run), keys.data(run))
    world.client.zrem(keys.runs, run)
    world.client.zrem(keys.due, run)


def test_a_key_outlives_its_run_and_says_which_it_was(world: World) -> None:
    first = world.journal.accept(plans.new_run(FLOW, "r1", inputs={"a": 1}, key=KEYED))
    removed(world, "r1")
    again = world.journal.accept(plans.new_run(FLOW, "r2", inputs={"a": 1}, key=KEYED))
    assert (again.run, again.new, again.conflict, again.gone) == ("r1", False, False, True)
    assert again.at == first.at > 0
    other = world.journal.accept(plans.new_run(FLOW, "r3", inputs={"a": 2}, key=KEYED))
    assert (other.run, other.differs, other.gone) == ("r1", ("inputs",), True)
    assert world.journal.recent(10) == []
    assert world.due("r2") is None


def test_a_keys_life_is_set_and_begins_anew_with_each_use(world: World) -> None:
    """Who submits the same every night for years is not charged again after the first of them."""
    day = 24 * 3_600_000
    journal = RedisJournal(world.client, AesSeal([KEY]), key_life_ms=30 * day)
    journal.accept(plans.new_run(FLOW, "r1", key=KEYED))
    [entry] = world.client.keys(world.keys.run_key("*"))
    assert 29 * day < world.client.pttl(entry) <= 30 * day
    world.client.pexpire(entry, day)
    assert journal.accept(plans.new_run(FLOW, "r2", key=KEYED)).run == "r1"
    assert world.client.pttl(entry) > 29 * day
    world.client.delete(entry)
    assert journal.accept(plans.new_run(FLOW, "r2", key=KEYED)).new


def test_parallel_accepts_under_one_key_are_one_run(world: World) -> None:
    def accept(number: int) -> str:
        # Its own journal each: another process, which has not made up its pepper yet.
        journal = RedisJournal(world.client, AesSeal([KEY]))
        return journal.accept(plans.new_run(FLOW, f"r{number}", key=KEYED)).run

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(accept, range(24)))
    assert len(set(runs)) == 1
    assert world.journal.recent(50) == runs[:1]


def test_two_that_submit_one_key_five_hundred_times_have_one_run(world: World) -> None:
    def submit(who: int) -> set[str]:
        journal = RedisJournal(world.client, AesSeal([KEY]))
        news = [plans.new_run(FLOW, f"r{who}-{number}", key=KEYED) for number in range(500)]
        return {journal.accept(new).run for new in news}

    with ThreadPoolExecutor(2) as pool:
        [first, second] = pool.map(submit, range(2))
    assert first == second
    assert world.journal.recent(50) == [*first]


@pytest.mark.parametrize("key", [None, KEYED])
def test_an_accept_that_redis_got_twice_leaves_the_run_as_it_has_become(
    world: World, key: tuple[str, str] | None
) -> None:
    """The client sends it again when the answer was lost; a worker may be far ahead by then."""
    new = plans.new_run(FLOW, key=key)
    world.journal.accept(new)
    claim = world.journal.claim(Ref("run-1", "a", 1), "w1")
    assert claim.verdict is Claimed.YES
    state = world.journal.read("run-1")
    again = world.journal.accept(new)
    assert (again.run, again.conflict) == ("run-1", False)
    assert world.journal.read("run-1") == state
    assert world.journal.claim(Ref("run-1", "a", 1), "w2").verdict is not Claimed.ABSENT


def test_a_plan_is_stored_once_and_sent_again_only_when_it_is_gone(world: World) -> None:
    new = plans.new_run(FLOW, "r1")
    world.journal.accept(new)
    world.client.flushall()
    # This process believes that the plan is stored: the journal asks for it.
    world.journal.accept(plans.new_run(FLOW, "r2"))
    assert world.journal.plan(new.digest) == new.plan
    assert world.journal.read("r2") is not None


def test_a_plan_that_is_not_there_is_said_to_be_not_there(world: World) -> None:
    with pytest.raises(UnknownRun):
        world.journal.plan("no-such-digest")


def test_what_is_unheard_of_is_none(world: World) -> None:
    assert world.journal.read("nobody") is None
    assert world.journal.history("nobody") == []
    assert world.journal.key_of("nobody") is None
    assert world.journal.inputs("nobody") == {}
    assert world.journal.outputs("nobody", ["a"]) == {}


def test_runs_are_listed_newest_first(world: World) -> None:
    for number in range(3):
        world.accept(FLOW, f"r{number}")
        world.advance(5)
    assert world.journal.recent(2) == ["r2", "r1"]


def test_names_that_json_and_lua_write_differently_are_kept(world: World) -> None:
    odd = plans.plan(plans.step('s/"1'), name='tälk "x"\\/')
    graph = world.accept(odd)
    lease = world.take(graph, 's/"1')
    lease.begin()
    lease.commit(code="a/b", outputs={"ü": "€/"})
    assert world.journal.outputs("run-1", ['s/"1']) == {'s/"1': {"ü": "€/"}}

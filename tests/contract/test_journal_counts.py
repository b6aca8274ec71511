"""What is counted is counted with its event: once, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.engine.state import Outcome, Result, State
from orchestrator.journal import counts
from orchestrator.journal.archive import LIFE
from orchestrator.journal.counts import Attempt
from orchestrator.journal.port import Began, Claimed, Committed, Limit, Ref
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.redis_gauges import RedisGauges
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.contract.conftest import KEY, World
from tests.contract.test_journal_batches import House, house
from tests.fakes import plans
from tests.fakes.journal import Lease, carry_on

__all__ = ["house"]

FLOW = "test-flow"
TOO_FAST = Limit(scope="p/account", per_second=0.01, burst=1)


def told(world: World) -> dict[str, int]:
    """Kind and labels → count, without the time that a run took."""
    found: dict[str, int] = {}
    for name, number in world.client.hgetall(world.keys.counts).items():
        text = name.decode()
        if not text.partition("|")[0].endswith("-ms"):
            text = text.rpartition("|")[0] if text.startswith("ended|test") else text
            found[text] = found.get(text, 0) + int(number)
    return found


def one_step(world: World) -> tuple[Graph, Lease]:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    return graph, lease


def land(
    lease: Lease, result: Result = Result.SUCCEEDED, *, code: str = "", look: int = -1
) -> Committed:
    """As a worker does, of a call that took 70 ms."""
    outcome = Outcome(result=result, code=code, look=look, status=200)
    settlement, decision = lease.settlement(outcome)
    attempt = Attempt(workflow=FLOW, step="a", provider="stripe", result=result, status=200, ms=70)
    counted = replace(settlement, attempt=attempt)
    return lease.journal.commit(lease.ref, lease.fence, counted, decision)


def test_a_run_is_counted_from_its_acceptance_to_its_end(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    world.advance(2_000)
    assert land(lease) is Committed.YES
    world.journal.settle("run-1")
    assert told(world) == {
        "accepted|test-flow": 1,
        "attempt|test-flow|a|stripe|succeeded|2xx|100": 1,
        "step|test-flow|a|succeeded": 1,
        "ended|test-flow|succeeded|none": 1,
    }
    assert int(world.client.hget(world.keys.counts, "attempt-ms|test-flow|a")) == 70
    assert int(world.client.hget(world.keys.counts, "ended-ms|test-flow")) >= 2_000


def test_a_run_that_is_submitted_twice_is_counted_once(world: World) -> None:
    new = plans.new_run(plans.linear("a"), key=(FLOW, "k"))
    for run in ("run-1", "run-1", "run-2"):
        world.journal.accept(replace(new, run=run))
    assert told(world) == {"accepted|test-flow": 1}


def test_rows_are_counted_as_they_become_runs(house: House) -> None:
    house.open(3, window=2)
    assert house.admission.fill("b-1") == 2
    assert house.admission.fill("b-1") == 0
    assert told(house.world) == {"accepted|test-flow": 2}
    house.end(1)
    assert told(house.world)["accepted|test-flow"] == 3


def test_a_commit_that_comes_twice_is_counted_once(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    assert land(lease) is Committed.YES
    before = told(world)
    assert land(lease) is Committed.LOST
    assert told(world) == before


def test_a_fenced_off_commit_counts_nothing(world: World) -> None:
    graph, late = one_step(world)
    late.begin(deadline_ms=1_000)
    world.advance(2_000)
    winner = world.take(graph, "a", worker="w2")
    winner.begin()
    assert land(late) is Committed.LOST
    assert told(world) == {"accepted|test-flow": 1, "lost": 1}
    assert land(winner) is Committed.YES
    assert told(world)["attempt|test-flow|a|stripe|succeeded|2xx|100"] == 1
    assert told(world)["lost"] == 1


def test_an_outcome_whose_decision_came_too_late_is_counted_and_its_end_later(world: World) -> None:
    graph, lease = one_step(world)
    lease.begin()
    world.journal.control("run-1", "pause", by="sam", reason="")
    assert land(lease) is Committed.NEWS
    attempt = "attempt|test-flow|a|stripe|succeeded|2xx|100"
    assert told(world) == {"accepted|test-flow": 1, attempt: 1}
    carry_on(world.journal, graph, "run-1")
    carry_on(world.journal, graph, "run-1")
    assert told(world)[attempt] == 1
    assert told(world)["step|test-flow|a|succeeded"] == 1
    assert told(world)["ended|test-flow|succeeded|none"] == 1


def test_a_message_that_comes_again_counts_nothing(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    land(lease)
    before = told(world)
    assert world.journal.claim(Ref("run-1", "a", 1), "w2").verdict is Claimed.FINISHED
    world.journal.settle("run-1")
    world.journal.settle("run-1")
    assert told(world) == before


def test_a_failure_is_told_by_the_class_of_its_answer(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    land(lease, Result.FINAL, code="ch_1a2b3c")
    assert told(world)["step|test-flow|a|failed"] == 1
    (ended,) = [name for name in told(world) if name.startswith("ended")]
    assert ended == "ended|test-flow|failed|2xx"


def test_a_step_that_its_own_ways_enter_anew_has_ended(world: World) -> None:
    flow = plans.plan(plans.step("a", failure=[plans.one_of(plans.again(1, after_ms=0))]))
    graph = world.accept(flow)
    for visit in (1, 2):
        lease = world.take(graph, "a", visit)
        lease.begin()
        lease.commit(Result.FINAL, code="declined")
    assert told(world)["step|test-flow|a|failed"] == 2


def test_steps_that_a_cancel_ends_are_counted(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    world.journal.control("run-1", "cancel", by="sam", reason="")
    carry_on(world.journal, graph, "run-1")
    assert told(world)["step|test-flow|a|cancelled"] == 1
    (ended,) = [name for name in told(world) if name.startswith("ended")]
    assert ended == "ended|test-flow|cancelled|none"


def test_an_end_that_is_taken_back_was_one_all_the_same(world: World) -> None:
    graph, lease = one_step(world)
    lease.begin()
    lease.commit(Result.FINAL, code="declined")
    world.journal.settle("run-1")
    assert world.journal.reopen("run-1", "a", 1, by="sam", reason="") == 2
    again = world.take(graph, "a", 2)
    again.begin()
    again.commit()
    ends = sorted(name.split("|")[2] for name in told(world) if name.startswith("ended"))
    assert ends == ["failed", "succeeded"]


def test_calls_that_wait_for_their_turn_or_a_stop_are_counted_by_provider(world: World) -> None:
    graph, lease = one_step(world)
    assert lease.begin(limits=[TOO_FAST], provider="stripe").verdict is Began.YES
    for number in (2, 3):
        run = f"run-{number}"
        world.journal.accept(plans.new_run(plans.linear("a"), run))
        claim = world.journal.claim(Ref(run, "a", 1), "w1")
        assert claim.state is not None
        other = Lease(journal=world.raw, graph=graph, ref=Ref(run, "a", 1), state=claim.state)
        if number == 3:
            world.journal.stop("stripe", by="sam", reason="")
        verdict = other.begin(limits=[TOO_FAST], provider="stripe").verdict
        assert verdict is (Began.LIMITED if number == 2 else Began.STOPPED)
    assert told(world) == {"accepted|test-flow": 3, "limited|stripe": 1, "stopped|stripe": 1}


def test_counts_outlive_what_they_count(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    land(lease)
    world.journal.settle("run-1")
    before = told(world)
    archive = RedisArchive(world.client, AesSeal([KEY]), world.keys)
    world.advance(61_000)
    assert archive.tidy(10).put_away == 1
    assert archive.forget("run-1", by="sam", reason="") is not None
    world.advance(LIFE + 61_000)
    for _ in range(2):
        archive.tidy(10)
    assert world.journal.read("run-1") is None
    assert told(world) == before


def test_of_what_is_no_run_nobody_knows_when_it_was_sent(world: World) -> None:
    """Messages name runs, and whoever has Redis may write messages."""
    world.accept(plans.linear("a"))
    refs = [Ref("run-1:log", "a", 1), Ref("run-1", "a", 1), Ref("nobody", "a", 1)]
    log, known, unknown = RedisGauges(world.client, world.keys).sent(refs)
    assert (log, unknown) == (0, 0)
    assert known > 0


# Their bound.


def test_past_the_last_field_what_is_new_is_counted_as_other(world: World) -> None:
    fill = {f"step|w|s{n}|failed": 1 for n in range(20_000)}
    world.client.hset(world.keys.counts, mapping=fill)
    for number in range(3):
        flow = replace(plans.linear("a"), name=f"flow-{number}")
        world.journal.accept(plans.new_run(flow, f"run-{number}"))
    found = told(world)
    assert found["accepted|other"] == 3
    assert len(found) <= 20_001
    assert counts.parse("accepted|other") == ("accepted", (counts.OTHER,))


def test_what_is_counted_already_is_counted_on_when_there_are_too_many(world: World) -> None:
    world.accept(plans.linear("a"))
    fill = {f"step|w|s{n}|failed": 1 for n in range(20_000)}
    world.client.hset(world.keys.counts, mapping=fill)
    world.journal.accept(plans.new_run(plans.linear("a"), "run-2"))
    assert told(world)["accepted|test-flow"] == 2


# Runs in doubt.


def in_doubt(world: World) -> Mapping[str, int]:
    """Run → since when, ms."""
    found = world.client.zrange(world.keys.doubt, 0, -1, withscores=True)
    return {run.decode(): round(since) for run, since in found}


def park(world: World, *, look: int = -1, flow: Plan | None = None) -> Graph:
    graph = world.accept(flow or plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.UNKNOWN, code="timeout", look=look)
    return graph


def state(world: World) -> State:
    found = world.journal.read("run-1")
    assert found is not None
    return found


def test_a_parked_run_is_in_doubt_since_it_was_parked(world: World) -> None:
    park(world)
    since = in_doubt(world)["run-1"]
    assert since <= world.journal.now()
    assert told(world)["step|test-flow|a|unknown"] == 1


def test_a_look_up_that_finds_nothing_out_leaves_it_in_doubt_since_then(world: World) -> None:
    graph = park(world, look=1_000)
    since = in_doubt(world)
    world.advance(5_000)
    lease = world.take(graph, "a")
    assert in_doubt(world) == since, "while it is looked up"
    lease.look()
    lease.commit(Result.UNKNOWN, code="not-found", look=1_000)
    assert in_doubt(world) == since
    assert told(world)["step|test-flow|a|unknown"] == 1, "it came to be in doubt once"


def test_what_is_found_out_ends_the_doubt(world: World) -> None:
    graph = park(world, look=1_000)
    world.advance(5_000)
    lease = world.take(graph, "a")
    lease.look()
    lease.commit()
    assert in_doubt(world) == {}


def test_a_persons_word_ends_the_doubt(world: World) -> None:
    graph = park(world)
    lease = Lease(journal=world.raw, graph=graph, ref=Ref("run-1", "a", 1), state=state(world))
    settlement, decision = lease.settlement(Outcome(result=Result.UNDONE, delay=0))
    assert world.journal.resolve(lease.ref, settlement, decision) is Committed.YES
    assert in_doubt(world) == {}


def test_a_cancelled_run_stays_in_doubt_until_somebody_knows(world: World) -> None:
    graph = park(world, look=1_000)
    world.journal.control("run-1", "cancel", by="sam", reason="")
    carry_on(world.journal, graph, "run-1")
    assert set(in_doubt(world)) == {"run-1"}
    world.advance(5_000)
    lease = world.take(graph, "a")
    lease.look()
    lease.commit(Result.UNDONE, delay=0)
    carry_on(world.journal, graph, "run-1")
    assert state(world).end == "cancelled"
    assert in_doubt(world) == {}


def test_a_look_up_that_waits_for_its_turn_leaves_its_run_in_doubt(world: World) -> None:
    graph, lease = one_step(world)
    lease.begin(limits=[TOO_FAST], deadline_ms=1_000)
    world.advance(2_000)
    lost = world.take(graph, "a", worker="w2")
    assert in_doubt(world) == {}
    assert lost.look(limits=[TOO_FAST]).verdict is Began.LIMITED
    assert set(in_doubt(world)) == {"run-1"}


def test_what_another_branch_decides_leaves_the_doubt(world: World) -> None:
    flow = plans.plan(plans.step("a"), plans.step("b"), starts=["a", "b"])
    graph = park(world, look=1_000, flow=flow)
    since = in_doubt(world)
    world.advance(5_000)
    world.take(graph, "a")
    other = world.take(graph, "b")
    other.begin()
    other.commit()
    assert in_doubt(world) == since, "a is being looked up"


def test_a_tick_adds_what_an_earlier_release_parked(world: World) -> None:
    park(world, look=1_000)
    world.client.delete(world.keys.doubt)
    world.advance(2_000)
    world.journal.tick("t", lease_ms=1_000, limit=10)
    assert set(in_doubt(world)) == {"run-1"}


def test_ticks_take_out_what_an_earlier_release_ended(world: World) -> None:
    _, lease = one_step(world)
    lease.begin()
    lease.commit()
    world.client.zadd(world.keys.doubt, {"run-1": 1, "run-gone": 2})
    world.journal.tick("t", lease_ms=1_000, limit=10)
    assert in_doubt(world) == {}

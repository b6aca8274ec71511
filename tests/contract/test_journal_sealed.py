"""What stands in Redis tells nobody about a customer."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import advance
from orchestrator.engine.events import Event, apply, outcome_landed
from orchestrator.engine.state import Outcome, Phase, Result
from orchestrator.errors import SealBroken
from orchestrator.expressions.nodes import Constant
from orchestrator.journal.port import SEALED, Ref, Settlement
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.model import HttpCall
from tests.contract.conftest import KEY, World
from tests.fakes import plans
from tests.fakes.journal import take

A1 = Ref("run-1", "a", 1)
#: One for each thing that may hold a customer's data.
INPUT, OUTPUT, REQUEST, RUN_KEY, PATH = (
    "+15005550006-input", "pi_output", "frozen-bytes", "order-1042-of-smith", "plan-constant"
)  # fmt: skip


def secret_run(world: World) -> None:
    call = HttpCall(provider="p", method="GET", server="https://x.test", path=(Constant(PATH),))
    flow = plans.plan(plans.step("a", plans.to("b"), call=call), plans.step("b"))
    new = plans.new_run(flow, inputs={"phone": INPUT}, key=("flow", RUN_KEY))
    world.journal.accept(new)
    graph_of = world.journal.plan(new.digest)
    assert PATH.encode() in graph_of


def test_nothing_of_a_run_can_be_read_in_redis(world: World) -> None:
    call = HttpCall(provider="p", method="GET", server="https://x.test", path=(Constant(PATH),))
    flow = plans.plan(plans.step("a", plans.to("b"), call=call), plans.step("b"))
    graph = world.accept(flow, phone=INPUT)
    world.journal.accept(
        plans.new_run(flow, "run-2", inputs={"phone": INPUT}, key=(RUN_KEY, RUN_KEY))
    )
    lease = world.take(graph, "a")
    lease.begin(REQUEST.encode())
    lease.commit(outputs={"id": OUTPUT})
    lease = world.take(graph, "b")
    lease.begin(REQUEST.encode())
    lease.commit(Result.UNKNOWN, delay=500)

    dump = b"\n".join(world.everything())
    for secret in (INPUT, OUTPUT, REQUEST, RUN_KEY, PATH):
        assert secret.encode() not in dump
    assert world.journal.inputs("run-1") == {"phone": INPUT}
    assert world.journal.outputs("run-1", ["a"]) == {"a": {"id": OUTPUT}}
    assert world.journal.key_of("run-2") == RUN_KEY


def test_every_key_is_under_one_prefix_with_braces(world: World) -> None:
    secret_run(world)
    assert all(key.startswith(b"{durazzo}:") for key in world.client.scan_iter())


def test_two_journals_on_one_server_do_not_see_each_other(world: World) -> None:
    secret_run(world)
    other = RedisJournal(world.client, AesSeal([KEY]), type(world.keys)("other"))
    assert other.read("run-1") is None
    assert other.recent(10) == []


@pytest.mark.parametrize("field", ["inputs", "o:a"])
def test_a_value_moved_to_another_run_does_not_open(world: World, field: str) -> None:
    graph = world.accept(plans.linear("a"), x=1)
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(outputs={"id": "x"})
    world.accept(plans.linear("a"), "run-2", x=2)
    value = world.client.hget(world.keys.data("run-1"), field)
    world.client.hset(world.keys.data("run-2"), field, value)
    with pytest.raises(SealBroken):
        world.journal.inputs("run-2") if field == "inputs" else world.journal.outputs(
            "run-2", ["a"]
        )


def test_a_value_moved_to_another_field_does_not_open(world: World) -> None:
    world.accept(plans.linear("a"), x=1)
    value = world.client.hget(world.keys.data("run-1"), "inputs")
    world.client.hset(world.keys.data("run-1"), "o:a", value)
    with pytest.raises(SealBroken):
        world.journal.outputs("run-1", ["a"])


def test_a_plan_put_under_another_digest_does_not_open(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    body = world.client.hget(world.keys.plan(graph.digest), "body")
    world.client.hset(world.keys.plan("other"), "body", body)
    with pytest.raises(SealBroken):
        world.journal.plan("other")


def test_a_frozen_request_of_another_run_does_not_open(world: World) -> None:
    for run in ("run-1", "run-2"):
        graph = world.accept(plans.linear("a"), run)
        take(world.journal, graph, Ref(run, "a", 1)).begin()
    value = world.client.hget(world.keys.data("run-2"), "q:a")
    world.client.hset(world.keys.data("run-1"), "q:a", value)
    with pytest.raises(SealBroken):
        world.journal.claim(A1, "w2")


def test_another_key_opens_nothing_and_a_ring_with_the_old_one_opens_all(world: World) -> None:
    graph = world.accept(plans.linear("a"), x=1)
    fresh = b"n" * 32
    with pytest.raises(SealBroken):
        RedisJournal(world.client, AesSeal([fresh])).inputs("run-1")
    rotated = RedisJournal(world.client, AesSeal([fresh, KEY]))
    assert rotated.inputs("run-1") == {"x": 1}
    assert rotated.plan(graph.digest)


def test_a_run_key_finds_its_run_after_the_sealing_key_was_rotated(world: World) -> None:
    new = plans.new_run(plans.linear("a"), key=("flow", RUN_KEY))
    world.journal.accept(new)
    rotated = RedisJournal(world.client, AesSeal([b"n" * 32, KEY]))
    again = rotated.accept(plans.new_run(plans.linear("a"), "run-2", key=("flow", RUN_KEY)))
    assert (again.run, again.new, again.conflict) == ("run-1", False, False)


# Why a person did it: a reason may name a customer.

WHY = "Ms Smith rang: 0171 5550006"


def reasons(world: World, run: str = "run-1") -> list[str]:
    events = world.journal.history(run, reasons=True)
    return [str(event.fields["why"]) for event in events if "why" in event.fields]


def reasoned(world: World) -> None:
    """Every way in which a reason comes into a log."""
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.UNKNOWN, code="answer-lost")
    world.journal.control("run-1", "pause", by="ops", reason=f"{WHY} 1")
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].phase is Phase.UNKNOWN
    now, outcome = world.journal.now(), Outcome(result=Result.FINAL, code="resolved")
    event = outcome_landed(at=now, step="a", visit=state.visits["a"], outcome=outcome)
    said = Event(kind=event.kind, at=now, fields={**event.fields, "by": "ops", "why": f"{WHY} 2"})
    landed = apply(state, said)
    settlement = Settlement(event=said, visit=landed.visits["a"])
    world.journal.resolve(A1, settlement, advance(graph, landed, now))
    assert world.journal.reopen("run-1", "a", 1, by="ops", reason=f"{WHY} 3") == 2


def test_a_reason_is_read_only_by_who_asks_for_it(world: World) -> None:
    reasoned(world)
    dump = b"\n".join(world.everything())
    assert b"Smith" not in dump
    assert b"5550006" not in dump
    assert "Smith" not in "".join(event.encode() for event in world.journal.history("run-1"))
    assert reasons(world) == [f"{WHY} 1", f"{WHY} 2", f"{WHY} 3"]


def test_a_reason_that_no_key_at_hand_opens_hides_nothing_else(world: World) -> None:
    reasoned(world)
    stranger = RedisJournal(world.client, AesSeal([b"n" * 32]))
    told = stranger.history("run-1", reasons=True)
    assert [e.fields["why"] for e in told if "why" in e.fields] == [SEALED] * 3
    assert [e.kind for e in told] == [e.kind for e in world.journal.history("run-1")]


def test_a_reason_moved_to_another_run_does_not_open(world: World) -> None:
    reasoned(world)
    world.accept(plans.linear("a"), "run-2")
    line = next(e for e in world.client.lrange(world.keys.log("run-1"), 0, -1) if b"pause" in e)
    world.client.rpush(world.keys.log("run-2"), line)
    # The hash knows nothing of it: only the log is read here.
    told = world.raw.history("run-2", reasons=True)
    assert told[-1].fields["why"] == SEALED


def test_no_reason_takes_no_room(world: World) -> None:
    world.accept(plans.linear("a"))
    world.journal.control("run-1", "pause", by="ops", reason="")
    assert set(world.journal.history("run-1")[-1].fields) == {"k", "by"}


def test_a_reason_that_an_earlier_release_wrote_in_clear_stays_readable(world: World) -> None:
    world.accept(plans.linear("a"))
    old = Event(kind="control", at=1, fields={"k": "pause", "by": "ops", "why": "asked"})
    world.client.rpush(world.keys.log("run-1"), old.encode())
    assert world.raw.history("run-1", reasons=True)[-1] == old
    assert world.raw.history("run-1")[-1] == old


def test_what_is_no_sealed_text_is_no_reason_to_fail(world: World) -> None:
    world.accept(plans.linear("a"))
    odd = Event(kind="control", at=1, fields={"k": "pause", "by": "ops", "sealed": "?"})
    world.client.rpush(world.keys.log("run-1"), odd.encode())
    assert world.raw.history("run-1", reasons=True)[-1].fields["why"] == SEALED

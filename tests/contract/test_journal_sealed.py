"""What stands in Redis tells nobody about a customer."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Result
from orchestrator.errors import SealBroken
from orchestrator.expressions.nodes import Constant
from orchestrator.journal.port import Ref
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

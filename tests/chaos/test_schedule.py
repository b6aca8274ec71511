"""The plan of a storm: decided by the seed alone, before anything runs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from ops.chaos.mutations import MUTATIONS
from ops.chaos.schedule import LINKS, PROCESSES, Instruction, Kind, Options, link_names, schedule
from ops.chaos.workflows import WORKFLOWS
from ops.sandbox.faults import read_faults

SMALL = Options(seed=7, runs=50, kills=12, cuts=6)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one() -> None:
    assert schedule(SMALL) == schedule(SMALL)
    assert schedule(SMALL) != schedule(replace(SMALL, seed=8))


def test_a_short_storm_strikes_in_every_way_there_is() -> None:
    struck = {strike.what for strike in schedule(SMALL).strikes}
    assert struck == set(Kind)
    assert set(PROCESSES) | set(LINKS) | {Kind.REDIS, Kind.LIMIT} == set(Kind)


def test_what_is_asked_for_is_what_is_planned() -> None:
    counts = Counter(strike.what for strike in schedule(SMALL).strikes)
    assert sum(counts[kind] for kind in PROCESSES) == 12
    assert sum(counts[kind] for kind in LINKS) == 6
    assert (counts[Kind.REDIS], counts[Kind.LIMIT]) == (3, 1)
    only = schedule(replace(SMALL, only=(Kind.FREEZE,), limited=False, redis_kills=0, cuts=0))
    assert {strike.what for strike in only.strikes} == {Kind.FREEZE}


def test_a_batch_is_told_everything_while_rows_are_to_come_and_nothing_else_changes() -> None:
    batch = schedule(replace(SMALL, batch=True))
    assert {order.what for order in batch.orders} == set(Instruction)
    assert all(0 < order.at < SMALL.seconds for order in batch.orders)
    assert all(bool(o.seconds) == (o.what is Instruction.PAUSE) for o in batch.orders)
    alone = schedule(SMALL)
    assert alone.orders == ()
    assert (batch.strikes, batch.customers) == (alone.strikes, alone.customers)


def test_every_strike_has_a_target_and_comes_within_the_storm() -> None:
    options = replace(SMALL, workers=3, children=4, cuts=60, kills=60)
    names = {"redis", "providers", *link_names(3), *(f"worker {n}" for n in range(3))}
    names |= {f"worker {n}, child {m}" for n in range(3) for m in range(4)}
    for strike in schedule(options).strikes:
        assert 0 < strike.at < options.seconds
        assert strike.target(options) in names


def test_no_two_customers_have_anything_in_common() -> None:
    customers = schedule(SMALL).customers
    for name in ("key", "phone", "amount"):
        assert len({getattr(customer, name) for customer in customers}) == len(customers)
    assert any(customer.declined for customer in customers)


def test_the_sandbox_takes_every_fault_that_is_planned() -> None:
    _, complaints = read_faults([dict(fault) for fault in schedule(SMALL).faults])
    assert complaints == []


def test_the_plan_that_is_kept_names_no_customer() -> None:
    plan = schedule(SMALL)
    kept = json.dumps(plan.as_json())
    assert plan.customers[3].phone not in kept
    assert '"what": "kill-child"' in kept


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_every_mutation_brings_a_storm_that_can_be_planned(name: str) -> None:
    options = replace(SMALL, broken=name, **MUTATIONS[name].storm)
    assert len(schedule(options).customers) == options.runs


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_storms_workflows_are_published_ones_with_an_order_for_each_customer(name: str) -> None:
    workflow = WORKFLOWS[name]
    plan = workflow.plan()
    assert {workflow.charges, workflow.texts} - {""} <= {step.id for step in plan.steps}
    inputs = workflow.inputs(schedule(SMALL).customers[0])
    assert set(plan.inputs.referenced) == set(inputs)
    assert "order" in inputs

"""Submit under a run key: where the key counts, and what is said when it was used before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.driver import Driver, Plans
from orchestrator.errors import InputsRefused, RunKeyConflict, RunRemoved
from orchestrator.journal.keys import Keys
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import NoSeal
from orchestrator.plan.model import Plan
from orchestrator.service import Core, Run, submit
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.batching import no_batches
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.servers import fake_redis
from tests.fakes.world import Broker

CONFIRM = plans.charge_and_text()
REMIND = plans.plan(plans.text("remind"), name="reminders")
GIVEN = {"order": "+15558675310", "amount": 4_200}


@dataclass(frozen=True, slots=True)
class House:
    core: Core
    client: Any

    def submit(self, plan: Plan = CONFIRM, key: str = "invoice-7", **more: Any) -> Run:
        inputs = more.pop("inputs", GIVEN)
        return submit(self.core, plan, inputs, key=key, **more)


@pytest.fixture
def house() -> Iterator[House]:
    clock = ManualClock()
    with fake_redis(clock) as client:
        journal = RedisJournal(client, NoSeal())
        known = Plans(journal)
        core = Core(
            journal=journal,
            plans=known,
            driver=Driver(journal, known, Broker()),
            profiles=load_profiles(),
            **no_batches(known),
            clock=clock,
            entropy=SeededEntropy(),
        )
        yield House(core, client)


def test_a_key_counts_in_its_workflow_unless_a_scope_is_named(house: House) -> None:
    first = house.submit()
    assert house.submit().id == first.id
    assert house.submit(REMIND).id != first.id


def test_one_scope_makes_an_invoice_one_in_two_workflows(house: House) -> None:
    first = house.submit(key_scope="global")
    again = house.submit(key_scope="global")
    assert (again.id, again.known) == (first.id, True)
    with pytest.raises(RunKeyConflict) as refused:
        house.submit(REMIND, key_scope="global")
    assert first.id in refused.value.message
    assert house.submit(REMIND, key_scope="reminders-of-may").id != first.id


def test_a_scope_is_no_workflow_of_the_same_name(house: House) -> None:
    first = house.submit(REMIND)
    assert house.submit(REMIND, key_scope=REMIND.name).id != first.id


@pytest.mark.parametrize(
    ("plan", "inputs", "what"),
    [
        (REMIND, GIVEN, "with another document:"),
        (CONFIRM, {**GIVEN, "amount": 4_201}, "with other inputs:"),
        (REMIND, {**GIVEN, "amount": 4_201}, "with another document and other inputs:"),
    ],
)
def test_a_used_key_is_refused_with_what_differs_and_no_value(
    house: House, plan: Plan, inputs: dict[str, Any], what: str
) -> None:
    first = house.submit(key_scope="global")
    with pytest.raises(RunKeyConflict) as refused:
        house.submit(plan, inputs=inputs, key_scope="global")
    message = refused.value.message
    assert what in message
    assert first.id in message
    for value in ("4200", "4201", "+15558675310", "invoice-7"):
        assert value not in message


def test_a_run_that_was_removed_is_not_accepted_again(house: House) -> None:
    first = house.submit()
    keys = Keys()
    house.client.delete(keys.run(first.id), keys.log(first.id), keys.data(first.id))
    with pytest.raises(RunRemoved) as refused:
        house.submit()
    assert f"as run {first.id}" in refused.value.message
    assert "journal has been removed" in refused.value.message
    with pytest.raises(RunKeyConflict):
        house.submit(inputs={**GIVEN, "amount": 1})
    assert house.submit(key="invoice-8").id != first.id


@pytest.mark.parametrize("text", ["", "  ", "x" * 257])
@pytest.mark.parametrize("field", ["key", "key_scope"])
def test_a_key_and_its_scope_are_short_texts_that_are_not_empty(
    house: House, field: str, text: str
) -> None:
    given: dict[str, Any] = {field: text}
    with pytest.raises(InputsRefused):
        house.submit(**given)

"""A run that ended badly goes on, and does nothing twice that nobody asked for."""

from __future__ import annotations

import pytest

from orchestrator.errors import RetryRefused, UnknownRun
from orchestrator.service import Run, retry
from tests.process.house import CHARGE_AND_TEXT, DUNNING, House, plan_of

pytestmark = pytest.mark.process

DOWN = {"match": "POST /twilio/*", "do": "status", "status": 400, "body": {"code": 21606}}


def failed_in_its_text(home: House) -> Run:
    home.sandbox.faults(DOWN)
    home.worker()
    run = home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs())
    assert run.wait(20) == "failed"
    return run


def test_it_goes_on_from_the_step_that_failed_and_charges_no_second_time(at_home: House) -> None:
    run = failed_in_its_text(at_home)
    assert run.report().stands().startswith("but charged 20.00 USD pi_")
    retry(at_home.wiring.core, run.id, by="ops", reason="the number was bought")
    assert run.wait(20) == "succeeded"
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == 1
    assert at_home.wiring.app.AsyncResult(run.id).get(timeout=20)["state"] == "succeeded"


def test_what_would_charge_again_is_refused_unless_it_is_forced(at_home: House) -> None:
    core, run = at_home.wiring.core, failed_in_its_text(at_home)
    with pytest.raises(RetryRefused, match=r"done again: charged 20\.00 USD pi_"):
        retry(core, run.id, by="ops", step="create-payment")
    assert run.status() == "failed"
    retry(core, run.id, by="ops", step="create-payment", force=True)
    assert run.wait(20) == "succeeded"
    keys = {charge["key"] for charge in at_home.ledger()["charges"]}
    assert len(keys) == 2, "a new visit has a key of its own"


def test_a_failed_step_that_charged_all_the_same_is_not_retried_by_default(at_home: House) -> None:
    """001 as published: the card was charged, and the criteria wanted a decline."""
    at_home.worker()
    inputs = at_home.dunning_inputs(paymentMethod="pm_card_visa")
    run = at_home.submit(plan_of(DUNNING), inputs)
    assert run.wait(20) == "failed"
    with pytest.raises(RetryRefused, match=r"charged 42\.00 USD pi_"):
        retry(at_home.wiring.core, run.id, by="ops")
    assert len(at_home.ledger()["charges"]) == 1


def test_only_a_run_that_ended_badly_is_retried(at_home: House) -> None:
    core = at_home.wiring.core
    at_home.worker()
    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert run.wait(20) == "succeeded"
    with pytest.raises(RetryRefused, match="succeeded"):
        retry(core, run.id, by="ops")
    with pytest.raises(UnknownRun):
        retry(core, "01k9", by="ops")

"""Deadlines and timeouts, kept by real workers: what the providers' books say of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.engine.state import Phase
from orchestrator.journal.keys import Keys
from orchestrator.plan.model import Choice, Goto, Plan, Route
from orchestrator.service import Run, submit
from orchestrator.wiring import connect
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for

pytestmark = pytest.mark.process

CHARGE, TEXT = "create-payment", "send-confirmation"
PATIENT = 60
STRIPE, TWILIO = "POST /stripe/v1/payment_intents", "POST /twilio/*"


def later(home: House, ms: int) -> None:
    """Redis' clock is durazzo's: nobody waits for it here."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.incrby(Keys().clock, ms)


def timed(step: str, timeout_ms: int, fallback: str = "") -> Plan:
    """The published confirmation, with a timeout of one step, and a way on from its failure."""
    published = plan_of(CHARGE_AND_TEXT)
    way = (Choice(routes=(Route(then=Goto(step=fallback, cap=3)),)),) if fallback else ()
    steps = tuple(
        replace(s, timeout_ms=timeout_ms, failure=way) if s.id == step else s
        for s in published.steps
    )
    return replace(published, steps=steps)


def requests(home: House, part: str) -> int:
    return sum(part in r["path"] and r["method"] == "POST" for r in home.ledger()["requests"])


def test_a_run_whose_deadline_passes_in_a_retrys_wait_sends_nothing_more(at_home: House) -> None:
    at_home.sandbox.faults({
        "match": STRIPE, "do": "status", "status": 429, "headers": {"Retry-After": "300"},
    })  # fmt: skip
    at_home.worker()
    plan, core = plan_of(CHARGE_AND_TEXT), at_home.wiring.core
    run = submit(core, plan, at_home.charge_inputs(), deadline=timedelta(hours=1))
    wait_for(lambda: run.state().visits[CHARGE].phase is Phase.WAITING, "the wait", seconds=PATIENT)
    sent = requests(at_home, "/payment_intents")
    later(at_home, 3_600_000)
    assert run.wait(PATIENT) == "failed"
    state = run.state()
    assert (state.code, state.failed_step) == ("deadline-passed", CHARGE)
    assert state.visits[CHARGE].phase is Phase.CANCELLED
    assert requests(at_home, "/payment_intents") == sent == 1
    assert at_home.ledger()["charges"] == at_home.ledger()["messages"] == []


def test_a_step_that_times_out_goes_on_by_its_fallback(at_home: House) -> None:
    at_home.sandbox.faults({
        "match": STRIPE, "do": "status", "status": 429, "headers": {"Retry-After": "120"},
        "times": 5,
    })  # fmt: skip
    at_home.worker()
    run: Run = at_home.submit(timed(CHARGE, 20_000, fallback=TEXT), at_home.charge_inputs())
    assert run.wait(PATIENT) == "succeeded"
    charge = run.state().visits[CHARGE]
    assert (charge.phase, charge.code) == (Phase.FAILED, "step-timeout")
    ledger = at_home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (0, 1)
    assert requests(at_home, "/payment_intents") == 1, "no retry begins after the time"


def test_an_unknown_text_stays_unknown_though_its_timeout_has_passed(at_home: House) -> None:
    at_home.sandbox.faults({"match": TWILIO, "do": "drop_before"})
    at_home.worker()
    run = at_home.submit(timed(TEXT, 30_000, fallback=CHARGE), at_home.charge_inputs())
    assert run.wait(PATIENT) == "unknown"

    def looked_up() -> bool:
        return run.state().visits[TEXT].code == "not-found"

    later(at_home, 3_600_000)
    wait_for(looked_up, "the look-up", seconds=PATIENT)
    state = run.state()
    assert run.status() == "unknown"
    assert state.visits[TEXT].phase is Phase.UNKNOWN
    assert state.visits[CHARGE].number == 1, "no failure edge is taken from unknown"
    assert requests(at_home, "/Messages.json") == 1

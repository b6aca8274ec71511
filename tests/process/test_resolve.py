"""A person's word about a call that nobody can find out about."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import State
from orchestrator.errors import InputsRefused, NotInDoubt, UnknownRun
from orchestrator.expressions.nodes import Json
from orchestrator.service import Run, resolve
from orchestrator.service.resolve import Verdict
from tests.process.house import CHARGE_AND_TEXT, DUNNING, House, plan_of

pytestmark = pytest.mark.process

STEP = "send-confirmation"


def say(
    home: House, run: str, step: str, verdict: Verdict, outputs: dict[str, Json] | None = None
) -> State:
    core = home.wiring.core
    return resolve(
        core, run, step, verdict, by="ops", reason="seen in the console", outputs=outputs
    )


def in_doubt(home: House) -> Run:
    """A run whose text never reached Twilio, though nobody knows."""
    home.sandbox.faults({"match": "POST /twilio/*", "do": "drop_before"})
    home.worker()
    run = home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs())
    assert run.wait(20) == "unknown"
    return run


def texts(home: House) -> int:
    return len(home.ledger()["messages"])


def test_a_step_that_is_said_to_have_succeeded_carries_the_run_on(at_home: House) -> None:
    run = in_doubt(at_home)
    outputs: dict[str, Json] = {"messageSid": "SM1"}
    state = say(at_home, run.id, STEP, "succeeded", outputs=outputs)
    assert state.status == "succeeded"
    assert run.report().outputs["messageSid"] == "SM1"
    said = [e for e in run.history(reasons=True) if e.kind == "outcome"][-1]
    assert (said.fields["by"], said.fields["why"]) == ("ops", "seen in the console")
    assert texts(at_home) == 0


def test_a_step_that_is_said_to_have_failed_fails_the_run(at_home: House) -> None:
    run = in_doubt(at_home)
    state = say(at_home, run.id, STEP, "failed")
    assert (state.status, state.code, state.failed_step) == ("failed", "resolved", STEP)


def test_a_step_that_is_said_to_have_done_nothing_is_sent_once_more(at_home: House) -> None:
    run = in_doubt(at_home)
    say(at_home, run.id, STEP, "resend")
    assert run.wait(20) == "succeeded"
    assert texts(at_home) == 1


def test_only_what_is_in_doubt_is_resolved_and_only_once(at_home: House) -> None:
    run = in_doubt(at_home)
    with pytest.raises(UnknownRun):
        say(at_home, "01k9", STEP, "failed")
    with pytest.raises(NotInDoubt, match="in doubt: send-confirmation"):
        say(at_home, run.id, "create-payment", "failed")
    say(at_home, run.id, STEP, "failed")
    with pytest.raises(NotInDoubt, match="nothing of this run is in doubt"):
        say(at_home, run.id, STEP, "succeeded")


def test_outputs_that_other_steps_need_must_be_said(at_home: House) -> None:
    at_home.worker()
    run = at_home.submit(
        plan_of(DUNNING, "failed-payment-dunning-real"),
        at_home.dunning_inputs(paymentMethod="pm_card_threeDSecure2Required"),
    )
    assert run.wait(20) == "unknown"
    with pytest.raises(InputsRefused, match="step dunning-sms needs it"):
        say(at_home, run.id, "attempt-payment", "succeeded")
    with pytest.raises(InputsRefused, match="no output 'paymentID'"):
        say(at_home, run.id, "attempt-payment", "succeeded", outputs={"paymentID": 1})
    assert run.status() == "unknown"

"""Two accounts of one provider: each is charged by its own runs, and by no other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest

from orchestrator.engine.state import Phase, Status
from orchestrator.service import Run, submit
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for

pytestmark = pytest.mark.process

PATIENCE = 60


def start(home: House, accounts: Mapping[str, str]) -> Run:
    plan = plan_of(CHARGE_AND_TEXT)
    return submit(home.wiring.core, plan, home.charge_inputs(), accounts=accounts)


def waits(run: Run, code: str) -> bool:
    charge = run.state().visits["create-payment"]
    return (charge.phase, charge.code) == (Phase.WAITING, code)


def statuses(home: House) -> list[int]:
    """What Stripe answered."""
    requests = home.ledger()["requests"]
    return [r["status"] for r in requests if r["path"].startswith("/stripe/")]


def test_a_run_is_charged_by_the_account_that_it_names_and_by_no_other(at_home: House) -> None:
    """The sandbox takes one key, and knows the others for none of its own."""
    secrets = at_home.environ
    secrets["STRIPE_SECRET_KEY__EU"] = secrets["STRIPE_SECRET_KEY"]
    secrets["STRIPE_SECRET_KEY"] = "sk_test_of_somebody_else"
    at_home.worker()
    usual, missing = start(at_home, {}), start(at_home, {"stripe": "us"})
    wait_for(lambda: usual.status() is Status.WAITING, "the refusal", seconds=PATIENCE)
    lacks = partial(waits, missing, "credential-missing")
    wait_for(lacks, "the missing secret", seconds=PATIENCE)
    assert set(statuses(at_home)) == {401}
    assert at_home.ledger()["charges"] == []

    named = start(at_home, {"stripe": "eu"})
    assert named.wait(PATIENCE) == "succeeded"
    assert statuses(at_home).count(200) == 1
    (charge,) = at_home.ledger()["charges"]
    assert charge["payment_intent"] in {effect.id for effect in named.report().effects}
    assert missing.state().visits["create-payment"].attempts == 0, "it called nobody"

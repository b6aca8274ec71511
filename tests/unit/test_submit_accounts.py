"""Submit by an account: what is refused before anything is stored, and what a run key holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import InputsRefused, RunKeyConflict, UnknownProvider
from orchestrator.expressions.nodes import Constant, Secret, Text
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.unit.test_submit_key import CONFIRM, House, house

__all__ = ["house"]


def own_key(flow: Plan) -> Plan:
    """Its first step brings a credential of its own."""
    first, *rest = flow.steps
    header = ("authorization", Text((Constant("Bearer "), Secret("STRIPE_SECRET_KEY"))))
    call = replace(first.call, headers=(header,))
    return replace(flow, steps=(replace(first, call=call), *rest))


def stored(house: House) -> list[bytes]:
    found: list[bytes] = house.client.keys("*run:*")
    return found


def test_a_run_says_which_accounts_it_is_called_by(house: House) -> None:
    run = house.submit(accounts={"twilio": "main", "stripe": "eu"})
    assert run.state().accounts == "stripe=eu,twilio=main"
    assert run.report().as_json()["accounts"] == {"stripe": "eu", "twilio": "main"}
    assert "accounts" not in house.submit(key="invoice-8").report().as_json()


@pytest.mark.parametrize("name", ["paypal", "anthropic", "generic", "Stripe", ""])
def test_a_provider_that_the_plan_does_not_call_is_refused_with_those_that_it_does(
    house: House, name: str
) -> None:
    with pytest.raises(UnknownProvider, match="it takes one of: stripe, twilio"):
        house.submit(accounts={name: "eu"})
    assert stored(house) == []


def test_an_account_that_would_change_no_call_is_refused(house: House) -> None:
    """It would be charged by the credential that the document writes."""
    with pytest.raises(UnknownProvider, match=r"their own credential.* one of: twilio"):
        house.submit(own_key(CONFIRM), accounts={"stripe": "eu"})
    with pytest.raises(UnknownProvider, match="one of: no provider"):
        house.submit(own_key(plans.plan(plans.charge("charge"))), accounts={"stripe": "eu"})
    assert stored(house) == []


@pytest.mark.parametrize("label", ["", "EU", "eu,twilio=x", "eu-file", "x" * 33])
def test_a_label_that_is_none_is_refused_and_not_repeated(house: House, label: str) -> None:
    with pytest.raises(InputsRefused, match="account of 'stripe'") as refused:
        house.submit(accounts={"stripe": label})
    assert not label or label not in refused.value.message
    assert stored(house) == []


@pytest.mark.parametrize(
    ("first", "then"),
    [({}, {"stripe": "eu"}), ({"stripe": "eu"}, {}), ({"stripe": "eu"}, {"stripe": "us"})],
)
def test_a_run_key_holds_in_all_accounts(
    house: House, first: dict[str, str], then: dict[str, str]
) -> None:
    """One invoice is not charged in two of them."""
    run = house.submit(accounts=first)
    assert house.submit(accounts=first).id == run.id
    with pytest.raises(RunKeyConflict, match="with another account:"):
        house.submit(accounts=then)
    other: dict[str, Any] = {"order": "+15558675310", "amount": 1}
    with pytest.raises(RunKeyConflict, match="with another account and other inputs:"):
        house.submit(inputs=other, accounts=then)

"""A provider that counts: more is queued than it takes, and what it refuses is done as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.sandbox.settings import StripeSettings
from tests.process.house import CHARGE_AND_TEXT, House, house, plan_of

pytestmark = pytest.mark.process

RUNS = 100
PATIENCE = 120
STRIPE = "/stripe/v1/payment_intents"


@pytest.fixture
def counting(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """Stripe takes so many charges a second."""
    with house(tmp_path, stripe=StripeSettings(rate=request.param)) as found:
        yield found


@pytest.mark.parametrize("counting", [25, 10], indirect=True)
def test_many_charges_at_once_are_made_once_each_within_what_the_provider_takes(
    counting: House,
) -> None:
    for _ in range(2):
        counting.worker()
    plan = plan_of(CHARGE_AND_TEXT)
    runs = [counting.submit(plan, counting.charge_inputs()) for _ in range(RUNS)]
    assert {run.wait(PATIENCE) for run in runs} == {"succeeded"}
    ledger = counting.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == RUNS
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    # At 10 a second it says no until its limit is found: that is not for long.
    refused = [r for r in ledger["requests"] if r["path"] == STRIPE and r["status"] == 429]
    assert len(refused) <= RUNS / 2

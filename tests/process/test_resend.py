"""What is wanted twice rather than never, by real workers: looked up first, where that can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.sandbox.settings import STRIPE_SECRET_KEY
from orchestrator.expressions.nodes import Constant
from orchestrator.journal.keys import Keys
from orchestrator.plan.model import HttpCall, Plan, Step
from orchestrator.service import Run
from orchestrator.wiring import connect
from tests.fakes import plans
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for

pytestmark = pytest.mark.process

#: Longer than any first look-up waits, and any pause before another send. ms.
LATER = 130_000


def wanted_twice() -> Plan:
    found = plan_of(CHARGE_AND_TEXT)
    text = replace(found.step("send-confirmation"), when_unknown="resend")
    return replace(found, steps=(*found.steps[:-1], text))


def ends(home: House, run: Run) -> None:
    """Redis' clock is durazzo's: nobody waits for it here."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.incrby(Keys().clock, LATER)
    wait_for(lambda: run.status() == "succeeded", "the end")


def sent_again(run: Run) -> list[tuple[str, bool]]:
    outcomes = [event for event in run.history() if event.kind == "outcome"]
    return [(e.fields.get("c", ""), bool(e.fields.get("r"))) for e in outcomes if "r" in e.fields]


def posts(home: House, path: str) -> int:
    rows = home.ledger()["requests"]
    return sum(r["method"] == "POST" and path in r["path"] for r in rows)


@pytest.mark.parametrize(("fault", "sends"), [("drop_before", 2), ("drop_after", 1)])
def test_a_text_is_sent_again_only_if_it_is_not_found(
    at_home: House, fault: str, sends: int
) -> None:
    at_home.sandbox.faults({"match": "POST /twilio/*", "do": fault})
    at_home.worker()
    run = at_home.submit(wanted_twice(), at_home.charge_inputs())
    assert run.wait(60) == "unknown"
    ends(at_home, run)
    assert posts(at_home, "/twilio/") == sends
    assert len(at_home.ledger()["messages"]) == len(at_home.ledger()["charges"]) == 1
    assert sent_again(run) == ([("not-found", True)] if sends > 1 else [])


def test_a_call_about_which_nobody_can_be_asked_is_made_again_after_a_pause(
    at_home: House,
) -> None:
    at_home.sandbox.faults({"match": "POST /stripe/v1/customers", "do": "drop_after"})
    at_home.worker()
    run = at_home.submit(plans.plan(customer(at_home)), {})
    wait_for(lambda: run.status() == "waiting", "the pause")
    assert posts(at_home, "/customers") == 1
    ends(at_home, run)
    assert posts(at_home, "/customers") == 2
    [(_, again)] = sent_again(run)
    assert again


def customer(home: House) -> Step:
    """Of an API that no profile knows, which is Stripe's here."""
    call = HttpCall(
        provider="generic", method="POST", server="https://crm.example",
        via=f"{home.sandbox.url}/stripe", path=(Constant("/v1/customers"),),
        headers=(("Authorization", Constant(f"Bearer {STRIPE_SECRET_KEY}")),),
    )  # fmt: skip
    return replace(plans.step("customer", call=call), when_unknown="resend")

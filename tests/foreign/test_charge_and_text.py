"""The published seed (charge, then text) against localstripe and Prism.

What of localstripe 1.15 is not as Stripe is, and what the tests make of it:

- It ignores ``Idempotency-Key``: two equal requests are two charges. So its books are a judge of
  what durazzo sends, and no charge is counted once by its grace.
- It knows three test payment methods by name. ``pm_card_visa_chargeDeclined`` is charged all the
  same; ``pm_card_chargeCustomerFail`` is declined. Other cards are made by their numbers first.
- A decline is 402 and ``card_declined``, but its type is ``invalid_request_error``, without
  ``decline_code``, ``payment_intent`` or ``Stripe-Should-Retry``.

Prism keeps no books: it holds a request against the description and answers with the example.
"""

from __future__ import annotations

import pytest

from ops.lab import wait_for
from orchestrator.formats.load import specs_folder
from tests.foreign.conftest import Done, Durazzo
from tests.foreign.servers import SID, LocalStripe, Prism

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(900)]

SEED = specs_folder() / "published" / "geo-stripe-payment-twilio-sms-confirm.yml"
AUTHENTICATES = "4000002500003155"
ACCOUNT = "AC" + "c" * 32
RIGHT = "To=%2B15558675310&From=%2B15005550006&Body=Thank+you"


def order(durazzo: Durazzo, **changes: str) -> list[str]:
    inputs = {
        "amount": "2000",
        "currency": "usd",
        "paymentMethod": "pm_card_visa",
        "accountSid": durazzo.account,
        "toPhone": "+15558675310",
        "fromPhone": "+15005550006",
        **changes,
    }
    pairs = [word for name, text in inputs.items() for word in ("-i", f"{name}={text}")]
    return [str(SEED), *pairs, "--json"]


def charged_and_texted(done: Done, localstripe: LocalStripe) -> None:
    assert done.code == 0, done.err
    assert done.steps() == [
        ("create-payment", "succeeded", 200),
        ("send-confirmation", "succeeded", 201),
    ]
    (intent,) = localstripe.listed("payment_intents")
    assert (intent["status"], intent["currency"]) == ("succeeded", "usd")
    assert localstripe.paid() == [(intent["id"], 2000)]
    assert done.json["outputs"] == {"paymentId": intent["id"], "messageSid": SID}


def test_the_seed_charges_once_and_its_text_is_valid(
    durazzo: Durazzo, localstripe: LocalStripe, prism: Prism
) -> None:
    """The servers named on the command line. 201 is Prism's word that the request is right."""
    done = durazzo("run", *order(durazzo), *durazzo.by_option())
    charged_and_texted(done, localstripe)
    wait_for(lambda: prism.asked(durazzo.account) > 0, "Prism's log")
    assert prism.asked(durazzo.account) == 1


def test_the_setting_for_all_processes_points_there_as_well(
    durazzo: Durazzo, localstripe: LocalStripe
) -> None:
    """``DURAZZO_SERVERS`` instead of ``--server``."""
    charged_and_texted(durazzo("run", *order(durazzo), **durazzo.by_setting()), localstripe)


def test_a_decline_fails_the_run_and_texts_nobody(
    durazzo: Durazzo, localstripe: LocalStripe, prism: Prism
) -> None:
    """One attempt: a declined card is not tried again."""
    words = order(durazzo, paymentMethod="pm_card_chargeCustomerFail")
    done = durazzo("run", *words, *durazzo.by_option())
    assert done.code == 1, done.err
    assert done.steps() == [("create-payment", "failed", 402)]
    assert done.json["error"]["code"] == "card_declined"
    assert [c["status"] for c in localstripe.listed("charges")] == ["failed"]
    assert prism.asked(durazzo.account) == 0


def test_a_payment_that_waits_for_its_customer_is_not_asked_for_twice(
    durazzo: Durazzo, localstripe: LocalStripe, prism: Prism
) -> None:
    """3-D Secure: money may still move, so the run is neither failed nor sent again."""
    words = order(durazzo, paymentMethod=localstripe.card(AUTHENTICATES))
    done = durazzo("run", *words, *durazzo.by_option())
    assert done.code == 6, done.err
    assert done.json["error"]["code"] == "requires_action"
    (intent,) = localstripe.listed("payment_intents")
    assert intent["status"] == "requires_action"
    assert localstripe.listed("charges") == []
    assert prism.asked(durazzo.account) == 0


def test_the_same_run_key_is_the_same_run_and_no_second_charge(
    durazzo: Durazzo, localstripe: LocalStripe, prism: Prism
) -> None:
    words = [*order(durazzo), *durazzo.by_option(), "--key", "order-1042"]
    first = durazzo("run", *words)
    charged_and_texted(first, localstripe)
    again = durazzo("run", *words)
    assert again.json["run"] == first.json["run"]
    charged_and_texted(again, localstripe)
    assert prism.asked(durazzo.account) == 1


def test_localstripe_charges_as_often_as_it_is_asked(localstripe: LocalStripe) -> None:
    """The control for every "once" above: its books hide no second request."""
    form = "amount=2000&currency=usd&confirm=true&payment_method=pm_card_visa"
    for _ in range(2):
        assert localstripe.ask("/v1/payment_intents", form, Idempotency_Key="one")[0] == 200
    assert len(localstripe.paid()) == 2


def test_a_text_that_is_refused_leaves_the_charge_and_is_sent_once(
    durazzo: Durazzo, localstripe: LocalStripe, prism: Prism
) -> None:
    """A number without its +: what durazzo sends is really held against the description."""
    done = durazzo("run", *order(durazzo, toPhone="15558675310"), *durazzo.by_option())
    assert done.code == 1, done.err
    assert done.steps() == [
        ("create-payment", "succeeded", 200),
        ("send-confirmation", "failed", 422),
    ]
    assert len(localstripe.paid()) == 1
    wait_for(lambda: prism.asked(durazzo.account) > 0, "Prism's log")
    assert prism.asked(durazzo.account) == 1


@pytest.mark.parametrize(
    ("account", "body", "status"),
    [
        pytest.param(ACCOUNT, RIGHT, 201, id="right"),
        pytest.param(ACCOUNT, RIGHT.replace("%2B", "+"), 422, id="a-plus-that-is-a-space"),
        pytest.param(ACCOUNT, RIGHT.partition("&Body")[0], 422, id="no-body"),
        pytest.param(ACCOUNT, RIGHT + "x" * 1600, 422, id="too-long"),
        pytest.param("AC1", RIGHT, 422, id="no-account"),
    ],
)
def test_prism_refuses_a_text_that_twilio_would(
    prism: Prism, account: str, body: str, status: int
) -> None:
    """The control for every 201 above."""
    assert prism.ask(account, body) == status


def test_prism_refuses_json(prism: Prism) -> None:
    body = '{"To": "+15558675310", "From": "+15005550006", "Body": "Thank you"}'
    assert prism.ask(ACCOUNT, body, Content_Type="application/json") == 415

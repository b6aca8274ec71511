"""The same two calls as a person would chain them in Celery: no journal, no durability.

It has every advantage that a fair baseline may have: durazzo's own broker settings, immutable
signatures, no results, one pooled client a process, and values in its messages.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

import httpx

from orchestrator.canvas.app import make_app
from orchestrator.settings import Settings

TEXT: Final = "Your payment was received. Thank you for your order."
CHARGE_TASK: Final = "handwritten.charge"
TEXT_TASK: Final = "handwritten.text"
_DEADLINE_S: Final = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One customer's order: what a run of seed 000 takes as inputs."""

    number: str
    amount: int
    currency: str
    card: str
    account: str
    to: str
    sender: str


class Shop:
    """The two calls, on one pooled client a process."""

    def __init__(self, settings: Settings) -> None:
        environ = settings.environ
        self._stripe = settings.servers["https://api.stripe.com"]
        self._twilio = settings.servers["https://api.twilio.com"]
        self._bearer = f"Bearer {environ['STRIPE_SECRET_KEY']}"
        pair = f"{environ['TWILIO_ACCOUNT_SID']}:{environ['TWILIO_AUTH_TOKEN']}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._client = httpx.Client(
            timeout=_DEADLINE_S, trust_env=False, headers={"Accept-Encoding": "identity"}
        )

    def charge(self, order: Mapping[str, Any]) -> None:
        paid = self._post(
            f"{self._stripe}/v1/payment_intents",
            {
                "amount": order["amount"],
                "currency": order["currency"],
                "confirm": "true",
                "payment_method": order["card"],
            },
            {"Authorization": self._bearer, "Idempotency-Key": order["number"]},
        )
        if paid["status"] != "succeeded":
            raise RuntimeError("not charged")

    def text(self, order: Mapping[str, Any]) -> None:
        self._post(
            f"{self._twilio}/2010-04-01/Accounts/{order['account']}/Messages.json",
            {"To": order["to"], "From": order["sender"], "Body": TEXT},
            {"Authorization": self._basic},
        )

    def close(self) -> None:
        self._client.close()

    def _post(self, url: str, form: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        answer = self._client.post(url, data=form, headers=headers)
        answer.raise_for_status()
        return json.loads(answer.content)


def create(settings: Settings) -> Any:
    """A Celery app under durazzo's settings, with two tasks of its own."""
    celery = make_app(settings)
    # Called in a task only: a pool child opens its own connections, after the fork.
    shop: Callable[[], Shop] = cache(lambda: Shop(settings))

    @celery.task(name=CHARGE_TASK, shared=False)  # type: ignore[untyped-decorator]
    def charge(order: dict[str, Any]) -> None:
        shop().charge(order)

    @celery.task(name=TEXT_TASK, shared=False)  # type: ignore[untyped-decorator]
    def text(order: dict[str, Any]) -> None:
        shop().text(order)

    return celery


def send(celery: Any, order: Order, queue: str) -> None:
    plain = asdict(order)
    steps = [
        celery.signature(name, args=(plain,), immutable=True, queue=queue)
        for name in (CHARGE_TASK, TEXT_TASK)
    ]
    (steps[0] | steps[1]).apply_async()

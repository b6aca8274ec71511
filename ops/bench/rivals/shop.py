"""The two calls, as whoever writes a workflow in Python writes them: with httpx alone.

Programs in environments of their own import it, so nothing of the project may stand here. The
hand-written chain's calls (``ops.bench.handwritten``) are the same to the byte.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

_TEXT: Final = "Your payment was received. Thank you for your order."
_DEADLINE_S: Final = 80.0


class Shop:
    """One pooled client a process."""

    def __init__(self, environ: Mapping[str, str], *, connections: int) -> None:
        servers = json.loads(environ["DURAZZO_SERVERS"])
        self._stripe: str = servers["https://api.stripe.com"]
        self._twilio: str = servers["https://api.twilio.com"]
        self._bearer = f"Bearer {environ['STRIPE_SECRET_KEY']}"
        pair = f"{environ['TWILIO_ACCOUNT_SID']}:{environ['TWILIO_AUTH_TOKEN']}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._client = httpx.Client(
            timeout=_DEADLINE_S,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    def charge(self, order: Mapping[str, Any]) -> str:
        """The payment's id."""
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
        return str(paid["id"])

    def text(self, order: Mapping[str, Any]) -> str:
        """The message's id."""
        sent = self._post(
            f"{self._twilio}/2010-04-01/Accounts/{order['account']}/Messages.json",
            {"To": order["to"], "From": order["sender"], "Body": _TEXT},
            {"Authorization": self._basic},
        )
        return str(sent["sid"])

    def close(self) -> None:
        self._client.close()

    def _post(self, url: str, form: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        answer = self._client.post(url, data=form, headers=headers)
        answer.raise_for_status()
        return json.loads(answer.content)

"""The ledger: what was really charged, sent, opened and written, and what of it was once too often.

The books know neither a run nor a workflow. A duplicate is what they themselves can see:

- a **charge** that took money when an earlier charge already did so with the same non-empty
  `metadata` (all its keys and values alike) or under the same idempotency key;
- a **text** when one with the same (To, From, Body) was sent before.

A charge with neither metadata nor key can be told from no other, so it is never a duplicate. Nor is
a payment that was opened, for each is paid on its own or not at all, nor a generation.
Of requests the latest are kept; everything else is only ever added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that was taken."""

    payment_intent: str
    charge: str
    amount: int
    currency: str
    #: The idempotency key of the call that confirmed the payment.
    key: str | None
    customer: str | None
    metadata: Mapping[str, str]
    created: float

    def marks(self) -> Iterator[Hashable]:
        """What no second charge may have in common with this one."""
        if self.key is not None:
            yield ("key", self.key)
        if self.metadata:
            yield ("metadata", frozenset(self.metadata.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text message that was sent."""

    sid: str
    to: str
    sender: str
    body: str
    created: float

    @property
    def mark(self) -> Hashable:
        return (self.to, self.sender, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment that was opened at a bank, and that a payer has to confirm."""

    session_id: str
    amount: str
    currency: str
    communication: str
    created: float
    #: How far it is at a time, in the words of the provider.
    status: Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A text that a model was asked for. Of the prompt there is a digest only."""

    id: str
    model: str
    stop_reason: str
    #: SHA-256.
    prompt: bytes
    created: float


@dataclass(slots=True, kw_only=True)
class Arrival:
    """A request to a provider, written down as it comes; what became of it is filled in later."""

    method: str
    path: str
    key: str | None
    at: float
    #: SHA-256 of the body's bytes as they were received.
    digest: bytes
    #: None while nothing was answered, and for good when the connection was dropped.
    status: int | None = None
    executed: bool = False
    fault: str | None = None


class Books:
    def __init__(self, *, keep_requests: int) -> None:
        self._charges: list[tuple[Charge, str | None]] = []
        self._texts: list[tuple[Text, str | None]] = []
        self._payments: list[Payment] = []
        self._generations: list[Generation] = []
        self._requests: deque[Arrival] = deque(maxlen=keep_requests)
        self._first_charges: dict[Hashable, str] = {}
        self._first_texts: dict[Hashable, str] = {}
        self._arrived = 0
        self._duplicate_charges = 0
        self._duplicate_texts = 0

    def arrived(self, arrival: Arrival) -> None:
        self._arrived += 1
        self._requests.append(arrival)

    def charged(self, charge: Charge) -> None:
        marks = list(charge.marks())
        earlier = next((first for m in marks if (first := self._first_charges.get(m))), None)
        for mark in marks:
            self._first_charges.setdefault(mark, charge.payment_intent)
        self._duplicate_charges += earlier is not None
        self._charges.append((charge, earlier))

    def sent(self, text: Text) -> None:
        earlier = self._first_texts.get(text.mark)
        self._first_texts.setdefault(text.mark, text.sid)
        self._duplicate_texts += earlier is not None
        self._texts.append((text, earlier))

    def opened(self, payment: Payment) -> None:
        self._payments.append(payment)

    def generated(self, generation: Generation) -> None:
        self._generations.append(generation)

    def ledger(self, *, now: float, with_requests: bool) -> dict[str, object]:
        """The whole ledger in the shape of `GET /ledger`."""
        ledger: dict[str, object] = {
            "charges": [_charge_row(*entry) for entry in self._charges],
            "messages": [_text_row(*entry) for entry in self._texts],
            "payments": [_payment_row(payment, now) for payment in self._payments],
            "generations": [_generation_row(generation) for generation in self._generations],
        }
        if with_requests:
            ledger["requests"] = [_request_row(arrival) for arrival in self._requests]
        return ledger | {
            "requests_dropped": self._arrived - len(self._requests),
            "duplicates": self._duplicates(),
        }

    def summary(self) -> dict[str, object]:
        """Counts only, in the shape of `GET /ledger/summary`."""
        return {
            "charges": len(self._charges),
            "messages": len(self._texts),
            "payments": len(self._payments),
            "generations": len(self._generations),
            "requests": self._arrived,
            "requests_dropped": self._arrived - len(self._requests),
            "duplicates": self._duplicates(),
        }

    def _duplicates(self) -> dict[str, int]:
        return {"charges": self._duplicate_charges, "messages": self._duplicate_texts}


def _charge_row(charge: Charge, earlier: str | None) -> dict[str, object]:
    return {
        "payment_intent": charge.payment_intent,
        "charge": charge.charge,
        "amount": charge.amount,
        "currency": charge.currency,
        "status": "succeeded",
        "key": charge.key,
        "customer": charge.customer,
        "metadata": dict(charge.metadata),
        "created": charge.created,
        "duplicate_of": earlier,
    }


def _text_row(text: Text, earlier: str | None) -> dict[str, object]:
    return {
        "sid": text.sid,
        "to": text.to,
        "from": text.sender,
        "body": text.body,
        "created": text.created,
        "duplicate_of": earlier,
    }


def _payment_row(payment: Payment, now: float) -> dict[str, object]:
    return {
        "session_id": payment.session_id,
        "amount": payment.amount,
        "currency": payment.currency,
        "communication": payment.communication,
        "status": payment.status(now),
        "created": payment.created,
    }


def _generation_row(generation: Generation) -> dict[str, object]:
    return {
        "id": generation.id,
        "model": generation.model,
        "stop_reason": generation.stop_reason,
        "prompt_sha256": generation.prompt.hex(),
        "created": generation.created,
    }


def _request_row(arrival: Arrival) -> dict[str, object]:
    return {
        "method": arrival.method,
        "path": arrival.path,
        "status": arrival.status,
        "key": arrival.key,
        "at": arrival.at,
        "sha256": arrival.digest.hex(),
        "executed": arrival.executed,
        "fault": arrival.fault,
    }

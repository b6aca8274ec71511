"""The account's customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.sandbox.exchange import Answer, Ids, ok
from ops.sandbox.stripe.errors import missing
from ops.sandbox.stripe.params import Params

_REMARKS: Final = ("description", "email", "name", "phone")
_KNOWN: Final = frozenset({*_REMARKS, "metadata"})
_UNPLAYED: Final = frozenset({
    "address", "balance", "cash_balance", "coupon", "expand", "invoice_prefix", "invoice_settings",
    "next_invoice_sequence", "payment_method", "preferred_locales", "promotion_code", "shipping",
    "source", "tax", "tax_exempt", "tax_id_data", "test_clock",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Customer:
    id: str
    created: float
    metadata: dict[str, str]
    remarks: dict[str, str | None]

    def body(self) -> dict[str, object]:
        return {
            "id": self.id,
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": int(self.created),
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": self.remarks["description"],
            "email": self.remarks["email"],
            "livemode": False,
            "metadata": self.metadata,
            "name": self.remarks["name"],
            "phone": self.remarks["phone"],
            "preferred_locales": [],
            "shipping": None,
        }


class Customers:
    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._customers: dict[str, _Customer] = {}

    def create(self, params: Params, now: float) -> Answer:
        params.must_be_among(_KNOWN, unplayed=_UNPLAYED)
        customer = _Customer(
            id=self._ids.letters("cus_", 14),
            created=now,
            metadata=params.metadata(),
            remarks={name: params.clearable_text(name) for name in _REMARKS},
        )
        self._customers[customer.id] = customer
        return ok(customer.body())

    def get(self, name: str, params: Params) -> Answer:
        params.must_be_among((), unplayed={"expand"})
        customer = self._customers.get(name)
        if customer is None:
            return missing("customer", name, status=404, param="id")
        return ok(customer.body())

    def __contains__(self, name: str) -> bool:
        return name in self._customers

    def __len__(self) -> int:
        return len(self._customers)

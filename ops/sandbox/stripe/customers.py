"""The account's customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.sandbox.exchange import Answer, Ids, ok
from ops.sandbox.stripe import known
from ops.sandbox.stripe.errors import missing, unplayed
from ops.sandbox.stripe.listing import Objects, listed
from ops.sandbox.stripe.params import Params

_REMARKS: Final = ("description", "email", "name", "phone")
_PLAYED: Final = frozenset({*_REMARKS, "metadata"})


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
        self._customers: Objects[_Customer] = Objects("customer")

    def create(self, params: Params, now: float) -> Answer:
        params.must_be_among(_PLAYED, real=known.CUSTOMER)
        customer = _Customer(
            id=self._ids.letters("cus_", 14),
            created=now,
            metadata=params.metadata(),
            remarks={name: params.clearable_text(name) for name in _REMARKS},
        )
        return ok(self._customers.keep(customer).body())

    def get(self, name: str, params: Params) -> Answer:
        params.must_be_among((), real={"expand"})
        customer = self._customers.find(name)
        if customer is None:
            return missing("customer", name, status=404, param="id")
        return ok(customer.body())

    def page(self, params: Params) -> Answer:
        if "test_clock" in params:
            raise unplayed("parameter test_clock")
        return listed(self._customers, params, {"email": lambda each: each.remarks["email"]})

    def __contains__(self, name: str) -> bool:
        return self._customers.find(name) is not None

    def __len__(self) -> int:
        return len(self._customers)

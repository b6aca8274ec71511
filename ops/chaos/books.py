"""The sandbox's ledger, by customer. What cannot be placed is nobody's, and a finding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from ops.chaos.schedule import Customer
from ops.chaos.workflows import SENDER, Workflow

Row: TypeAlias = Mapping[str, Any]
_FAILING: Final = 500
#: In the ledger's words: an answer was never sent, or byte by byte.
_UNSEEN: Final = ("drop_before", "drop_after", "drip")


@dataclass(slots=True)
class Account:
    """What the providers did for one customer."""

    charges: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    #: Requests for a text, in the order in which they came.
    asked: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    #: By the customer's number.
    accounts: Mapping[int, Account]
    #: What belongs to no customer, in a few words each.
    strangers: Sequence[str]
    #: As the sandbox itself counts them.
    duplicates: Mapping[str, int]
    #: When somebody looked texts up. Seconds since the epoch.
    looked_up: Sequence[float]


def read(ledger: Mapping[str, Any], customers: Sequence[Customer], workflow: Workflow) -> Books:
    accounts = {customer.number: Account() for customer in customers}
    by_amount = {customer.amount: accounts[customer.number] for customer in customers}
    by_phone = {customer.phone: accounts[customer.number] for customer in customers}
    by_request = {digest: accounts[c.number] for c in customers for digest in _digests(c, workflow)}
    keys = {customer.amount: customer.key for customer in customers}
    strangers: list[str] = []
    for row in ledger["charges"]:
        own = row["metadata"].get("order") == keys.get(row["amount"])
        _place(row, by_amount.get(row["amount"]) if own else None, "charges", strangers)
    for row in ledger["messages"]:
        own = row["body"] == workflow.words
        _place(row, by_phone.get(row["to"]) if own else None, "texts", strangers)
    messages = [row for row in ledger["requests"] if row["path"].endswith("/Messages.json")]
    for row in messages:
        if row["method"] == "POST":
            _place(row, by_request.get(row["sha256"]), "asked", strangers)
    return Books(
        accounts=accounts,
        strangers=strangers,
        duplicates=ledger["duplicates"],
        looked_up=[row["at"] for row in messages if row["method"] == "GET"],
    )


def answer_lost(row: Row) -> bool:
    """Whether the sandbox itself kept the caller in doubt."""
    fault = row["fault"] or ""
    return row["status"] is None or row["status"] >= _FAILING or any(w in fault for w in _UNSEEN)


def refused(row: Row) -> bool:
    """Answered in a way that says that nothing was done."""
    return row["status"] is not None and row["status"] < _FAILING and not row["executed"]


def _place(row: Row, account: Account | None, kind: str, strangers: list[str]) -> None:
    if account is None:
        strangers.append(f"{kind}: {row.get('payment_intent') or row.get('sid') or row['path']}")
        return
    rows: list[Row] = getattr(account, kind)
    rows.append(row)


def _digests(customer: Customer, workflow: Workflow) -> Iterable[str]:
    """Of the one request for a text that this customer's run may make."""
    if not workflow.texts:
        return ()
    form = [("To", customer.phone), ("From", SENDER), ("Body", workflow.words)]
    return [hashlib.sha256(urlencode(form).encode()).hexdigest()]

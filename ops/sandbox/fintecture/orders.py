"""What a merchant asks to be paid: the body of a connect call, read and checked.

That the payer's name and email and the `state` are mandatory is Fintecture's rule, and the
currencies are its description's. The forms of amount and communication are inferred: what a
European transfer can carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ops.sandbox.exchange import Call, form_pairs, json_document
from ops.sandbox.fintecture import known
from ops.sandbox.fintecture.errors import Flaw, missing, refusal, unplayed, wrong

_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?", re.ASCII)
_CURRENCIES: Final = ("EUR", "GBP", "PLN")
#: A SEPA transfer carries as many characters of remittance information.
_MAX_COMMUNICATION: Final = 140
_MAX_TEXT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    #: In units of the currency: `149.30`.
    amount: str
    currency: str
    communication: str


def read_order(call: Call, *, documented: bool) -> Order:
    """Refuses with all that is missing or wrong. Documented, neither payer nor state is needed."""
    document = _document(call)
    attributes = _part(_part(document, "data"), "attributes")
    amount = attributes.get("amount")
    order = Order(
        # The SDKs' samples have numbers as well.
        amount=str(amount) if _is_number(amount) else _text(amount),
        currency=_text(attributes.get("currency")),
        communication=_text(attributes.get("communication")),
    )
    flaws = list(_flaws(order))
    if not documented:
        flaws = [*_payer_flaws(_part(document, "meta"), call), *flaws]
    if flaws:
        raise refusal(400, *flaws)
    _check_attributes(attributes)
    return order


def _document(call: Call) -> object:
    try:
        return json_document(call.body)
    except ValueError:
        raise refusal(400, wrong("body", "JSON")) from None


def _payer_flaws(meta: Mapping[str, object], call: Call) -> Iterator[Flaw]:
    if not _state(call):
        yield missing("state")
    for name in ("psu_name", "psu_email"):
        text = _text(meta.get(name))
        if not text:
            yield missing(f"meta.{name}")
        elif len(text) > _MAX_TEXT:
            yield wrong(f"meta.{name}", f"of {_MAX_TEXT} characters at most")
    email = _text(meta.get("psu_email"))
    if email and "@" not in email:
        yield wrong("meta.psu_email", "an email address")


def _flaws(order: Order) -> Iterator[Flaw]:
    where = "data.attributes"
    if not order.amount:
        yield missing(f"{where}.amount")
    elif _AMOUNT.fullmatch(order.amount) is None or not order.amount.strip("0."):
        yield wrong(f"{where}.amount", "more than 0, with two decimals at most: '149.30'")
    if not order.currency:
        yield missing(f"{where}.currency")
    elif order.currency not in _CURRENCIES:
        yield wrong(f"{where}.currency", f"one of {', '.join(_CURRENCIES)}")
    if not order.communication:
        yield missing(f"{where}.communication")
    elif len(order.communication) > _MAX_COMMUNICATION:
        yield wrong(f"{where}.communication", f"of {_MAX_COMMUNICATION} characters at most")


def _check_attributes(attributes: Mapping[str, object]) -> None:
    for name in known.ATTRIBUTES:
        if attributes.get(name):
            raise unplayed(f"attribute {name}")
    method = _text(attributes.get("payment_method"))
    if method in known.METHODS:
        raise unplayed(f"payment method {method}")


def _state(call: Call) -> str:
    try:
        return dict(form_pairs(call.query)).get("state", "")
    except ValueError:
        raise refusal(400, wrong("query", "of fewer parameters")) from None


def _part(document: object, name: str) -> Mapping[str, object]:
    part = document.get(name) if isinstance(document, Mapping) else None
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    """What is not a text counts as missing."""
    return value.strip() if isinstance(value, str) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""The payment intents by name, and in pages: newest first, and by search."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from ops.sandbox.exchange import Answer, Body, ok
from ops.sandbox.stripe.errors import missing, refusal
from ops.sandbox.stripe.intents import Intent
from ops.sandbox.stripe.params import Params

_CLAUSE: Final = re.compile(r"(metadata\['([^']*)'\]|status|customer):'([^']*)'")

_Wanted = Callable[[Intent], bool]


class Intents:
    """Payment intents in the order of their creation."""

    def __init__(self) -> None:
        self._intents: list[Intent] = []
        self._places: dict[str, int] = {}

    def keep(self, intent: Intent) -> Intent:
        """Adds an intent, or replaces what was kept under its name."""
        place = self._places.setdefault(intent.id, len(self._intents))
        self._intents[place : place + 1] = [intent]
        return intent

    def find(self, name: str) -> Intent | None:
        place = self._places.get(name)
        return None if place is None else self._intents[place]

    def newest_first(self, *, before: str | None = None) -> Iterator[Intent]:
        start = len(self._intents) if before is None else self._places[before]
        return (self._intents[place] for place in range(start - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._intents)


def listed(intents: Intents, params: Params) -> Answer:
    known = {"created", "customer", "limit", "starting_after"}
    params.must_be_among(known, unplayed={"ending_before", "expand"})
    limit = params.integer("limit", low=1, high=100) or 10
    customer = params.text("customer")
    earliest, latest = params.range("created")
    after = params.text("starting_after")
    if after is not None and intents.find(after) is None:
        return missing("payment_intent", after, status=400, param="starting_after")

    def wanted(intent: Intent) -> bool:
        return (latest is None or int(intent.created) <= latest) and (
            customer in {None, intent.customer}
        )

    candidates = _not_before(earliest, intents.newest_first(before=after))
    page, more = _page(candidates, wanted, limit)
    return ok({"object": "list", "data": page, "has_more": more, "url": "/v1/payment_intents"})


def searched(intents: Intents, params: Params) -> Answer:
    """`metadata['k']:'v'`, `status:'v'` and `customer:'v'`, joined by AND.

    Unlike Stripe's, which lags by up to a minute, it finds what was made a moment ago.
    """
    params.must_be_among({"limit", "query"}, unplayed={"expand", "page"})
    limit = params.integer("limit", low=1, high=100) or 10
    clauses = [_clause(clause.strip()) for clause in params.needed_text("query").split(" AND ")]
    page, more = _page(intents.newest_first(), lambda i: all(c(i) for c in clauses), limit)
    return ok({
        "object": "search_result",
        "data": page,
        "has_more": more,
        "next_page": None,
        "url": "/v1/payment_intents/search",
    })


def _not_before(earliest: int | None, newest_first: Iterator[Intent]) -> Iterator[Intent]:
    for intent in newest_first:
        if earliest is not None and int(intent.created) < earliest:
            return
        yield intent


def _page(candidates: Iterator[Intent], wanted: _Wanted, limit: int) -> tuple[list[Body], bool]:
    page: list[Body] = []
    for intent in filter(wanted, candidates):
        if len(page) == limit:
            return page, True
        page.append(intent.body())
    return page, False


def _clause(clause: str) -> _Wanted:
    found = _CLAUSE.fullmatch(clause)
    if found is None:
        raise refusal(
            f"The sandbox does not play this search: {clause!r}. It plays metadata['k']:'v', "
            "status:'v' and customer:'v', joined by AND.",
            param="query",
        )
    field, metadata_key, value = found.groups()
    if field == "status":
        return lambda intent: intent.status.value == value
    if field == "customer":
        return lambda intent: intent.customer == value
    return lambda intent: intent.metadata.get(metadata_key) == value

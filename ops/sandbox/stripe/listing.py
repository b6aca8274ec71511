"""Objects of one kind by name, and in pages: newest first, and payment intents by search."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

from ops.sandbox.exchange import Answer, Body, ok
from ops.sandbox.stripe import known
from ops.sandbox.stripe.errors import missing, refusal, unplayed
from ops.sandbox.stripe.intents import Intent
from ops.sandbox.stripe.params import Params

_CLAUSE: Final = re.compile(
    r"""(?:metadata\[(?P<m>['"])(?P<key>.*?)(?P=m)\]|(?P<field>status|customer))"""
    r""":(?P<q>['"])(?P<value>[^'"]*)(?P=q)"""
)
#: What Stripe's search language has beside: other fields and operators, NOT, and OR.
_REAL_CLAUSE: Final = re.compile(
    r"-?(amount|created|currency|customer|status|metadata\[[^\]]+\])\s*(:|~|<=?|>=?).+"
)


class Listable(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def created(self) -> float: ...

    def body(self) -> Body: ...


T = TypeVar("T", bound=Listable)


class Objects(Generic[T]):
    """Objects in the order of their creation."""

    def __init__(self, kind: str) -> None:
        #: As Stripe calls it: `payment_intent`.
        self.kind = kind
        self._objects: list[T] = []
        self._places: dict[str, int] = {}

    def keep(self, each: T) -> T:
        """Adds an object, or replaces what was kept under its name."""
        place = self._places.setdefault(each.id, len(self._objects))
        self._objects[place : place + 1] = [each]
        return each

    def find(self, name: str) -> T | None:
        place = self._places.get(name)
        return None if place is None else self._objects[place]

    def newest_first(self, *, before: str | None = None) -> Iterator[T]:
        start = len(self._objects) if before is None else self._places[before]
        return (self._objects[place] for place in range(start - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._objects)


def listed(
    objects: Objects[T], params: Params, filters: Mapping[str, Callable[[T], str | None]]
) -> Answer:
    """A page of those of which all filters that were sent are true; the case of letters counts."""
    known_names = {"created", "limit", "starting_after", *filters}
    params.must_be_among(known_names, real=known.LIST)
    limit = params.integer("limit", low=1, high=100) or 10
    sought = [(text, of) for name, of in filters.items() if (text := params.text(name))]
    earliest, latest = params.range("created")
    after = params.text("starting_after")
    if after is not None and objects.find(after) is None:
        return missing(objects.kind, after, status=400, param="starting_after")

    def wanted(each: T) -> bool:
        in_time = latest is None or int(each.created) <= latest
        return in_time and all(of(each) == text for text, of in sought)

    candidates = _not_before(earliest, objects.newest_first(before=after))
    page, more = _page(candidates, wanted, limit)
    url = f"/v1/{objects.kind}s"
    return ok({"object": "list", "data": page, "has_more": more, "url": url})


def searched(intents: Objects[Intent], params: Params) -> Answer:
    """`metadata['k']:'v'`, `status:'v'` and `customer:'v'`, joined by AND.

    Unlike Stripe's, which lags by up to a minute, it finds what was made a moment ago.
    """
    params.must_be_among({"limit", "query"}, real={"expand", "page"})
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


def _not_before(earliest: int | None, newest_first: Iterator[T]) -> Iterator[T]:
    for each in newest_first:
        if earliest is not None and int(each.created) < earliest:
            return
        yield each


def _page(
    candidates: Iterator[T], wanted: Callable[[T], bool], limit: int
) -> tuple[list[Body], bool]:
    page: list[Body] = []
    for each in filter(wanted, candidates):
        if len(page) == limit:
            return page, True
        page.append(each.body())
    return page, False


def _clause(clause: str) -> Callable[[Intent], bool]:
    found = _CLAUSE.fullmatch(clause)
    if found is None:
        raise _not_searched(clause)
    value = found["value"]
    if found["field"] == "status":
        return lambda intent: intent.status.value == value
    if found["field"] == "customer":
        return lambda intent: intent.customer == value
    return lambda intent: intent.metadata.get(found["key"]) == value


def _not_searched(clause: str) -> Exception:
    if _REAL_CLAUSE.fullmatch(clause):
        return unplayed("search but for metadata, status and customer, joined by AND")
    return refusal(
        "We were unable to parse your search query. Try using the format "
        '`metadata["key"]:"value"` to query for metadata or key:"value" to query for other fields.',
        param="query",
    )

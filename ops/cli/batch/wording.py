"""How a batch is told: in numbers, codes and amounts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ops.cli import telling
from orchestrator.engine.effects import Totals, money
from orchestrator.journal.batches import Batch
from orchestrator.policy.accounts import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where a batch's rows are."""

    total: int
    #: Those that were done before, under their run keys, are among them.
    succeeded: int
    #: Failed, or refused for their run key.
    failed: int
    #: Cancelled, or given up before they began.
    cancelled: int
    #: In doubt: a look-up or a person says what became of them.
    unknown: int
    in_flight: int
    #: Begun, and waiting for a retry or a turn.
    waiting: int
    #: No runs yet.
    not_begun: int

    @property
    def over(self) -> int:
        """Rows that nothing more happens to by itself."""
        return self.succeeded + self.failed + self.cancelled + self.unknown

    @staticmethod
    def of(batch: Batch) -> Counts:
        ends = batch.ends
        succeeded = ends.get("succeeded", 0) + ends.get("known", 0)
        cancelled = ends.get("cancelled", 0) + ends.get("given-up", 0)
        # The counters are read one after the other: a row may be between two of them.
        begun = batch.total - batch.waiting - batch.ended
        return Counts(
            total=batch.total,
            succeeded=succeeded,
            failed=batch.ended - succeeded - cancelled,
            cancelled=cancelled,
            unknown=batch.parked,
            in_flight=batch.busy,
            waiting=max(0, begun - batch.parked - batch.busy),
            not_begun=batch.waiting,
        )

    @property
    def told(self) -> str:
        """Those that there are."""
        named = (
            ("succeeded", self.succeeded), ("failed", self.failed), ("cancelled", self.cancelled),
            ("unknown", self.unknown), ("in flight", self.in_flight), ("waiting", self.waiting),
            ("not begun", self.not_begun),
        )  # fmt: skip
        return ", ".join(f"{number(count)} {name}" for name, count in named if count)


def number(count: int) -> str:
    return f"{count:,}"


def rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def amount(minor: int, currency: str) -> str:
    """As a person reads it: "19,990.00 USD"; minor units where there is no currency."""
    if not currency:
        return f"{minor:,} minor units"
    figure, _, name = money(minor, currency).partition(" ")
    return f"{Decimal(figure):,} {name}"


def amounts(totals: Mapping[str, int]) -> str:
    return " and ".join(amount(minor, currency) for currency, minor in totals.items())


def sums(batch: Batch) -> Iterator[str]:
    """What its ended rows did: "charged 19,990.00 USD in all", "texted 998 times"."""
    totals = totals_of(batch)
    for what, found in totals.amounts.items():
        yield telling.safe(f"{what} {amounts(found)} in all")
    for what, count in totals.counts.items():
        untold = ", of which no amount was told" if what in totals.amounts else ""
        yield telling.safe(f"{what} {'once' if count == 1 else f'{count:,} times'}{untold}")


def totals_of(batch: Batch) -> Totals:
    found: dict[str, dict[str, int]] = {}
    for name, figure in batch.sums.items():
        what, _, currency = name.partition(":")
        if currency:
            found.setdefault(what, {})[currency] = figure
    counts = {name: figure for name, figure in batch.sums.items() if ":" not in name}
    return Totals(amounts=found, counts=counts)


def commonest(batch: Batch, most: int) -> str:
    """Of the codes that rows failed with: "card_declined 8, http-402 2"."""
    ordered = sorted(batch.codes.items(), key=lambda pair: (-pair[1], pair[0]))
    return telling.safe(", ".join(f"{code} {count:,}" for code, count in ordered[:most]))


def as_json(batch: Batch) -> dict[str, Any]:
    """``started``: ms since the epoch. ``sums`` in minor units."""
    counts = Counts.of(batch)
    ends = {name.replace("-", "_"): count for name, count in batch.ends.items()}
    return {
        "batch": batch.id,
        "workflow": batch.name,
        "state": batch.state,
        "rows": {
            "total": batch.total,
            **{
                name: ends.get(name, 0)
                for name in ("succeeded", "failed", "cancelled", "known", "refused", "given_up")
            },
            "unknown": counts.unknown,
            "in_flight": counts.in_flight,
            "waiting": counts.waiting,
            "not_begun": counts.not_begun,
        },
        "codes": dict(batch.codes),
        "sums": totals_of(batch).as_json(),
        "lane": batch.lane,
        "window": batch.window,
        "started": batch.at,
        "by": batch.by,
        "stopped": {"by": batch.stopped, "code": batch.stopped_code} if batch.stopped else None,
        **({"accounts": accounts} if (accounts := read(batch.accounts)) else {}),
    }

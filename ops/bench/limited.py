"""A batch at a provider that counts: how much of what it allows is used, how much it refuses."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ops.bench.batch import Watch, is_still
from ops.bench.house import THREADS, House, housed, uploaded
from ops.bench.stage import BenchBroken
from ops.bench.tables import table
from orchestrator.service import batch as batches

SUMMARY: Final = "a batch at a Stripe that takes 25 charges a second: its use, and its refusals"
ROWS: Final = 1_500
WORKERS: Final = 4
WINDOW: Final = 200
RATE: Final = 25
#: At the beginning its burst goes out at once, at the end there is not enough left. s.
_EDGE: Final = 3.0
_CHARGES: Final = "/stripe/v1/payment_intents"
_REFUSED: Final = 429


def main(*, rows: int, workers: int, window: int, rate: int) -> None:
    print(f"{rows:,} rows, {workers} workers of {THREADS} threads, {window} runs at one time;")
    print(f"the sandbox's Stripe takes {rate} charges a second, and answers more with 429.\n")
    with housed(workers, stripe_rate=rate) as house:
        plan, upload, digest = uploaded(house, rows)
        terms = batches.Terms(window=window, keyed=True, max_failures=0)
        batch, _ = batches.start(
            house.wiring.core, plan, upload, digest=digest, terms=terms, by="bench"
        )
        Watch(house, batch).until(is_still)
        print(_report(house, rate))


def _report(house: House, rate: int) -> str:
    """Raises BenchBroken for a charge or a text that was made twice."""
    ledger = house.ledger()
    if any(ledger["duplicates"].values()):
        raise BenchBroken(f"duplicates: {ledger['duplicates']}")
    calls = [row for row in ledger["requests"] if row["path"] == _CHARGES]
    taken = [row["at"] for row in calls if row["status"] != _REFUSED]
    refused = len(calls) - len(taken)
    seconds = Counter(int(at) for at in taken)
    used = _use(taken, rate)
    return table(
        ["", ""],
        [
            ["calls that Stripe took", len(taken)],
            ["of what it allows, in use", f"{used:.1%}"],
            ["most in one second", max(seconds.values())],
            ["answered 429", refused],
            ["of all calls", f"{refused / len(calls):.2%}"],
        ],
    )


def _use(taken: list[Any], rate: int) -> float:
    """Raises BenchBroken when there is nothing between the edges."""
    first, last = min(taken) + _EDGE, max(taken) - _EDGE
    if first >= last:
        raise BenchBroken("the batch was over at once: give it more rows")
    return float(sum(first <= at < last for at in taken) / (last - first) / rate)

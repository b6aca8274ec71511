"""Confirmations beside a full batch: how long one takes, idle and while rows fill every window.

Both go by the same workers, lane and provider accounts; every provider's answer takes a while.
"""

from __future__ import annotations

import time
from statistics import quantiles
from typing import Final

from ops.bench.handwritten import Order
from ops.bench.house import THREADS, House, housed, uploaded
from ops.bench.stage import DOCUMENT, BenchBroken, inputs_of
from ops.bench.tables import Cell, table
from orchestrator.plan.model import Plan
from orchestrator.service import Run, submit, validate
from orchestrator.service import batch as batches
from orchestrator.wiring import load_profiles

SUMMARY: Final = "confirmations idle and under a full batch: how long one takes"
RUNS: Final = 100
WORKERS: Final = 2
WINDOW: Final = 200
LATENCY_MS: Final = 100
#: One confirmation in so many seconds.
_EVERY: Final = 0.4
#: More rows than can end meanwhile.
_ROWS: Final = 20_000
_WARM_S: Final = 5.0
_PATIENCE: Final = 60.0


def main(*, runs: int, workers: int, window: int, latency: int) -> None:
    print(f"{runs} confirmations of two steps, one every {_EVERY} s; a provider answers in")
    print(f"{latency} ms; {workers} workers of {THREADS} threads; a batch's window of {window}.\n")
    with housed(workers) as house:
        _slow(house, latency)
        plan = validate(DOCUMENT, load_profiles().values()).plan
        _measured(house, plan, range(900_000, 900_004))
        idle = _measured(house, plan, range(900_100, 900_100 + runs))
        batch = _filled(house, window)
        time.sleep(_WARM_S)
        before = batches.find(house.wiring.core, batch).ended
        began = time.monotonic()
        full = _measured(house, plan, range(910_000, 910_000 + runs))
        seconds = time.monotonic() - began
        found = batches.find(house.wiring.core, batch)
        if not found.waiting:
            raise BenchBroken("the batch ended before the confirmations did: give it more rows")
        rate = (found.ended - before) / seconds
    rows: list[list[Cell]] = []
    for name, part in (("p50", 50), ("p99", 99)):
        alone, beside = _at(idle, part), _at(full, part)
        rows.append([name, alone, beside, beside / alone])
    print(table(["ms", "idle", "full", "ratio"], rows))
    print(f"\nThe batch went on beside them with {rate:.0f} rows a second.")


def _measured(house: House, plan: Plan, numbers: range) -> list[float]:
    """From each acceptance to the run's end, on Redis' clock. ms."""
    begun: list[Run] = []
    ends = time.monotonic()
    for number in numbers:
        begun.append(submit(house.wiring.core, plan, inputs_of(_order(house, number))))
        ends += _EVERY
        time.sleep(max(0.0, ends - time.monotonic()))
    return [_took(run) for run in begun]


def _took(run: Run) -> float:
    run.wait(_PATIENCE)
    state = run.state()
    if state.end != "succeeded":
        raise BenchBroken(f"a confirmation came to {state.status} ({state.code})")
    return float(state.ended - state.accepted)


def _order(house: House, number: int) -> Order:
    return Order(
        number=f"order-{number}", amount=2000, currency="usd", card="pm_card_visa",
        account=house.account, to=f"+1556{number:07}", sender="+15005550006",
    )  # fmt: skip


def _filled(house: House, window: int) -> str:
    plan, upload, digest = uploaded(house, _ROWS)
    terms = batches.Terms(window=window, keyed=True, max_failures=0)
    core = house.wiring.core
    batch, _ = batches.start(core, plan, upload, digest=digest, terms=terms, by="bench")
    return batch.id


def _slow(house: House, ms: int) -> None:
    house.faults({"match": "*", "do": "latency", "ms": ms, "times": None})


def _at(values: list[float], part: int) -> float:
    return quantiles(values, n=100, method="inclusive")[part - 1]

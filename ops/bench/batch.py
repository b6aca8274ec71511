"""A batch of many rows, charge or text: what it takes, and whether the books agree to the cent.

Everything is a process of its own. On its way the batch is paused and resumed, all processes are
killed at once and started again, and of the rows that failed those with one code are retried.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import httpx

from ops.bench.house import DECLINED, THREADS, House, Peaks, housed, uploaded
from ops.bench.stage import BenchBroken
from ops.bench.tables import Cell, table
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.batches import Batch
from orchestrator.service import batch as batches

SUMMARY: Final = "a batch of charges and dunning texts: paused, killed, retried, against the ledger"
ROWS: Final = 100_000
WORKERS: Final = 2
WINDOW: Final = 200
#: Twilio's codes for texts that fail: the number is no sender; the customer has opted out.
RETRIED: Final = "21606"
_LEFT: Final = "21610"
#: One text in so many fails, by each code.
_FAILING: Final = 40
#: Without a row that ends for so long, it has got stuck. s.
_STUCK: Final = 120.0
_EVERY: Final = 10.0
#: After a pause, calls under way have landed within this; then nothing happens for as long. s.
_LANDED: Final = 5.0
_MIB: Final = 1024 * 1024


def main(*, rows: int, workers: int, window: int, kill: bool) -> None:
    print(f"{rows:,} rows, {workers} workers of {THREADS} threads, {window} runs at one time.")
    with housed(workers) as house:
        house.faults(*(_failing(code, rows) for code in (RETRIED, _LEFT)))
        empty = house.used()
        began = time.monotonic()
        plan, upload, digest = uploaded(house, rows)
        took = time.monotonic() - began
        stored = house.used() - empty
        terms = batches.Terms(window=window, keyed=True, max_failures=0)
        batch, _ = batches.start(
            house.wiring.core, plan, upload, digest=digest, terms=terms, by="bench"
        )
        print(f"Read, checked and stored in {took:.1f} s: {rows / took:,.0f} rows a second,")
        print(f"{stored / rows:.0f} bytes of Redis a waiting row.", flush=True)
        watch = Watch(house, batch)
        watch.until(lambda found: found.ended > rows / 4)
        _pause(house, batch)
        watch.until(lambda found: found.ended > rows / 2)
        if kill:
            print("  everything is killed", flush=True)
            house.kill_everything()
        watch.until(is_still)
        seconds = watch.seconds
        _retry(house, batch, watch)
        _report(house, batch, watch.peaks, seconds=seconds, empty=empty)


class Watch:
    """What a batch does, said every few seconds; and the memory of each part meanwhile."""

    def __init__(self, house: House, batch: Batch) -> None:
        self._house = house
        self._id = batch.id
        self._began = self._said = time.monotonic()
        self.peaks = Peaks()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def until(self, reached: Callable[[Batch], bool]) -> Batch:
        """Raises BenchBroken when nothing has ended for long."""
        ended, moved = -1, time.monotonic()
        while True:
            found = self._look()
            if found and reached(found):
                return found
            if found and found.ended != ended:
                ended, moved = found.ended, time.monotonic()
            if time.monotonic() - moved > _STUCK:
                raise BenchBroken(f"nothing has ended for {_STUCK:.0f} s: {found}")
            time.sleep(0.5)

    def _look(self) -> Batch | None:
        """None while Redis is away."""
        try:
            found = batches.find(self._house.wiring.core, self._id)
        except JournalUnavailable:
            return None
        house, now = self._house, time.monotonic()
        self.peaks.see({**house.parts(), "Redis, its own count": house.used()})
        if now - self._said > _EVERY:
            self._said = now
            ended, busy = found.ended, found.busy
            print(f"  {self.seconds:6.0f} s  {ended:>9,} ended, {busy} busy", flush=True)
        return found


def is_still(found: Batch) -> bool:
    return found.ended + found.parked >= found.total and not found.busy


def _failing(code: str, rows: int) -> dict[str, object]:
    times = max(1, rows // DECLINED // _FAILING)
    body = {"code": int(code), "message": "by the bench", "status": 400}
    return {"match": "POST /twilio/*", "do": "status", "status": 400, "body": body, "times": times}


def _pause(house: House, batch: Batch) -> None:
    """Raises BenchBroken when a paused batch makes calls."""
    house.durazzo("batch", "pause", batch.id, "--reason", "the bench")
    time.sleep(_LANDED)
    before = _requests(house)
    time.sleep(_LANDED)
    if (more := _requests(house) - before) > 0:
        raise BenchBroken(f"{more} calls were made while the batch was paused")
    house.durazzo("batch", "resume", batch.id)
    print(f"  paused for {2 * _LANDED:.0f} s: no call in the last {_LANDED:.0f}", flush=True)


def _requests(house: House) -> int:
    found: dict[str, int] = httpx.get(f"{house.sandbox}/ledger/summary", timeout=60).json()
    return found["requests"]


def _retry(house: House, batch: Batch, watch: Watch) -> None:
    """Raises BenchBroken unless those with the code, and only those, are tried again."""
    before = watch.until(is_still)
    texts = _requests(house)
    wanted = before.codes[RETRIED]
    words = ("batch", "retry", batch.id, "--failed", "--code", RETRIED, "--yes", "--json")
    began = time.monotonic()
    done = json.loads(house.durazzo(*words))["done"]
    after = watch.until(lambda found: is_still(found) and RETRIED not in found.codes)
    took = time.monotonic() - began
    asked = _requests(house) - texts
    print(f"\nRetried {done} rows with code {RETRIED} in {took:.1f} s: {asked} calls.")
    if (done, asked, after.codes) != (wanted, wanted, {_LEFT: before.codes[_LEFT]}):
        raise BenchBroken(f"of {before.codes} {done} were retried in {asked} calls: {after.codes}")


def _report(house: House, batch: Batch, peaks: Peaks, *, seconds: float, empty: int) -> None:
    found = batches.find(house.wiring.core, batch.id)
    print(f"\n{found.total:,} rows in {seconds:,.0f} s: {found.total / seconds:.1f} a second.")
    print(f"{found.ends}, {found.parked} in doubt, {found.codes}")
    _compare(house, found)
    rows: list[list[Cell]] = [
        [name, peaks.first[name] / _MIB, most / _MIB] for name, most in peaks.most.items()
    ]
    print("\n" + table(["memory, MiB", "first", "most"], rows))
    print(f"{(house.used() - empty) / found.total:,.0f} bytes of Redis a row now.")


def _compare(house: House, batch: Batch) -> None:
    """Raises BenchBroken unless the batch says what the provider's books say, row by row."""
    ledger = house.ledger()
    charges = {row["payment_intent"]: row["amount"] for row in ledger["charges"]}
    texts = {row["sid"] for row in ledger["messages"]}
    said_charges: dict[str, int] = {}
    said_texts: Counter[str] = Counter()
    twice = 0
    for row in batches.report(house.wiring.core, batch):
        for effect in row.effects:
            if effect.what == "charged":
                twice += effect.id in said_charges
                said_charges[effect.id] = effect.amount or 0
            else:
                said_texts[effect.id] += 1
    sums = Counter(batch.sums)
    agree = [
        said_charges == charges,
        set(said_texts) == texts,
        sums["charged:usd"] == sum(charges.values()),
        sums["texted"] == len(texts),
        not twice and not any(ledger["duplicates"].values()),
    ]
    cents = sum(charges.values())
    print(f"Ledger: {len(charges):,} charges of {cents:,} cents in all, {len(texts):,} texts,")
    print(f"duplicates {ledger['duplicates']}. The batch's own sums: {dict(sums)}.")
    if not all(agree) and not batch.parked:
        raise BenchBroken(f"the report and the ledger differ: {agree}")
    print("The report has each of them, in its row." if all(agree) else "Some are in doubt.")

"""A batch of many rows, charge or text: what it takes, and whether the books agree to the cent.

Everything is a process of its own. Half-way through, all of them may be killed and started again.
"""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from ops import lab
from ops.bench.stage import BenchBroken
from ops.bench.tables import Cell, table
from ops.crew import Crew, Member
from ops.embedded import Embedded
from orchestrator.batch import Screening
from orchestrator.errors import JournalUnavailable
from orchestrator.formats.load import specs_folder
from orchestrator.journal.batches import Batch
from orchestrator.plan.model import Plan
from orchestrator.service import batch as batches
from orchestrator.service import validate
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, connect, load_profiles, wire

SUMMARY: Final = "a batch of charges and dunning texts, killed half-way, against the ledger"
ROWS: Final = 100_000
WORKERS: Final = 2
WINDOW: Final = 200
#: One card in so many is declined, and its customer gets a text.
_DECLINED: Final = 10
_UNLIMITED: Final = 100_000
#: Without a row that ends for so long, it has got stuck. s.
_STUCK: Final = 120.0
_EVERY: Final = 10.0
_MIB: Final = 1024 * 1024
_DOCUMENT: Final = "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
_OVERLAY: Final = "failed-payment-dunning-real.yaml"


@dataclass(slots=True)
class Peaks:
    """Resident memory of each part: when the batch began, and at most. Bytes."""

    first: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def see(self, parts: Mapping[str, int]) -> None:
        for name, size in parts.items():
            self.first.setdefault(name, size)
            self.most[name] = max(self.most.get(name, 0), size)


class House:
    def __init__(self, crew: Crew, workers: int) -> None:
        self._crew = crew
        self._valkey = Embedded(crew.folder / "data")
        self._valkey.home.mkdir(mode=0o700)
        crew.also_remove(self._valkey.socket)
        self._redis = self._start_redis()
        self.sandbox, providers = self._start_sandbox()
        self._environ = {
            **lab.base_environ(),
            **providers,
            "DURAZZO_REDIS_URL": self._valkey.url,
            "DURAZZO_KEYS": self._valkey.key(),
            "DURAZZO_LIMITS": _limits(),
            "PYTHONPATH": str(lab.CHECKOUT),
        }
        self.account = providers["TWILIO_ACCOUNT_SID"]
        self.wiring: Wiring = wire(from_environ(self._environ))
        self._number = workers
        self._workers: list[Member] = []

    def start_workers(self) -> None:
        words = [
            sys.executable, "-P", "-m", "ops.cli.main", "worker", "--concurrency", "2",
            "--loglevel", "ERROR",
        ]  # fmt: skip
        self._workers = [
            self._crew.start(f"worker {n + 1}", words, self._environ) for n in range(self._number)
        ]

    def kill_everything(self) -> None:
        """As a power cut does that spares the disk."""
        for worker in self._workers:
            self._crew.bury(worker)
        self._crew.bury(self._redis)
        self._redis = self._start_redis()
        self.start_workers()

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.sandbox}/ledger", timeout=300).json()
        return found

    def parts(self) -> dict[str, int]:
        """Resident memory by part: a worker's processes together. Bytes."""
        found = {"Valkey": _resident(self._redis.pid)}
        for worker in self._workers:
            pids = [worker.pid, *worker.children()]
            found[worker.name] = sum(map(_resident, pids))
        return found

    def used(self) -> int:
        """By Redis' own count. Bytes."""
        with connect(self._valkey.url) as client:
            return int(client.info("memory")["used_memory"])

    def _start_redis(self) -> Member:
        member = self._crew.start("valkey", self._valkey.command(), lab.base_environ())
        lab.wait_for(self._valkey.answers, "Valkey", seconds=120)
        return member

    def _start_sandbox(self) -> tuple[str, dict[str, str]]:
        file = self._crew.folder / "sandbox.env"
        words = [sys.executable, "-P", "-m", "ops.sandbox", "--env-file", str(file)]
        self._crew.start("sandbox", words, {**lab.base_environ(), "PYTHONPATH": str(lab.CHECKOUT)})
        lab.wait_for(file.exists, "the sandbox", seconds=60)
        pairs = shlex.split(file.read_text())
        found = dict(word.split("=", 1) for word in pairs if word != "export")
        stripe: str = json.loads(found["DURAZZO_SERVERS"])["https://api.stripe.com"]
        return stripe.removesuffix("/stripe"), found


@contextmanager
def housed(workers: int) -> Iterator[House]:
    with Crew("bench", BenchBroken) as crew:
        house = House(crew, workers)
        house.start_workers()
        try:
            yield house
        finally:
            house.wiring.app.close()


def main(*, rows: int, workers: int, window: int, kill: bool) -> None:
    print(f"{rows:,} rows, {workers} workers of 2 processes, {window} runs at one time.")
    with housed(workers) as house:
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
        print(f"{stored / rows:.0f} bytes of Redis a waiting row.")
        peaks, seconds = _run(house, batch, kill=kill)
        _report(house, batch, peaks, seconds=seconds, empty=empty)


def _run(house: House, batch: Batch, *, kill: bool) -> tuple[Peaks, float]:
    core, peaks = house.wiring.core, Peaks()
    began = moved = said = time.monotonic()
    ended = 0
    while True:
        time.sleep(0.5)
        try:
            found = batches.find(core, batch.id)
        except JournalUnavailable:
            continue
        now = time.monotonic()
        if found.ended != ended:
            ended, moved = found.ended, now
        if now - moved > _STUCK:
            raise BenchBroken(f"nothing has ended for {_STUCK:.0f} s: {found}")
        peaks.see({**house.parts(), "Redis, its own count": house.used()})
        if now - said > _EVERY:
            said = now
            print(f"  {now - began:6.0f} s  {ended:>9,} ended, {found.busy} busy", flush=True)
        if kill and ended > found.total / 2:
            print("  everything is killed", flush=True)
            house.kill_everything()
            kill = False
        if ended + found.parked >= found.total and not found.busy:
            return peaks, now - began


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


def uploaded(house: House, rows: int) -> tuple[Plan, batches.Upload, str]:
    """What a batch of charges, or of texts where the card is declined, is started with."""
    plan = _plan()
    stream = io.BufferedReader(_Lines(_csv(rows, house.account)))
    upload = batches.Upload(house.wiring.core)
    screening = Screening(plan, stream, file="-", format="csv", salt=b"bench", key="invoice")
    for row in screening:
        upload.add(row)
    screening.raise_if_bad()
    upload.flush()
    return plan, upload, screening.summary.digest


def _csv(rows: int, account: str) -> Iterator[bytes]:
    yield b"invoice,amount,currency,paymentMethod,accountSid,fromNumber,toNumber\n"
    for number in range(1, rows + 1):
        card = "pm_card_visa" if number % _DECLINED else "pm_card_chargeDeclined"
        amount = 1_000 + number % 977
        yield (
            f"INV-2026-11-{number:07},{amount},usd,{card},{account},+15005550006,+1555{number:07}\n"
        ).encode()


class _Lines(io.RawIOBase):
    """Lines as a stream, made as they are read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._rest = line
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _plan() -> Plan:
    specs = specs_folder()
    overlays: Sequence[Path] = [specs / "overlays" / _OVERLAY]
    profiles = load_profiles().values()
    return validate(specs / "published" / _DOCUMENT, profiles, overlays=overlays).plan


def _limits() -> str:
    names = (f"{p.name}/{limit.name}" for p in load_profiles().values() for limit in p.limits)
    return json.dumps(dict.fromkeys(names, _UNLIMITED))


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096

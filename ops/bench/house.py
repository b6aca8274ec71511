"""Processes for a batch: a Valkey with a disk, the sandbox, workers; and rows to put in."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from ops import lab
from ops.bench.stage import BenchBroken
from ops.crew import Crew, Member
from ops.embedded import Embedded
from orchestrator.batch import Screening
from orchestrator.formats.load import specs_folder
from orchestrator.plan.model import Plan
from orchestrator.service import batch as batches
from orchestrator.service import validate
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, connect, load_profiles, wire

#: One card in so many is declined, and its customer gets a text.
DECLINED: Final = 10
#: Of a worker, as `durazzo worker` has them.
THREADS: Final = 25
_UNLIMITED: Final = 100_000
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
    def __init__(self, crew: Crew, workers: int, stripe_rate: int = 0) -> None:
        """``stripe_rate``: charges a second that the sandbox takes, 0 for any number. With one,
        durazzo's limits for Stripe are those that it ships with.
        """
        self._crew = crew
        self._valkey = Embedded(crew.folder / "data")
        self._valkey.home.mkdir(mode=0o700)
        crew.also_remove(self._valkey.socket)
        self._redis = self._start_redis()
        self.sandbox, providers = self._start_sandbox(stripe_rate)
        self._environ = {
            **lab.base_environ(),
            **providers,
            "DURAZZO_REDIS_URL": self._valkey.url,
            "DURAZZO_KEYS": self._valkey.key(),
            "DURAZZO_LIMITS": _limits({"stripe"} if stripe_rate else ()),
            "PYTHONPATH": str(lab.CHECKOUT),
        }
        self.account = providers["TWILIO_ACCOUNT_SID"]
        self.wiring: Wiring = wire(from_environ(self._environ))
        self._number = workers
        self._workers: list[Member] = []

    def start_workers(self) -> None:
        words = [
            sys.executable, "-P", "-m", "ops.cli.main", "worker",
            "--concurrency", str(THREADS), "--loglevel", "ERROR",
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

    def faults(self, *faults: Mapping[str, Any]) -> None:
        httpx.post(f"{self.sandbox}/faults", json=list(faults), timeout=60).raise_for_status()

    def durazzo(self, *words: str) -> str:
        """What the command line prints. Raises BenchBroken with what it says instead."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ops.cli.main", *words],
            env=self._environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchBroken(f"durazzo {' '.join(words)}: {done.returncode}: {done.stderr}")
        return done.stdout

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

    def _start_sandbox(self, stripe_rate: int) -> tuple[str, dict[str, str]]:
        file = self._crew.folder / "sandbox.env"
        words = [sys.executable, "-P", "-m", "ops.sandbox", "--env-file", str(file)]
        words += ["--stripe-rate", str(stripe_rate)] if stripe_rate else []
        self._crew.start("sandbox", words, {**lab.base_environ(), "PYTHONPATH": str(lab.CHECKOUT)})
        lab.wait_for(file.exists, "the sandbox", seconds=60)
        pairs = shlex.split(file.read_text())
        found = dict(word.split("=", 1) for word in pairs if word != "export")
        stripe: str = json.loads(found["DURAZZO_SERVERS"])["https://api.stripe.com"]
        return stripe.removesuffix("/stripe"), found


@contextmanager
def housed(workers: int, *, stripe_rate: int = 0) -> Iterator[House]:
    with Crew("bench", BenchBroken) as crew:
        house = House(crew, workers, stripe_rate)
        house.start_workers()
        try:
            yield house
        finally:
            house.wiring.app.close()


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
        card = "pm_card_visa" if number % DECLINED else "pm_card_chargeDeclined"
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


def _limits(shipped: Collection[str]) -> str:
    """Out of the way, but for those of these providers."""
    profiles = (p for p in load_profiles().values() if p.name not in shipped)
    names = (f"{p.name}/{limit.name}" for p in profiles for limit in p.limits)
    return json.dumps(dict.fromkeys(names, _UNLIMITED))


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096

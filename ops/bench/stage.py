"""One Valkey, one sandbox, and two teams: durazzo and the hand-written chain, a worker each."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import httpx

from ops import lab
from ops.bench import handwritten
from ops.bench.handwritten import Order
from ops.bench.meters import children, cpu_seconds
from orchestrator.expressions.nodes import Json
from orchestrator.formats.load import specs_folder
from orchestrator.journal.seal import new_key
from orchestrator.plan.model import Plan
from orchestrator.service import Run, submit, validate
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import Wiring, connect, load_profiles, wire

DOCUMENT: Final = specs_folder() / "published" / "geo-stripe-payment-twilio-sms-confirm.yml"
CONCURRENCY: Final = 2
#: Calls a second: nobody waits for the rate limiter here.
_UNLIMITED: Final = 100_000
#: For fifty processes on a machine that is busy.
_START_S: Final = 120.0


class BenchBroken(Exception):
    """The ledger does not say what it must: the figures would mean nothing."""


class Team(Protocol):
    name: str
    app: str  #: the Celery app's module

    def submit(self, order: Order, lane: str) -> None: ...


@dataclass(slots=True)
class Durazzo:
    wiring: Wiring
    plan: Plan
    name: str = "durazzo"
    app: str = "workers.app"
    runs: list[Run] = field(default_factory=list)

    def submit(self, order: Order, lane: str) -> None:
        self.runs.append(submit(self.wiring.core, self.plan, inputs_of(order), lane=lane))


@dataclass(slots=True)
class HandWritten:
    celery: Any
    name: str = "handwritten"
    app: str = "ops.bench.handwritten_app"

    def submit(self, order: Order, lane: str) -> None:
        handwritten.send(self.celery, order, lane)


def inputs_of(order: Order) -> dict[str, Json]:
    return {
        "amount": order.amount,
        "currency": order.currency,
        "paymentMethod": order.card,
        "accountSid": order.account,
        "toPhone": order.to,
        "fromPhone": order.sender,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    kind: Literal["prefork", "threads"] = "prefork"
    #: Steps at one time.
    concurrency: int = CONCURRENCY


class Consumer(Protocol):
    """A worker, or several that work as one."""

    def consume(self, lane: str) -> None: ...

    def leave(self, lane: str) -> None: ...

    def cpu(self) -> dict[str, float]: ...

    @property
    def log(self) -> Path: ...


class Worker:
    """A team's Celery worker. It consumes a lane when it is told to."""

    def __init__(
        self,
        team: Team,
        control: Any,
        environ: Mapping[str, str],
        folder: Path,
        *,
        pool: Pool = Pool(),
        name: str = "",
    ) -> None:
        name = name or team.name
        self.log = folder / f"{name}.log"
        self._control = control
        self._name = f"{name}@{socket.gethostname()}"
        self.process = lab.celery(
            team.app, "worker", "--pool", pool.kind, "-c", str(pool.concurrency), "-l", "INFO",
            "-E", "--without-gossip", "--without-mingle", "-n", f"{name}@%h",
            "-Q", f"idle-{name}", environ=environ, log=self.log,
        )  # fmt: skip

    def wait_ready(self) -> None:
        lab.wait_for(self._answers, f"the worker {self._name}, see {self.log}", seconds=_START_S)

    def consume(self, lane: str) -> None:
        self._control.add_consumer(lane, destination=[self._name], reply=True, timeout=5)

    def leave(self, lane: str) -> None:
        self._control.cancel_consumer(lane, destination=[self._name], reply=True, timeout=5)

    def cpu(self) -> dict[str, float]:
        """Seconds so far: the process that talks to the broker, and those that execute."""
        pool = sum(cpu_seconds(child) for child in children(self.process.pid))
        return {"main": cpu_seconds(self.process.pid), "pool": pool}

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise BenchBroken(f"{self._name} ended: {self.log.read_text()[-2000:]}")
        return bool(self._control.ping(destination=[self._name], timeout=0.3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    environ: Mapping[str, str]
    settings: Settings
    redis: Any
    sandbox: str
    sandbox_pid: int
    durazzo: Durazzo
    handwritten: HandWritten
    workers: Mapping[str, Consumer]
    _numbers: Iterator[int] = field(default_factory=count)

    def orders(self, number: int) -> list[Order]:
        """Each with a phone number of its own: a second text to one is a duplicate."""
        return [self._order(next(self._numbers)) for _ in range(number)]

    def lane(self, team: Team) -> str:
        return f"{team.name}-{next(self._numbers)}"

    def cpu(self, team: Team) -> dict[str, float]:
        valkey = int(self.redis.info("server")["process_id"])
        return {
            **self.workers[team.name].cpu(),
            "Valkey": cpu_seconds(valkey),
            "sandbox": cpu_seconds(self.sandbox_pid),
        }

    def ledger(self) -> dict[str, Any]:
        summary: dict[str, Any] = httpx.get(f"{self.sandbox}/ledger/summary").json()
        return summary

    @contextmanager
    def judged(self, runs: int) -> Iterator[None]:
        """BenchBroken unless the block charged and texted each of ``runs`` exactly once."""
        before = self.ledger()
        yield
        after = self.ledger()
        charged, texted = (after[name] - before[name] for name in ("charges", "messages"))
        if (charged, texted) != (runs, runs) or any(after["duplicates"].values()):
            raise BenchBroken(f"{runs} runs, {charged} charges, {texted} texts: {after}")

    def _order(self, number: int) -> Order:
        return Order(
            number=f"order-{number}",
            amount=2000,
            currency="usd",
            card="pm_card_visa",
            account=self.environ["TWILIO_ACCOUNT_SID"],
            to=f"+1555{number:07}",
            sender="+15005550006",
        )


@contextmanager
def stage(*, appendfsync: str = "everysec", **variables: str) -> Iterator[Stage]:
    """Everything runs; nothing does any more when the block ends, however it ends.

    ``variables``: durazzo's settings beside those that the stage needs.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="durazzo-bench-")))
        url = stack.enter_context(lab.valkey(folder, appendfsync=appendfsync))
        process, providers = stack.enter_context(_sandbox(folder))
        environ = {
            **lab.base_environ(),
            **providers,
            **variables,
            "DURAZZO_REDIS_URL": url,
            "DURAZZO_KEYS": new_key(),
            "DURAZZO_LIMITS": _limits(),
        }
        settings = from_environ(environ)
        wiring = wire(settings)
        durazzo = Durazzo(wiring=wiring, plan=_plan())
        by_hand = HandWritten(celery=handwritten.create(settings))
        workers: dict[str, Worker] = {}
        for team in (durazzo, by_hand):
            worker = Worker(team, wiring.app.control, environ, folder)
            stack.callback(worker.kill)
            workers[team.name] = worker
        for worker in workers.values():
            worker.wait_ready()
        yield Stage(
            environ=environ,
            settings=settings,
            redis=stack.enter_context(connect(url)),
            sandbox=settings.servers["https://api.stripe.com"].removesuffix("/stripe"),
            sandbox_pid=process.pid,
            durazzo=durazzo,
            handwritten=by_hand,
            workers=workers,
        )


@contextmanager
def _sandbox(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    file = folder / "sandbox.env"
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.sandbox", "--env-file", str(file)],
        env={**lab.base_environ(), "PYTHONPATH": str(lab.CHECKOUT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        lab.wait_for(file.exists, "the sandbox")
        words = shlex.split(file.read_text())
        yield process, dict(word.split("=", 1) for word in words if word != "export")
    finally:
        process.kill()
        process.wait()


def _plan() -> Plan:
    return validate(DOCUMENT, load_profiles().values()).plan


def _limits() -> str:
    names = (f"{p.name}/{limit.name}" for p in load_profiles().values() for limit in p.limits)
    return "{" + ", ".join(f'"{name}": {_UNLIMITED}' for name in names) + "}"


def now() -> float:
    return time.perf_counter()

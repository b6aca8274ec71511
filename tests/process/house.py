"""Real processes for the tests: Valkey, the provider sandbox, workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ops import lab
from ops.lab import wait_for
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import Settings as SandboxSettings
from ops.sandbox.settings import StripeSettings, WorldName
from orchestrator.expressions.nodes import Json
from orchestrator.formats.load import specs_folder
from orchestrator.journal.seal import new_key
from orchestrator.plan.model import Plan
from orchestrator.service import Run, submit, validate
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, load_profiles, wire

SEEDS = specs_folder() / "published"
CHARGE_AND_TEXT = SEEDS / "geo-stripe-payment-twilio-sms-confirm.yml"
DUNNING = SEEDS / "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
OSOP_PAYMENT = SEEDS / "ex-sop-stripe-payment.osop.yaml"
TOKEN_AND_PAYMENT = SEEDS / "fintecture-token-then-payment-workflow.yml"
OVERLAYS = specs_folder() / "overlays"
DECLINED = "pm_card_visa_chargeDeclinedInsufficientFunds"
FROM = "+15005550006"


@dataclass(slots=True)
class House:
    """One Redis, one sandbox, and the environment that points durazzo at them."""

    folder: Path
    sandbox: BackgroundSandbox
    environ: dict[str, str]
    wiring: Wiring
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000, 9999)))

    def worker(
        self, *, kill: str = "", pool: str = "prefork", concurrency: int = 2
    ) -> subprocess.Popen[bytes]:
        number = len(self.workers)
        process = lab.worker(
            "tests.process.killing" if kill else "workers.app",
            name=f"w{number}",
            environ={**self.environ, "KILL": kill or "::", "KILL_MARK": str(self.mark)},
            log=self.folder / f"worker-{number}.log",
            pool=pool,
            concurrency=concurrency,
        )
        self.workers.append(process)
        return process

    @property
    def mark(self) -> Path:
        return self.folder / "killed"

    def logs(self) -> str:
        return "".join(p.read_text() for p in sorted(self.folder.glob("worker-*.log")))

    def phone(self) -> str:
        """A customer of one's own: the sandbox's books call a second text to one a duplicate."""
        return f"+1555867{next(self.numbers)}"

    def charge_inputs(self, **changes: Json) -> dict[str, Json]:
        return {
            "amount": 2000,
            "currency": "usd",
            "paymentMethod": "pm_card_visa",
            "accountSid": self.environ["TWILIO_ACCOUNT_SID"],
            "toPhone": self.phone(),
            "fromPhone": FROM,
            **changes,
        }

    def dunning_inputs(self, **changes: Json) -> dict[str, Json]:
        return {
            "amount": 4200,
            "currency": "usd",
            "paymentMethod": DECLINED,
            "accountSid": self.environ["TWILIO_ACCOUNT_SID"],
            "toNumber": self.phone(),
            "fromNumber": FROM,
            **changes,
        }

    def transfer_inputs(self, **changes: Json) -> dict[str, Json]:
        return {
            "clientId": self.environ["FINTECTURE_APP_ID"],
            "clientSecret": self.environ["FINTECTURE_APP_SECRET"],
            "amount": "149.30",
            "currency": "EUR",
            "communication": "Order 1042",
            "requestId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            **changes,
        }

    def submit(self, plan: Plan, inputs: Mapping[str, Json]) -> Run:
        return submit(self.wiring.core, plan, inputs)

    def ledger(self) -> Any:
        return self.sandbox.ledger()

    def stop(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def house(
    folder: Path,
    *,
    world: WorldName = "real",
    stripe: StripeSettings = StripeSettings(),  # noqa: B008  frozen
    **settings: str,
) -> Iterator[House]:
    books = SandboxSettings(world=world, stripe=stripe)
    with lab.valkey(folder) as url, BackgroundSandbox(books) as sandbox:
        environ = {
            **lab.base_environ(),
            **sandbox.env,
            "DURAZZO_REDIS_URL": url,
            "DURAZZO_KEYS": new_key(),
            "DURAZZO_HEARTBEAT": "1",
            **settings,
        }
        found = House(
            folder=folder, sandbox=sandbox, environ=environ, wiring=wire(from_environ(environ))
        )
        try:
            yield found
        finally:
            found.stop()
            found.wiring.app.close()


def plan_of(file: Path, *overlays: str) -> Plan:
    """``overlays``: names of shipped ones."""
    files = [OVERLAYS / f"{name}.yaml" for name in overlays]
    return validate(file, load_profiles().values(), overlays=files).plan


def osop_with(card: str) -> Plan:
    """Seed 002's api nodes, confirmed with another card, without the agent's receipt."""
    with tempfile.TemporaryDirectory() as folder:
        edited = Path(folder) / OSOP_PAYMENT.name
        edited.write_text(OSOP_PAYMENT.read_text().replace("pm_card_visa", card))
        plan = plan_of(edited)
    steps = tuple(
        replace(step, success=()) if step.id == "check_status" else step
        for step in plan.steps
        if step.id != "send_receipt"
    )
    return replace(plan, steps=steps)


__all__ = [
    "CHARGE_AND_TEXT", "DECLINED", "DUNNING", "OSOP_PAYMENT", "TOKEN_AND_PAYMENT", "House",
    "house", "osop_with", "plan_of", "wait_for",
]  # fmt: skip

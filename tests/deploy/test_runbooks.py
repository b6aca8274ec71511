"""Every command of every runbook, in the trouble that it is for, by the shell that would run it."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from ops.lab import CHECKOUT, wait_for
from orchestrator.service import Run
from tests.deploy.conftest import deploy
from tests.deploy.native import Deployment
from tests.process.house import CHARGE_AND_TEXT, DECLINED, FROM

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

BOOKS: Final = CHECKOUT / "ops" / "runbooks"
PAGES: Final = sorted(path.name for path in BOOKS.glob("*.md"))
SERVICES: Final = ("redis", "sandbox", "timekeeper", "worker", "worker-dunning")
TEXT: Final = "send-confirmation"
_BLOCK: Final = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_NUMBERS: Final = count(1_000)


def blocks(page: str) -> list[str]:
    found = _BLOCK.findall((BOOKS / page).read_text())
    return [textwrap.dedent(text) for _, text in found]


@dataclass(slots=True)
class Ward:
    """A deployment in which things go wrong."""

    deployment: Deployment
    #: What the commands' variables stand for.
    names: dict[str, str] = field(default_factory=dict)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **self.deployment.environ("cli"),
            "PATH": self.deployment.path,
            **self.names,
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.deployment.folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *words: str) -> Any:
        done = self.deployment.durazzo(*words, "--json")
        return json.loads(done.stdout)

    # Runs.

    def start(self, **changes: str) -> str:
        sid = self.deployment.folder / "secrets" / "providers" / "TWILIO_ACCOUNT_SID"
        inputs = {
            "amount": "2000", "currency": "usd", "paymentMethod": "pm_card_visa",
            "accountSid": sid.read_text(), "fromPhone": FROM, "toPhone": self.phone(), **changes,
        }  # fmt: skip
        pairs = [word for name, text in inputs.items() for word in ("-i", f"{name}={text}")]
        return str(self.json("start", str(CHARGE_AND_TEXT), *pairs)["run"])

    @staticmethod
    def phone() -> str:
        return f"+1555863{next(_NUMBERS)}"

    def comes_to(self, run: str, state: str) -> None:
        with self.deployment.core() as core:
            found = Run(core, run)
            wait_for(lambda: found.status() == state, f"{run} to be {state}", seconds=120)

    def batch(self, rows: int) -> str:
        sid = self.deployment.folder / "secrets" / "providers" / "TWILIO_ACCOUNT_SID"
        lines = ["order,amount,currency,paymentMethod,accountSid,fromPhone,toPhone"]
        lines += [
            f"b-{next(_NUMBERS)},1999,usd,pm_card_visa,{sid.read_text()},{FROM},{self.phone()}"
            for _ in range(rows)
        ]
        file = self.deployment.folder / "orders.csv"
        file.write_text("\n".join(lines))
        return str(
            self.json(
                "batch", "start", str(CHARGE_AND_TEXT), "--data", str(file), "--key", "order",
                "--yes", "--detach",
            )["batch"]
        )  # fmt: skip

    # Providers.

    def faults(self, *faults: Mapping[str, object]) -> None:
        token = (self.deployment.folder / "secrets" / "sandbox_token").read_text().strip()
        url = f"http://127.0.0.1:{self.deployment.ports['8099']}/faults"
        headers = {"Authorization": f"Bearer {token}"}
        httpx.delete(url, headers=headers, trust_env=False, timeout=60).raise_for_status()
        if faults:
            given = httpx.post(url, json=list(faults), headers=headers, trust_env=False, timeout=60)
            given.raise_for_status()

    def in_doubt(self) -> str:
        """A run whose text may have been sent, and nobody can look it up."""
        self.faults(
            {"match": "POST /twilio/*", "do": "drop_before"},
            {"match": "GET /twilio/*", "do": "status", "status": 500, "times": None},
        )
        run = self.start()
        self.comes_to(run, "unknown")
        return run


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with tempfile.TemporaryDirectory(prefix="dz-", ignore_cleanup_errors=True) as folder:
        deployment = deploy(Path(folder))
        try:
            deployment.up(*SERVICES)
            yield Ward(deployment)
        finally:
            deployment.kill_all()


#: Before the block of this number, and once after the last: what goes wrong, what came of it.
Trouble = Callable[[Ward, int], None]


def calm(ward: Ward, number: int) -> None:
    del ward, number


def unknown_charge(ward: Ward, number: int) -> None:
    if number > 1:
        # What was said of the one before carried it on.
        ward.faults()
        ward.comes_to(ward.names["RUN"], "succeeded")
    if number < len(blocks("unknown-charge.md")):
        ward.names |= {"RUN": ward.in_doubt(), "STEP": TEXT}
        ward.faults({"match": "GET /twilio/*", "do": "status", "status": 500, "times": None})


def provider_down(ward: Ward, number: int) -> None:
    ward.names |= {"PROVIDER": "stripe", "CODE": "card_declined"}
    match number:
        case 0:
            failed = ward.start(paymentMethod=DECLINED)
            ward.comes_to(failed, "failed")
            fault = {"match": "POST /stripe/*", "do": "status", "status": 503, "times": None}
            ward.faults(fault)
            ward.names["RUN"] = ward.start()
            ward.comes_to(ward.names["RUN"], "waiting")
        case 3:
            ward.faults()
        case 4:
            ward.comes_to(ward.names["RUN"], "succeeded")
        case _:
            pass


def too_many(ward: Ward, number: int) -> None:
    if number == 0:
        fault = {"match": "POST /stripe/*", "do": "status", "status": 429, "times": 20}
        ward.faults(fault)
        ward.names["BATCH"] = ward.batch(30)
    elif number == len(blocks("too-many-requests.md")):
        _finishes(ward, 30)


def _finishes(ward: Ward, rows: int) -> None:
    with ward.deployment.core() as core:

        def ended() -> bool:
            batch = core.batches.read(ward.names["BATCH"])
            return batch is not None and batch.ends.get("succeeded", 0) == rows

        wait_for(ended, "the batch", seconds=120)


def redis_down(ward: Ward, number: int) -> None:
    match number:
        case 2:
            ward.names["BATCH"] = ward.batch(40)
        case 3:
            ward.deployment.stop("redis")
        case 4:
            ward.deployment.durazzo("batch", "resume", ward.names["BATCH"])
            _finishes(ward, 40)
        case _:
            pass


def redis_restored(ward: Ward, number: int) -> None:
    match number:
        case 3:
            # Charged, and about to text.
            ward.names["RUN"] = ward.start()
            ward.comes_to(ward.names["RUN"], "waiting")
        case 4:
            ward.comes_to(ward.names["RUN"], "cancelled")
        case 5:
            again = ward.start()
            ward.comes_to(again, "succeeded")
        case _:
            pass


def stuck(ward: Ward, number: int) -> None:
    match number:
        case 0:
            ward.deployment.stop("worker", "worker-dunning", "timekeeper")
            ward.names["RUN"] = ward.start()
        case 2:
            ward.comes_to(ward.names["RUN"], "succeeded")
        case 3:
            ward.deployment.stop("worker")
            ward.names["RUN"] = ward.start()
            ward.deployment.durazzo("pause", ward.names["RUN"], "--reason", "to look at it")
            ward.deployment.up("worker")
        case 4:
            ward.comes_to(ward.names["RUN"], "succeeded")
        case _:
            pass


def rotated(ward: Ward, number: int) -> None:
    file = ward.deployment.folder / "secrets" / "durazzo_keys"
    match number:
        case 0:
            ward.names["RUN"] = ward.start()
            ward.comes_to(ward.names["RUN"], "succeeded")
        case 1:
            old, new = file.read_text().strip(), ward.shell("durazzo keys new").stdout.strip()
            for keys in (f"{old},{new}", f"{new},{old}"):
                file.write_text(keys)
                ward.deployment.stop("worker", "worker-dunning", "timekeeper")
                ward.deployment.up("worker", "worker-dunning", "timekeeper")
        case 2:
            file.write_text(file.read_text().partition(",")[0])
            shown = ward.json("show", ward.names["RUN"], "--outputs")
            assert shown["outputs"]["paymentId"].startswith("pi_")
        case _:
            pass


def drained(ward: Ward, number: int) -> None:
    if number == 0:
        ward.names["BATCH"] = ward.batch(60)
    elif number == len(blocks("drain-and-deploy.md")):
        _finishes(ward, 60)


def gone_wrong(ward: Ward, number: int) -> None:
    if number in {0, 3}:
        slow = {"match": "POST /stripe/*", "do": "latency", "ms": 300, "times": None}
        ward.faults(slow)
        ward.names["BATCH"] = ward.batch(80)
    elif number == 4:
        ward.faults()


TROUBLES: Final[Mapping[str, Trouble]] = {
    "README.md": calm,
    "batch-gone-wrong.md": gone_wrong,
    "drain-and-deploy.md": drained,
    "provider-down.md": provider_down,
    "redis-full-or-down.md": redis_down,
    "redis-restored.md": redis_restored,
    "rotate-keys.md": rotated,
    "stuck-run.md": stuck,
    "too-many-requests.md": too_many,
    "unknown-charge.md": unknown_charge,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_do_what_the_runbook_says(ward: Ward, page: str) -> None:
    trouble, scripts = TROUBLES[page], blocks(page)
    assert scripts
    ward.names.clear()
    ward.faults()
    for number, script in enumerate(scripts):
        trouble(ward, number)
        done = ward.shell(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    trouble(ward, len(scripts))


def test_a_command_that_fails_is_found(ward: Ward) -> None:
    assert ward.shell("durazzo show no-such-run").returncode != 0
    assert ward.shell("docker compose rm redis").returncode != 0


@pytest.mark.parametrize("page", PAGES)
def test_a_runbook_says_what_is_true_and_what_not_to_do(page: str) -> None:
    text = (BOOKS / page).read_text()
    if page == "README.md":
        assert all(other in text for other in PAGES if other != page)
        return
    assert "## Do\n" in text or "## Before" in text
    assert "## Do not\n" in text
    assert "**True meanwhile.**" in text

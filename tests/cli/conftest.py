"""The command line as a person has it: real processes, a home of their own, the sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ops.embedded import Embedded
from ops.sandbox.server import BackgroundSandbox
from orchestrator.formats.load import specs_folder

CHARGE_AND_TEXT = specs_folder() / "published" / "geo-stripe-payment-twilio-sms-confirm.yml"
DECLINED = "pm_card_visa_chargeDeclinedInsufficientFunds"
_NUMBERS = count(5000)


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Shell:
    """One home, one sandbox, and the commands that a test starts."""

    home: Path
    sandbox: BackgroundSandbox
    environ: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """``durazzo`` with these words, in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *words],
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str], timeout: float = 60) -> Done:
        out, err = process.communicate(timeout=timeout)
        return Done(process.returncode, out, err)

    def __call__(self, *words: str, **environ: str) -> Done:
        return self.end(self.begin(*words, **environ))

    def order(self, *, leave_out: str = "", **changes: str) -> list[str]:
        """The seed and inputs for it, with a customer of its own."""
        inputs = {
            "amount": "2000",
            "currency": "usd",
            "paymentMethod": "pm_card_visa",
            "accountSid": self.sandbox.env["TWILIO_ACCOUNT_SID"],
            "toPhone": f"+1555867{next(_NUMBERS)}",
            "fromPhone": "+15005550006",
            **changes,
        }
        inputs.pop(leave_out, None)
        pairs = [word for name, text in inputs.items() for word in ("-i", f"{name}={text}")]
        return [str(CHARGE_AND_TEXT), *pairs]

    def phone(self, order: list[str]) -> str:
        return next(w for w in order if w.startswith("toPhone=")).partition("=")[2]

    def effects(self) -> tuple[int, int]:
        """How many charges and texts the sandbox's own books have."""
        ledger = self.sandbox.ledger()
        assert ledger["duplicates"] == {"charges": 0, "messages": 0}
        return len(ledger["charges"]), len(ledger["messages"])

    def requests(self, path: str) -> list[Mapping[str, Any]]:
        return [r for r in self.sandbox.ledger()["requests"] if path in r["path"]]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        # What a killed command left: the embedded server, which the next one would have stopped.
        if Embedded(self.home).answers():
            Embedded(self.home).stop()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[BackgroundSandbox]:
    with BackgroundSandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_server: BackgroundSandbox) -> BackgroundSandbox:
    sandbox_server.reset()
    return sandbox_server


@pytest.fixture
def durazzo(tmp_path: Path, sandbox: BackgroundSandbox) -> Iterator[Shell]:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("DURAZZO", "STRIPE", "TWILIO"))
    }
    home = tmp_path / "home"
    shell = Shell(
        home=home,
        sandbox=sandbox,
        environ={
            **kept,
            **sandbox.env,
            "DURAZZO_HOME": str(home),
            "DURAZZO_HEARTBEAT": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    yield shell
    shell.close()


def wait_for(happened: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Real processes are waited for; nothing is slept through."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)

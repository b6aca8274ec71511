"""The shipped workflows, run for real: what went over the wire, into the journal, on the terminal.

Rewritten with DURAZZO_REWRITE_GOLDEN=1, and reviewed as a diff. Names of things that differ from
run to run are numbered by their first appearance, so that it still shows which is which.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.expressions.nodes import Json
from tests.golden.recorder import Recorder, recording
from tests.process.house import (
    CHARGE_AND_TEXT,
    DUNNING,
    OSOP_PAYMENT,
    TOKEN_AND_PAYMENT,
    House,
    house,
    wait_for,
)
from tests.process.test_seeds import PAYER

pytestmark = pytest.mark.process

GOLDEN = Path(__file__).parent / "runs"
CHECKOUT = GOLDEN.parents[2]
RUNS = {
    "charge-and-text": (CHARGE_AND_TEXT, ""),
    "dunning-declined": (DUNNING, "failed-payment-dunning-real"),
    "osop-payment": (OSOP_PAYMENT, ""),
    "token-and-payment": (TOKEN_AND_PAYMENT, "token-then-payment-real"),
}
_NAMES = re.compile(
    r"(?P<run>\b0[0-9a-hjkmnp-tv-z]{25}\b)|(?P<pi>\bpi_\w{24}(?:_secret_\w+)?)|(?P<cus>\bcus_\w{14}\b)"
    r"|(?P<SM>\bSM[0-9a-f]{32}\b)|(?P<key>\b[0-9a-f]{64}\b|(?<=idempotency-key: )\S+)"
    r"|(?P<token>(?<=Bearer )(?!sk_)[\w.-]+)|(?P<id>\b[0-9a-f]{32}\b)"
    r"|(?P<time>\b1[0-9]{12}\b)|(?P<worker>(?<=\"w\": \")[^\"]+)|(?P<url>http://127.0.0.1:\d+)"
    r"|(?P<took>\b\d+\.\d s)|(?P<version>(?<=durazzo/)\S+)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Recorder]]:
    with (
        house(tmp_path_factory.mktemp("golden"), DURAZZO_HEARTBEAT="30") as found,
        recording(found.sandbox.url) as wire,
    ):
        servers = found.environ["DURAZZO_SERVERS"].replace(found.sandbox.url, wire.url)
        found.environ["DURAZZO_SERVERS"] = servers
        found.worker()
        wait_for(lambda: bool(found.wiring.core.journal.alive()), "the worker")
        yield found, wire


def inputs(home: House, name: str) -> dict[str, Json]:
    match name:
        case "charge-and-text":
            return home.charge_inputs(toPhone="+15558670001")
        case "dunning-declined":
            return home.dunning_inputs(toNumber="+15558670002")
        case "token-and-payment":
            return home.transfer_inputs(**PAYER)
        case _:
            return {}


@pytest.mark.parametrize("name", RUNS)
def test_a_shipped_workflow_runs_as_it_was_reviewed(
    name: str, home: tuple[House, Recorder]
) -> None:
    at, wire = home
    document, overlay = RUNS[name]
    del wire.requests[:]
    file = document.relative_to(CHECKOUT)
    done = subprocess.run(
        [
            sys.executable, "-m", "ops.cli.main", "run", str(file),
            *(["--overlay", overlay] if overlay else []), "--inputs", json.dumps(inputs(at, name)),
        ],
        cwd=CHECKOUT, env=at.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = re.search(r"run (\w{26})", done.stdout)
    assert found is not None, done.stderr
    run = found[1]
    events = [
        json.dumps({"event": e.kind, "at": e.at, **e.fields})
        for e in at.wiring.core.journal.history(run)
        # A message sent again is the timekeeper's doing, on a machine that is busy.
        if e.kind not in {"sent", "settled"}
    ]
    credentials = {at.environ[n]: f"${n}" for n in at.environ if n.endswith(("_KEY", "_SECRET"))}
    shown = f"{done.stderr}{done.stdout}[exit {done.returncode}]\n"
    for part, text in (
        ("requests", "\n".join(wire.requests)),
        ("journal", "\n".join([*events, ""])),
        ("terminal", shown),
    ):
        _compare(GOLDEN / f"{name}.{part}.txt", _named(text, credentials))


def _compare(file: Path, written: str) -> None:
    if os.environ.get("DURAZZO_REWRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(written)
    assert written == file.read_text(), f"{file.name} differs"


def _named(text: str, credentials: dict[str, str]) -> str:
    for value, name in credentials.items():
        text = text.replace(value, name)
    seen: dict[str, dict[str, str]] = {}

    def numbered(match: re.Match[str]) -> str:
        kind = match.lastgroup or ""
        if kind in {"time", "took", "worker", "url", "version"}:
            return kind.upper()
        names = seen.setdefault(kind, {})
        return names.setdefault(match[0], f"{kind.upper()}{len(names) + 1}")

    return _NAMES.sub(numbered, text)

"""Every service of the compose file, natively: a batch through all of them, and down again."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from functools import partial
from typing import Any, Final

import httpx
import pytest

from ops.lab import wait_for
from orchestrator.formats.load import specs_folder
from tests.deploy.native import Deployment, Ended
from tests.process.house import CHARGE_AND_TEXT, DECLINED, DUNNING, FROM

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

ALL: Final = (
    "redis", "sandbox", "timekeeper", "worker", "worker-dunning", "flower", "metrics",
)  # fmt: skip
ORDERS: Final = 60
REMINDED: Final = 30
_REALITY: Final = specs_folder() / "overlays"


def _asked(deployment: Deployment, port: str, path: str, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{deployment.ports[port]}{path}"
    return httpx.get(url, headers=headers, trust_env=False, timeout=60)


def _secret(deployment: Deployment, name: str) -> str:
    return (deployment.folder / "secrets" / name).read_text().strip()


def _ledger(deployment: Deployment) -> Any:
    token = _secret(deployment, "sandbox_token")
    return _asked(deployment, "8099", "/ledger", Authorization=f"Bearer {token}").json()


def _metrics(deployment: Deployment) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Name and labels → value."""
    token = _secret(deployment, "metrics_token")
    text = _asked(deployment, "9790", "/metrics", Authorization=f"Bearer {token}").text
    found: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        found[name, tuple(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)  # type: ignore[assignment]
    return found


def _sum(deployment: Deployment, name: str, **labels: str) -> float:
    wanted = labels.items()
    found = _metrics(deployment).items()
    return sum(value for (n, has), value in found if n == name and wanted <= dict(has).items())


def _rows(count: int, **columns: str) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["order", *columns])
    for n in range(count):
        table.writerow([f"o-{n}", *(text.replace("#", f"{n:04}") for text in columns.values())])
    return out.getvalue()


def _begin(deployment: Deployment, name: str, rows: str, *words: str) -> str:
    file = deployment.folder / f"{name}.csv"
    file.write_text(rows)
    done = deployment.durazzo(
        "batch", "start", *words, "--data", str(file), "--key", "order", "--yes", "--detach",
        "--json",
    )  # fmt: skip
    assert done.returncode in {0, 130}, done.stderr
    return str(json.loads(done.stdout)["batch"])


def _orders(deployment: Deployment) -> str:
    rows = _rows(
        ORDERS, amount="19#", currency="usd", paymentMethod="pm_card_visa", fromPhone=FROM,
        accountSid=_secret(deployment, "providers/TWILIO_ACCOUNT_SID"), toPhone="+1555861#",
    )  # fmt: skip
    return _begin(deployment, "orders", rows, str(CHARGE_AND_TEXT))


def _reminders(deployment: Deployment) -> str:
    rows = _rows(
        REMINDED, amount="42#", currency="usd", paymentMethod=DECLINED, fromNumber=FROM,
        accountSid=_secret(deployment, "providers/TWILIO_ACCOUNT_SID"), toNumber="+1555862#",
    )  # fmt: skip
    overlay = next(_REALITY.glob("*failed*"))
    return _begin(deployment, "reminders", rows, str(DUNNING), "--overlay", str(overlay))


def _ended(deployment: Deployment, batch: str) -> int:
    with deployment.core() as core:
        found = core.batches.read(batch)
        assert found is not None
        return found.ended


def _have_ended(deployment: Deployment, batch: str, rows: int) -> bool:
    return _ended(deployment, batch) == rows


def _in_order(ended: dict[str, Ended]) -> bool:
    return all(one.code in {0, None} and one.took < one.grace for one in ended.values())


def test_a_batch_goes_through_all_of_them_and_nothing_is_lost(deployment: Deployment) -> None:
    deployment.up(*ALL)
    # Strangers.
    assert _asked(deployment, "5555", "/tasks").status_code == 401
    assert _asked(deployment, "9790", "/metrics").status_code == 401
    assert _asked(deployment, "8099", "/ledger").status_code == 401

    doctor = deployment.durazzo("doctor", "--json")
    bad = [c["name"] for c in json.loads(doctor.stdout)["checks"] if c["state"] == "warning"]
    assert (doctor.returncode, bad) == (0, ["servers"]), "calls go to the sandbox"

    orders, reminders = _orders(deployment), _reminders(deployment)
    # In the middle of it the workers go, and others come.
    wait_for(lambda: _ended(deployment, orders) > 5, "some of it", seconds=120)
    gone = deployment.stop("worker", "worker-dunning")
    assert _in_order(gone), gone
    deployment.up("worker", "worker-dunning")
    for batch, rows in ((orders, ORDERS), (reminders, REMINDED)):
        wait_for(partial(_have_ended, deployment, batch, rows), "the rest", seconds=180)

    ledger = _ledger(deployment)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    assert len(ledger["charges"]) == ORDERS
    assert len(ledger["messages"]) == ORDERS + REMINDED
    _agree(deployment, ledger)

    ended = deployment.stop(*reversed(ALL[1:]))
    assert _in_order(ended), ended
    deployment.stop("redis")
    # All that was acknowledged is on the disk.
    deployment.up("redis")
    assert _ended(deployment, orders) == ORDERS
    assert _ended(deployment, reminders) == REMINDED


def _agree(deployment: Deployment, ledger: Any) -> None:
    """The metrics, with what the sandbox says that really happened."""

    def said(name: str, **labels: str) -> float:
        return _sum(deployment, name, **labels)

    done = {"workflow": "charge-and-sms-confirm", "end": "succeeded"}
    assert said("durazzo_runs_ended_total", **done) == ORDERS
    assert said("durazzo_runs_accepted_total") == ORDERS + REMINDED
    assert said("durazzo_steps_ended_total", step="create-payment", end="succeeded") == ORDERS
    calls = Counter(request["path"].split("/")[1] for request in ledger["requests"])
    for provider in ("stripe", "twilio"):
        posted = [r for r in ledger["requests"] if r["path"].startswith(f"/{provider}")]
        attempts = said("durazzo_attempts_total", provider=provider)
        looked = sum(r["method"] == "GET" for r in posted)
        assert attempts == calls[provider] - looked
    assert said("durazzo_unknown_runs") == 0
    assert said("durazzo_unfinished_runs") == 0
    assert said("durazzo_timekeeper_leader") == 1

"""Nothing of a customer reaches a message, a result, a log, Flower, or Redis in clear."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ops import lab
from orchestrator.wiring import connect
from tests.process.house import (
    CHARGE_AND_TEXT,
    DECLINED,
    OSOP_PAYMENT,
    TOKEN_AND_PAYMENT,
    House,
    house,
    osop_with,
    plan_of,
    wait_for,
)  # fmt: skip
from tests.process.test_seeds import PAYER
from tests.process.test_trouble import PUBLISHED_WORDS

pytestmark = pytest.mark.process

CREDENTIALS = (
    "STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "FINTECTURE_APP_ID",
    "FINTECTURE_APP_SECRET", "ANTHROPIC_API_KEY",
)  # fmt: skip

#: How much money an effect moved, which events and visits tell in clear beside its id.
AMOUNT = re.compile(r"(?<=charged )(pi_\w+) [0-9]+ [a-z]{3}\b")


class Tap:
    """Every command that Redis executes, scripts' own included, as MONITOR tells it."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self._client = connect(url)
        self._monitor: Any = self._client.monitor()  # type: ignore[no-untyped-call]
        self._monitor.__enter__()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for entry in self._monitor.listen():
                self.lines.append(entry["command"])
        except Exception:  # noqa: BLE001  the server went away: the test is over
            return

    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def flower(home: House) -> Iterator[str]:
    port = lab.free_port()
    process = lab.celery(
        "workers.app", "flower", f"--port={port}", "--address=127.0.0.1",
        environ={**home.environ, "FLOWER_UNAUTHENTICATED_API": "1"},
        log=home.folder / "flower.log",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _get(f"{url}/healthcheck"), "Flower")
        yield url
    finally:
        process.kill()
        process.wait()


def _get(url: str) -> str:
    try:
        return httpx.get(url, timeout=5, follow_redirects=True).text
    except httpx.TransportError:
        return ""


def packed(url: str) -> str:
    """Every value that Redis holds, as Redis packs it."""
    with connect(url) as client:
        found = [client.dump(key) or b"" for key in client.scan_iter("*")]
    return b"\n".join(found).decode("latin-1")


def dump(url: str) -> str:
    """Every key and every value that Redis holds."""
    found = []
    with connect(url) as client:
        for key in client.scan_iter("*"):
            found.append(key)
            readers: dict[bytes, Callable[[bytes], Any]] = {
                b"hash": lambda k: [x for pair in client.hgetall(k).items() for x in pair],
                b"list": lambda k: client.lrange(k, 0, -1),
                b"string": lambda k: [client.get(k)],
                b"zset": lambda k: [
                    str(x).encode() for x in client.zrange(k, 0, -1, withscores=True)
                ],
                b"set": lambda k: list(client.smembers(k)),
            }
            found += readers[client.type(key)](key)
    return b"\n".join(found).decode("latin-1")


def private(home: House, inputs: dict[str, object]) -> dict[str, str]:
    """What must be nowhere: inputs, credentials, the words of the text; encoded forms too."""
    values = {name: str(value) for name, value in inputs.items() if name != "currency"}
    for name in CREDENTIALS:
        values[name] = home.environ[name]
    values["text"] = PUBLISHED_WORDS
    values["email of the OSOP document"] = "user@example.com"
    coded = {
        f"{n} in base64": base64.b64encode(v.encode()).decode().rstrip("=")
        for n, v in values.items()
    }
    quoted = {
        f"{n} in a URL": quote(v, safe="") for n, v in values.items() if quote(v, safe="") != v
    }
    return values | coded | quoted


def but_effects(text: str) -> str:
    """Without the amounts that are told of effects: anywhere else the same number is a leak."""
    return AMOUNT.sub(r"\1", text)


def leaks(text: str, words: dict[str, str]) -> list[str]:
    return [name for name, word in words.items() if word in text]


def exercise(home: House) -> dict[str, object]:
    """A success, a decline, a retry, a lost answer, a fallback loop; outputs that are secrets."""
    inputs: dict[str, object] = dict(home.charge_inputs(amount=271828))
    plan = plan_of(CHARGE_AND_TEXT)
    home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents", "do": "status", "status": 503},
        {"match": "POST /twilio/*", "do": "drop_after", "skip": 1},
    ])
    runs = [
        home.submit(plan, {**inputs}),  # type: ignore[dict-item]
        home.submit(plan, {**inputs, "toPhone": home.phone()}),  # type: ignore[dict-item]
        home.submit(plan, {**inputs, "paymentMethod": DECLINED}),  # type: ignore[dict-item]
        home.submit(osop_with(DECLINED), {}),
    ]
    ends = sorted(run.wait(30) for run in runs)
    assert ends == ["failed", "failed", "succeeded", "unknown"]
    return inputs | earn_secrets(home)


def earn_secrets(home: House) -> dict[str, object]:
    """What the providers gave back: a payment's client secret, an access token; and a receipt."""
    receipt = home.submit(plan_of(OSOP_PAYMENT), {})
    transfer = home.submit(
        plan_of(TOKEN_AND_PAYMENT, "token-then-payment-real"), home.transfer_inputs(**PAYER)
    )
    assert [run.wait(30) for run in (receipt, transfer)] == ["succeeded", "succeeded"]
    journal = home.wiring.core.journal
    made = journal.outputs(receipt.id, ["create_intent", "send_receipt"])
    given = {
        "client secret": made["create_intent"]["client_secret"],
        "receipt": str(made["send_receipt"]["text"]).splitlines()[0],
        "access token": transfer.report().outputs["accessToken"],
        "payer": PAYER["psuEmail"],
    }
    assert all(given.values())
    for run in (receipt, transfer):
        shown = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "show", run.id, "--outputs", "--events"],
            env=home.environ, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        words = private(home, {"client": given["client secret"], "token": given["access token"]})
        assert leaks(shown.stdout + shown.stderr, words) == []
    return {**given}


def test_nothing_private_is_in_messages_results_logs_flower_or_redis(at_home: House) -> None:
    url = at_home.environ["DURAZZO_REDIS_URL"]
    tap = Tap(url)
    with flower(at_home) as flower_url:
        at_home.worker()
        words = private(at_home, exercise(at_home))
        wait_for(lambda: "create-payment" in _get(f"{flower_url}/api/tasks"), "Flower's tasks")
        tasks = json.loads(_get(f"{flower_url}/api/tasks"))
        pages = [
            "/api/tasks", "/api/workers?refresh=1", "/tasks", "/workers", "/broker", "/metrics",
            *(f"/task/{task}" for task in tasks), *(f"/api/task/info/{task}" for task in tasks),
            *(f"/api/task/result/{task}" for task in list(tasks)[:3]),
        ]  # fmt: skip
        shown = "\n".join(_get(flower_url + page) for page in pages)
    assert len(tasks) >= 10, "Flower shows the steps' tasks"
    assert any("charge-and-sms-confirm/create-payment" in str(t) for t in tasks.values())
    assert leaks(shown, words) == []
    assert leaks(at_home.logs(), words) == []
    assert "attempt.finished" in at_home.logs()
    assert leaks(but_effects(tap.text()), words) == []
    assert "durazzo.step" in tap.text(), "the tap saw the broker's messages"
    results = "\n".join(line for line in tap.lines if "celery-task-meta" in line)
    assert "succeeded" in results
    assert leaks(results, words) == []
    assert leaks(but_effects(dump(url)), words) == []
    # Redis may pack an effect's text in pieces, where its amount is told from no other.
    assert leaks(packed(url), {n: w for n, w in words.items() if n != "amount"}) == []


def test_the_scan_finds_what_it_looks_for_when_sealing_is_off(tmp_path: Path) -> None:
    with house(tmp_path, DURAZZO_SEAL="off", DURAZZO_KEYS="") as home:
        home.worker()
        inputs = home.charge_inputs(amount=271828)
        home.submit(plan_of(CHARGE_AND_TEXT), inputs).wait(20)
        held = dump(home.environ["DURAZZO_REDIS_URL"])
        found = leaks(but_effects(held), private(home, dict(inputs)))
    assert {"toPhone", "amount", "text"} <= set(found)

"""``durazzo batch`` on the embedded server, which brings its own worker, as processes."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import CHARGE_AND_TEXT, DECLINED, Shell, wait_for

pytestmark = pytest.mark.process

ROWS = 40


def rows(durazzo: Shell, file: Path, **changes: str) -> str:
    with file.open("w", newline="") as stream:
        table = [
            dict(pair.split("=", 1) for pair in durazzo.order(**changes)[2::2])
            | {"order": f"order-{n}"}
            for n in range(1, ROWS + 1)
        ]
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return str(file)


def test_ctrl_c_leaves_a_batch_that_the_same_command_finishes(
    durazzo: Shell, tmp_path: Path
) -> None:
    """130 and what to do; then every row once."""
    file = rows(durazzo, tmp_path / "orders.csv")
    words = ["batch", "start", str(CHARGE_AND_TEXT), "--data", file, "--key", "order"]
    durazzo.sandbox.faults({"match": "POST /stripe/*", "do": "latency", "ms": 1_000, "times": None})
    leaving = durazzo.begin(*words, "--yes", "--window", "10")
    wait_for(lambda: len(durazzo.sandbox.ledger()["charges"]) > 2, "charges", seconds=60)
    leaving.send_signal(signal.SIGINT)
    left = durazzo.end(leaving)
    assert left.code == 130, left.err
    assert "is not over and nothing of it is lost: `durazzo batch show b-" in left.err
    assert len(durazzo.sandbox.ledger()["charges"]) < ROWS

    done = durazzo(*words, "--json")
    assert done.code == 0, done.err
    assert "nothing runs twice" in done.err
    assert done.json["rows"]["succeeded"] == ROWS
    assert durazzo.effects() == (ROWS, ROWS)


def test_a_detached_batch_is_carried_on_by_who_follows_it(durazzo: Shell, tmp_path: Path) -> None:
    file = rows(durazzo, tmp_path / "orders.csv")
    words = ["batch", "start", str(CHARGE_AND_TEXT), "--data", file, "--yes", "--detach"]
    started = durazzo(*words)
    assert started.code == 0, started.err
    assert "no worker is alive: nothing is sent until" in started.err
    assert durazzo.effects() == (0, 0)
    shown = durazzo("batch", "show", started.out.strip(), "--follow")
    assert shown.code == 0, shown.err
    assert f"{ROWS} rows: {ROWS} succeeded" in shown.out
    assert durazzo.effects() == (ROWS, ROWS)


def test_failed_rows_go_on_by_a_worker_that_the_retry_brings(
    durazzo: Shell, tmp_path: Path
) -> None:
    """More of them than the window has room for; each is tried once more, and no more often."""
    file = rows(durazzo, tmp_path / "orders.csv", paymentMethod=DECLINED)
    words = ["--data", file, "--yes", "--window", "4", "--max-failures", "100"]
    assert durazzo("batch", "start", str(CHARGE_AND_TEXT), *words).code == 1
    assert len(durazzo.requests("/payment_intents")) == ROWS

    again = durazzo("batch", "retry", "last", "--failed", "--yes")
    assert (again.code, again.out) == (0, f"retried {ROWS} runs, 0 refused\n"), again.err
    shown = durazzo("batch", "show", "last", "--follow")
    assert f"{ROWS} rows: {ROWS} failed" in shown.out
    assert len(durazzo.requests("/payment_intents")) == 2 * ROWS


def test_a_missing_secret_is_refused_before_a_row_is_stored(durazzo: Shell, tmp_path: Path) -> None:
    file = rows(durazzo, tmp_path / "orders.csv")
    words = ["batch", "start", str(CHARGE_AND_TEXT), "--data", file, "--yes"]
    done = durazzo(*words, TWILIO_AUTH_TOKEN="")
    assert done.code == 2
    assert "the secret TWILIO_AUTH_TOKEN is not set" in done.err
    assert durazzo("batch", "list", "--json").json == {"batches": []}

"""A batch from its file to its export, by a real worker; the sandbox's books are the judge."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.cli.main import invoke
from orchestrator.journal.batches import Batch
from orchestrator.service import batch as service
from tests.process.house import CHARGE_AND_TEXT, DECLINED, House, plan_of, wait_for

pytestmark = pytest.mark.process

ROWS = 60
FIELDS = [
    "order", "amount", "currency", "paymentMethod", "accountSid", "toPhone", "fromPhone",
]  # fmt: skip


def rows(home: House, file: Path, *, declined: Sequence[int] = ()) -> str:
    """A file as a spreadsheet leaves it: with a byte order mark, and CRLF."""
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        for number in range(1, ROWS + 1):
            card = DECLINED if number in declined else "pm_card_visa"
            inputs = home.charge_inputs(amount=1000 + number, paymentMethod=card)
            writer.writerow({"order": f"order-{number}", **inputs})
    return str(file)


def exported(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    assert invoke(["batch", "export", "last"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def check_ledger(home: House, table: Sequence[dict[str, str]]) -> None:
    """What the export says was charged and sent is what was."""
    ledger = home.ledger()
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    charged = {row["charged"]: int(row["amount"]) for row in table if row["charged"]}
    assert charged == {c["payment_intent"]: c["amount"] for c in ledger["charges"]}
    assert {r["texted"] for r in table if r["texted"]} == {m["sid"] for m in ledger["messages"]}


@pytest.fixture
def command(at_home: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The command line finds the house's Redis and sandbox."""
    for name, value in at_home.environ.items():
        monkeypatch.setenv(name, value)
    return at_home


def ended(home: House, batch: str) -> Batch:
    def all_rows() -> bool:
        return service.find(home.wiring.core, batch).state == "finished"

    wait_for(all_rows, "the batch's end", seconds=90)
    return service.find(home.wiring.core, batch)


def test_a_batch_charges_and_texts_each_row_once_and_its_export_adds_up_to_the_ledger(
    command: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = rows(command, tmp_path / "orders.csv", declined=[7, 41])
    command.worker(pool="threads", concurrency=4)
    wait_for(command.wiring.core.journal.alive, "a heartbeat", seconds=60)
    words = ["batch", "start", str(CHARGE_AND_TEXT), "--data", file, "--key", "order", "--json"]
    assert invoke([*words, "--yes", "--window", "20"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"]["succeeded"], found["rows"]["failed"]) == (ROWS - 2, 2)
    assert found["codes"] == {"card_declined": 2}
    table = exported(capsys)
    assert [row["row"] for row in table if row["state"] == "failed"] == ["7", "41"]
    check_ledger(command, table)
    total = sum(charge["amount"] for charge in command.ledger()["charges"])
    assert found["sums"] == {"charged": {"usd": total}, "texted": ROWS - 2}

    # The same again runs nothing, and declined cards stay declined.
    assert invoke(words) == 1
    assert invoke(["batch", "retry", "last", "--failed", "--code", "card_declined", "--yes"]) == 0
    assert ended(command, found["batch"]).ends == {"failed": 2, "succeeded": ROWS - 2}
    check_ledger(command, exported(capsys))


def test_a_paused_batch_makes_no_call_and_goes_on_where_it_was(
    command: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = rows(command, tmp_path / "orders.csv")
    words = ["batch", "start", str(CHARGE_AND_TEXT), "--data", file, "--detach", "--yes"]
    assert invoke([*words, "--id", "may", "--window", "10"]) == 0
    assert invoke(["batch", "pause", "may", "--reason", "let us look"]) == 0
    command.worker(pool="threads", concurrency=4)
    wait_for(command.wiring.core.journal.alive, "a heartbeat", seconds=60)
    run = command.submit(plan_of(CHARGE_AND_TEXT), command.charge_inputs())
    # A run of its own, begun later, overtakes: the worker works, and the batch makes no call.
    assert run.wait(60) == "succeeded"
    assert len(command.ledger()["charges"]) == 1
    assert invoke(["batch", "resume", "may"]) == 0
    capsys.readouterr()
    assert invoke(["batch", "show", "may", "--follow", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["succeeded"] == ROWS
    assert len(command.ledger()["charges"]) == ROWS + 1

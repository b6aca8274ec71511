"""The example application, run as its docstring says: a process of its own, then its crash."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from ops import lab
from tests.process.house import House

pytestmark = pytest.mark.process


def shop(home: House, *arguments: str) -> str:
    books = str(home.folder / "shop.db")
    found = subprocess.run(
        [sys.executable, "-m", "ops.examples.shop", *arguments],
        cwd=lab.CHECKOUT, env={**home.environ, "SHOP_BOOKS": books},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert found.stderr == ""
    return found.stdout


def test_an_order_is_charged_once_however_often_it_is_submitted(at_home: House) -> None:
    at_home.worker()
    order = ("order-1042", "2000", "pm_card_visa", at_home.phone())
    assert shop(at_home, *order).startswith("order-1042: succeeded, run ")
    again = shop(at_home, *order)
    assert again.startswith("order-1042: succeeded, run ")
    # As if the shop had died after its submit, before it noted the run.
    with sqlite3.connect(at_home.folder / "shop.db") as books:
        books.execute("update orders set run = null")
    said = shop(at_home)
    assert said == "order-1042: submitted now, it was left behind\norder-1042: succeeded\n"
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == 1

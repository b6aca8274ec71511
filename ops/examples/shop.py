"""A shop that queues payment confirmations: it commits its own order, then submits the run.

    python -m ops.examples.shop order-1042 2000 pm_card_visa +15558675310
    python -m ops.examples.shop                  # what a crash left unsubmitted, and all states

Two systems cannot commit together, so the order is written down first, without a run. Then it
is submitted under its own id as run key, and the run's id is noted. A crash in between leaves
an order without a run: the next start submits it again. If the run had been accepted after
all, the key gives back that very run. Either way the card is charged once.

Environment: as every durazzo process (DURAZZO_REDIS_URL, DURAZZO_KEYS), SHOP_BOOKS names the
SQLite file, TWILIO_ACCOUNT_SID and SHOP_PHONE are what texts are sent from.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from orchestrator.formats.load import specs_folder
from orchestrator.plan.model import Plan
from orchestrator.service import Core, Run, submit, validate
from orchestrator.settings import from_environ
from orchestrator.wiring import wire

WORKFLOW = specs_folder() / "published" / "geo-stripe-payment-twilio-sms-confirm.yml"
TABLE = """
create table if not exists orders (
    id text primary key, amount integer, card text, phone text, run text
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    books: sqlite3.Connection
    core: Core
    plan: Plan
    account: str
    sender: str

    def place(self, order: str, amount: int, card: str, phone: str) -> Run:
        """Commit the order, then queue its payment."""
        with self.books:
            row = (order, amount, card, phone)
            self.books.execute("insert or ignore into orders values (?, ?, ?, ?, null)", row)
        return self.queue(order)

    def queue(self, order: str) -> Run:
        """Safe to call again, after whatever went wrong."""
        query = "select amount, card, phone from orders where id = ?"
        amount, card, phone = self.books.execute(query, (order,)).fetchone()
        inputs = {
            "amount": amount, "currency": "usd", "paymentMethod": card,
            "accountSid": self.account, "fromPhone": self.sender, "toPhone": phone,
        }  # fmt: skip
        run = submit(self.core, self.plan, inputs, key=order)
        with self.books:
            self.books.execute("update orders set run = ? where id = ?", (run.id, order))
        return run

    def catch_up(self) -> list[str]:
        """Queue what was committed and not submitted."""
        rows = self.books.execute("select id from orders where run is null").fetchall()
        for (order,) in rows:
            self.queue(order)
        return [order for (order,) in rows]

    def states(self) -> dict[str, str]:
        rows = self.books.execute("select id, run from orders where run is not null order by id")
        return {order: Run(self.core, run).status().value for order, run in rows}


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    core = wire(from_environ()).core
    plan = validate(WORKFLOW, core.profiles.values()).plan
    with closing(sqlite3.connect(environ.get("SHOP_BOOKS", "shop.db"))) as books:
        books.execute(TABLE)
        shop = Shop(
            books=books,
            core=core,
            plan=plan,
            account=environ["TWILIO_ACCOUNT_SID"],
            sender=environ.get("SHOP_PHONE", "+15005550006"),
        )
        for order in shop.catch_up():
            print(f"{order}: submitted now, it was left behind")
        if arguments:
            order, amount, card, phone = arguments
            run = shop.place(order, int(amount), card, phone)
            print(f"{order}: {run.wait(30)}, run {run.id}")
        else:
            for order, state in shop.states().items():
                print(f"{order}: {state}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""A Redis of one's own, no worker, and `durazzo batch` beside it: rows end as a test says."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.cli.main import invoke
from orchestrator.engine.state import Result
from orchestrator.journal.batches import Batch, run_of
from orchestrator.journal.port import Ref
from orchestrator.service import Core
from orchestrator.service import batch as service
from tests.fakes.journal import take

SHOP = """\
openapi: 3.1.0
info: {title: Shop, version: "1"}
servers: [{url: https://shop.example/v1}]
paths:
  /bills:
    post:
      operationId: createBill
      requestBody: {content: {application/json: {}}}
"""
BILL = """\
arazzo: 1.0.1
info: {title: Bill, version: "1"}
sourceDescriptions: [{name: shop, url: shop.yaml, type: openapi}]
workflows:
  - workflowId: bill
    inputs:
      type: object
      properties: {amount: {type: integer}, currency: {type: string}, phone: {type: string}}
    steps:
      - stepId: a
        operationId: createBill
        requestBody:
          payload: {amount: $inputs.amount, currency: $inputs.currency, phone: $inputs.phone}
"""
PHONE = "+15558675309"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Desk:
    core: Core
    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def bill(self) -> str:
        return str(self.folder / "bill.yaml")

    def __call__(self, *words: str) -> Said:
        self.capsys.readouterr()
        code = invoke(["batch", *words])
        out, err = self.capsys.readouterr()
        return Said(code=code, out=out, err=err)

    def rows(self, count: int, *, name: str = "rows.csv", bad: Container[int] = ()) -> str:
        """A file of so many; the amount of a bad one is none."""
        amounts = ("lots" if n in bad else "1999" for n in range(1, count + 1))
        lines = (f"o-{n},{amount},usd,{PHONE},x" for n, amount in enumerate(amounts, 1))
        file = self.folder / name
        file.write_text("\n".join(["order,amount,currency,phone,note", *lines, ""]))
        return str(file)

    def start(self, file: str, *words: str) -> Said:
        return self("start", self.bill, "--data", file, *words)

    def opened(self, count: int, *words: str) -> str:
        """The id of a batch that was started, and that nobody drives."""
        said = self.start(self.rows(count), "--yes", "--detach", *words)
        assert said.code == 0, said.err
        return said.out.strip()

    def read(self, batch: str) -> Batch:
        return service.find(self.core, batch)

    def end(self, batch: str, row: int, result: Result, code: str = "", effect: str = "") -> str:
        """The row's one call came to that."""
        run, journal = run_of(batch, row), self.core.journal
        journal.heartbeat("w1", ttl_ms=600_000)
        state = journal.read(run)
        assert state is not None
        graph = self.core.plans.graph(state.plan)
        number = state.visits["a"].number
        lease = take(journal, graph, Ref(run, "a", number))
        lease.begin()
        lease.commit(result, code=code, done=effect)
        self.core.driver.carry_on(run)
        return run

    def charged(self, batch: str, *rows: int) -> None:
        for row in rows:
            self.end(batch, row, Result.SUCCEEDED, effect=f"charged pi_{row} 1999 usd")

    def declined(self, batch: str, *rows: int) -> None:
        for row in rows:
            self.end(batch, row, Result.FINAL, "card_declined")

"""What will happen to rows, said before it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.cli import accounts, telling, terminal
from ops.cli.batch import wording
from ops.cli.batch.options import Asked
from orchestrator.batch import Summary
from orchestrator.plan.model import Plan
from orchestrator.policy.accounts import written
from orchestrator.wiring import load_profiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    plan: Plan
    summary: Summary
    asked: Asked

    @property
    def head(self) -> str:
        summary = self.summary
        parts = [
            f"{wording.rows(summary.good)} of {self.plan.name}",
            self._in_all,
            f"{wording.number(self.asked.terms.window)} at a time",
            f"{wording.rows(summary.bad)} skipped" if summary.bad else "",
            telling.by_account(written(self.asked.terms.accounts)).removeprefix(", "),
        ]
        return terminal.plain(", ".join(part for part in parts if part))

    @property
    def _in_all(self) -> str:
        totals = self.summary.totals
        if totals is not None:
            return f"{wording.amounts(totals)} in all"
        has_amounts = "amount" in self.plan.inputs.referenced
        return "no total can be told" if has_amounts else ""

    def lines(self) -> Iterator[str]:
        yield self.head
        if self.summary.bad and self.asked.rows.key is None:
            yield (
                "without run keys (--key COLUMN) the mended file is another batch, which runs"
                " these rows again"
            )
        if unused := [c for c in self.summary.unused if c not in self.summary.alike]:
            yield terminal.plain(f"columns not used: {', '.join(unused)}")
        for column, name in self.summary.alike.items():
            yield terminal.plain(
                f"column {column!r} is not used; if it is input {name!r}: --map {name}={column}"
            )

    def show_dry(self, *, as_json: bool) -> None:
        called = accounts.labels(self.plan, self.asked.terms.accounts, load_profiles())
        if not as_json:
            terminal.show_diagnostics(self.summary.faults)
            for line in (*self.lines(), *accounts.told(called)):
                terminal.out(line)
            terminal.say("nothing was stored, nothing was sent")
            return
        summary = self.summary
        terminal.put_json({
            "batch": None,
            "workflow": self.plan.name,
            "state": "dry-run",
            "accounts": called,
            "rows": {"good": summary.good, "bad": summary.bad},
            "totals": summary.totals,
            "unused": list(summary.unused),
            "diagnostics": [fault.as_json() for fault in summary.faults],
        })

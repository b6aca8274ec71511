"""What an act came to: what the sandbox's books have since, beside what it was to come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.demo.acts import Act
from orchestrator.engine.state import Status
from orchestrator.service import Report

#: What ``GET /ledger`` answers.
Ledger = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    act: Act
    report: Report
    #: What the act added to the books.
    charges: Rows
    texts: Rows
    payments: Rows
    requests: Rows
    #: What the act was to write, "" when nothing is there.
    written: str = ""

    @property
    def ok(self) -> bool:
        return not any(self.problems())

    def problems(self) -> Iterator[str]:
        """Each thing that is not as the act says."""
        act = self.act
        found = {
            "state": (str(act.state), self.report.state),
            "charges": (act.charges, len(self.charges)),
            "texts": (act.texts, len(self.texts)),
            "payments": (act.payments, len(self.payments)),
            "requests": (act.requests, len(self.requests)),
        }
        for what, (expected, got) in found.items():
            if got != expected:
                yield f"{what}: {expected} expected, {got} found"
        if act.writes and not self.written:
            yield "nothing was written"

    def told(self) -> Iterator[tuple[str, str]]:
        """The books' part of it: what was done, and to what."""
        if len(self.requests) > len(self.report.steps):
            yield "asked", _asked(self.requests)
        yield from self._left_undone()
        for row in self.charges:
            yield "charged", f"{row['amount'] / 100:.2f} {row['currency'].upper()}"
        for row in self.texts:
            yield "texted", f'{row["to"]} "{row["body"]}"'
        for row in self.payments:
            what = f'{row["amount"]} {row["currency"]} for "{row["communication"]}"'
            yield "opened", f"{what}, status {row['status']}"
        if self.written:
            yield "wrote", self.written

    def _left_undone(self) -> Iterator[tuple[str, str]]:
        if not self.charges and any(row["path"].startswith("/stripe/") for row in self.requests):
            yield "charged", "nothing"
        if not self.texts and self.report.state == Status.FAILED:
            yield "texted", "nobody"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.act.name,
            "run": self.report.run,
            "state": str(self.report.state),
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The books at the end."""

    charges: int
    texts: int
    duplicates: int
    expected: tuple[int, int]

    @property
    def ok(self) -> bool:
        return not self.duplicates and (self.charges, self.texts) == self.expected

    def wrong(self) -> str:
        charges, texts = self.expected
        return f"expected {charges} charges, {texts} texts, 0 duplicates"

    def as_json(self) -> dict[str, int]:
        return {"charges": self.charges, "texts": self.texts, "duplicates": self.duplicates}

    def __str__(self) -> str:
        parts = (self.charges, "charge"), (self.texts, "text"), (self.duplicates, "duplicate")
        return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts)


def played(act: Act, report: Report, *, before: Ledger, after: Ledger, written: str = "") -> Played:
    def added(kind: str) -> Rows:
        rows: Rows = after[kind]
        return rows[len(before[kind]) :]

    return Played(
        act=act,
        report=report,
        charges=added("charges"),
        texts=added("messages"),
        payments=added("payments"),
        requests=added("requests"),
        written=written,
    )


def total(acts: Sequence[Act], ledger: Ledger) -> Total:
    return Total(
        charges=len(ledger["charges"]),
        texts=len(ledger["messages"]),
        duplicates=sum(ledger["duplicates"].values()),
        expected=(sum(act.charges for act in acts), sum(act.texts for act in acts)),
    )


def _asked(requests: Rows) -> str:
    """The charge's answers, one after the other: those that were lost as well."""
    first = [row for row in requests if row["path"] == requests[0]["path"]]
    answers = ", ".join(str(row["status"] or "no answer") for row in first)
    keys = len({row["key"] for row in first})
    under = "one idempotency key" if keys == 1 else f"{keys} idempotency keys"
    return f"{len(first)} times under {under}: {answers}"

"""Files of rows, and what a pass over them says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final

from orchestrator.batch import Checked, Screening, Summary
from orchestrator.batch.rows import Format
from orchestrator.errors import Diagnostic, RowsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import InputSchema, Plan
from tests.fakes import plans

PROPERTIES: Final[dict[str, Json]] = {
    "amount": {"type": "integer", "minimum": 50},
    "currency": {"enum": ["usd", "eur"], "default": "usd"},
    "toPhone": {"type": "string", "pattern": r"^\+"},
    "note": {"type": "string"},
}


def plan(
    properties: dict[str, Json] | None = None,
    *,
    referenced: tuple[str, ...] = ("amount", "toPhone"),
    **schema: Json,
) -> Plan:
    found = PROPERTIES if properties is None else properties
    defaults = tuple(
        (name, json.dumps(of["default"]))
        for name, of in sorted(found.items())
        if isinstance(of, dict) and "default" in of
    )
    inputs = InputSchema(
        schema=json.dumps({"type": "object", "properties": found, **schema}),
        referenced=referenced,
        defaults=defaults,
    )
    return replace(plans.charge_and_text(), inputs=inputs)


@dataclass(frozen=True, slots=True)
class Screened:
    rows: list[Checked]
    summary: Summary

    @property
    def faults(self) -> list[tuple[str, int, int]]:
        return [(fault.code, fault.line, fault.column) for fault in self.summary.faults]

    @property
    def inputs(self) -> list[dict[str, Json]]:
        return [row.inputs for row in self.rows]


def screened(
    text: str | bytes, of: Plan | None = None, *, kind: Format = "csv", **options: Any
) -> Screened:
    """Raises RowsRefused where the file as a whole is refused."""
    data = text.encode() if isinstance(text, str) else text
    screening = Screening(
        of or plan(), BytesIO(data), file="rows", format=kind, salt=b"salt", **options
    )
    return Screened(list(screening), screening.summary)


def refused(text: str | bytes, of: Plan | None = None, **options: Any) -> tuple[Diagnostic, ...]:
    """What the file as a whole is refused for."""
    try:
        found = screened(text, of, **options)
    except RowsRefused as refusal:
        return refusal.faults
    raise AssertionError(f"taken: {found.summary}")


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)

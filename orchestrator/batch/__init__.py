"""A batch: one workflow over many rows. Here the rows are read and judged; nothing is stored."""

from __future__ import annotations

from orchestrator.batch.amounts import Amounts
from orchestrator.batch.columns import Columns
from orchestrator.batch.faults import Code, Faults
from orchestrator.batch.reading import Reading, Row
from orchestrator.batch.rows import format_of, read
from orchestrator.batch.screening import Checked, Screening, Summary, batch_id

__all__ = [
    "Amounts", "Checked", "Code", "Columns", "Faults", "Reading", "Row", "Screening", "Summary",
    "batch_id", "format_of", "read",
]  # fmt: skip

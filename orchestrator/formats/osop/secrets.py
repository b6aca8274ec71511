"""Where ``${secrets.X}`` may stand: in a header, which is resolved at each send."""

from __future__ import annotations

from orchestrator.expressions.nodes import Node, Secret, walk
from orchestrator.formats.diagnostics import Place, Report


def refuse_secrets(value: Node, at: Place, report: Report) -> None:
    """Bodies, addresses and outputs are journaled; secrets never are."""
    if any(isinstance(part, Secret) for part in walk(value)):
        report.error("osop-secret-outside-headers", "a secret can only stand in a header", at)

"""The drawings of shipped documents, to be reviewed as a diff when they change.

Rewritten by ``DURAZZO_REWRITE_GOLDEN=1 pytest tests/golden``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.service.draw import mermaid
from tests.unit.formats.loading import loaded, published, shipped_sources

GRAPHS = Path(__file__).parent / "graphs"


@pytest.mark.parametrize(
    ("document", "golden"),
    [
        ("geo-stripe-payment-twilio-sms-confirm.yml", "charge-and-sms-confirm.mmd"),
        ("pay-stripe-failed-payment-to-twilio-dunning-workflow.yml", "failed-payment-dunning.mmd"),
        ("ex-sop-stripe-payment.osop.yaml", "sop-stripe-payment.mmd"),
        ("fintecture-token-then-payment-workflow.yml", "token-then-payment.mmd"),
    ],
)
def test_a_published_document_is_drawn_as_reviewed(document: str, golden: str) -> None:
    drawn = mermaid(loaded(published(document), sources=shipped_sources()).plan)
    file = GRAPHS / golden
    if os.environ.get("DURAZZO_REWRITE_GOLDEN"):
        file.write_text(drawn)
    assert drawn == file.read_text()

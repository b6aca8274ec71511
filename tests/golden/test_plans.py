"""The plans of shipped documents, to be reviewed as a diff when they change.

Rewritten by ``DURAZZO_REWRITE_GOLDEN=1 pytest tests/golden``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.plan.codec import decode, encode
from tests.unit.formats.loading import loaded, published, shipped_sources

PLANS = Path(__file__).parent / "plans"


@pytest.mark.parametrize(
    ("document", "golden"),
    [
        ("geo-stripe-payment-twilio-sms-confirm.yml", "charge-and-sms-confirm.json"),
        ("pay-stripe-failed-payment-to-twilio-dunning-workflow.yml", "failed-payment-dunning.json"),
        ("ex-sop-stripe-payment.osop.yaml", "sop-stripe-payment.json"),
        ("fintecture-token-then-payment-workflow.yml", "token-then-payment.json"),
    ],
)
def test_a_published_document_lowers_to_the_reviewed_plan(document: str, golden: str) -> None:
    plan = loaded(published(document), sources=shipped_sources()).plan
    written = json.dumps(json.loads(encode(plan)), indent=1, ensure_ascii=False) + "\n"
    file = PLANS / golden
    if os.environ.get("DURAZZO_REWRITE_GOLDEN"):
        file.write_text(written)
    assert written == file.read_text()
    assert decode(written.encode()) == plan

"""JSON with one spelling: what is equal has equal bytes."""

from __future__ import annotations

import json

from orchestrator.expressions.nodes import Json


def canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

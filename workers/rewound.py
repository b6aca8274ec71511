"""Redis has lost what it acknowledged: said once, by the worker that remembers it."""

from __future__ import annotations

import structlog

from orchestrator.engine.state import REDIS_REWOUND

log = structlog.get_logger()


def say(missing: int) -> None:
    """``missing``: begins of calls without a key that Redis knows nothing of, at least."""
    if missing:
        log.error("redis.rewound", code=REDIS_REWOUND, begins_missing=missing)

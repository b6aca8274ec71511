"""Before a worker starts: whether Redis keeps what the promises rest on, and what it can lose."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from orchestrator.errors import JournalUnavailable
from orchestrator.journal.fitness import Grade, Judgement, require_fit
from orchestrator.settings import Settings
from orchestrator.wiring import examine

log = structlog.get_logger()


def require_redis(settings: Settings) -> list[Judgement]:
    """Raises RedisUnfit, and JournalUnavailable when it cannot be asked."""
    judgements = examine(settings)
    require_fit(judgements)
    return judgements


def look_at_redis(settings: Settings) -> list[Judgement]:
    """As ``require_redis``, for a worker that waits until Redis is there."""
    try:
        return require_redis(settings)
    except JournalUnavailable as error:
        return [
            Judgement(
                name="server",
                grade=Grade.UNKNOWN,
                message=error.message,
                hint="durazzo doctor looks closer",
            )
        ]


def say(judgements: Iterable[Judgement]) -> None:
    """To the log: what a power cut can lose in any case, else only what is not as it should be."""
    for one in judgements:
        match one.grade:
            case Grade.OK if one.name == "persistence":
                log.info("redis.keeps", check=one.name, said=one.message)
            case Grade.OK:
                pass
            case Grade.UNKNOWN:
                log.info("redis.unknown", check=one.name, said=one.message, todo=one.hint)
            case _:
                log.warning("redis.can-lose", check=one.name, said=one.message, todo=one.hint)

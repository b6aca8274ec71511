"""What a finished run keeps in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from ops.bench.stage import Stage
from orchestrator.journal.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Bytes, by what it is, of the latest finished run; ``MEMORY USAGE`` of every key."""

    keys: dict[str, int]


def weigh(stage: Stage) -> Weight:
    run, keys, redis = stage.durazzo.runs[-1].id, Keys(), stage.redis
    names = {
        "control state (hash)": keys.run(run),
        "events (list)": keys.log(run),
        "inputs and outputs, sealed (hash)": keys.data(run),
        "Celery result (string)": f"celery-task-meta-{run}",
    }
    found = {what: redis.memory_usage(name, samples=0) or 0 for what, name in names.items()}
    found["its line in the index of runs"] = _share(stage, keys.runs)
    return Weight(keys=found)


def _share(stage: Stage, index: str) -> int:
    usage: int = stage.redis.memory_usage(index, samples=0)
    entries: int = stage.redis.zcard(index)
    return round(usage / entries)

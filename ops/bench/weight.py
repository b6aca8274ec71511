"""What a run keeps in Redis in each of its forms, and a row of a batch that waits to become one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from ops import lab
from ops.bench.stage import Stage, inputs_of
from orchestrator.batch import Checked
from orchestrator.engine.state import Phase
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Pace
from orchestrator.service import Run
from orchestrator.service import batch as batches

#: Rows that are weighed together: some blocks of them.
_ROWS: Final = 2_000
_HELD: Final = "twilio"
_PATIENCE: Final = 60.0
_AT_ONCE: Final = Pace(batch=1_000, spacing_us=0, spread_ms=1)
_BY: Final = {"by": "bench", "reason": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Bytes, by what it is; ``MEMORY USAGE`` of every key, or a share of one that many are in."""

    #: Charged, and its text to come.
    under_way: Mapping[str, int]
    #: Right after its end, and for a minute.
    finished: Mapping[str, int]
    put_away: Mapping[str, int]
    #: That is no run yet.
    row: Mapping[str, int]


def weigh(stage: Stage) -> Weight:
    """Of a run that nothing held up, but for the one that is held up to be weighed on its way."""
    journal = stage.durazzo.wiring.core.journal
    with _worked_at(stage) as lane:
        run = _submitted(stage, lane)
        run.wait(_PATIENCE)
        finished = _form(stage, run.id)
        put_away = _put_away(stage, run.id)
        journal.stop(_HELD, **_BY)
        held = _submitted(stage, lane)
        lab.wait_for(lambda: _waits(held), "the run before its text", seconds=_PATIENCE)
        under_way = _form(stage, held.id)
        journal.go_on(_HELD, **_BY, pace=_AT_ONCE)
        held.wait(_PATIENCE)
    return Weight(under_way=under_way, finished=finished, put_away=put_away, row=_row(stage))


@contextmanager
def _worked_at(stage: Stage) -> Iterator[str]:
    lane, worker = stage.lane(stage.durazzo), stage.workers[stage.durazzo.name]
    worker.consume(lane)
    yield lane
    worker.leave(lane)


def _submitted(stage: Stage, lane: str) -> Run:
    stage.durazzo.submit(stage.orders(1)[0], lane)
    return stage.durazzo.runs[-1]


def _waits(run: Run) -> bool:
    return any(visit.phase is Phase.WAITING for visit in run.state().visits.values())


def _form(stage: Stage, run: str) -> dict[str, int]:
    keys = Keys()
    return _there({
        "control state (hash)": _usage(stage, keys.run(run)),
        "events (list)": _usage(stage, keys.log(run)),
        "inputs and outputs, sealed (hash)": _usage(stage, keys.data(run)),
        "all of it, packed (string)": _usage(stage, keys.done(run)),
        "Celery result (string)": _usage(stage, f"celery-task-meta-{run}"),
        "its places in sorted sets": sum(
            _share(stage, index)
            for index in (keys.runs, keys.due, keys.ended, keys.kept)
            if stage.redis.zscore(index, run) is not None
        ),
    })


def _put_away(stage: Stage, run: str) -> dict[str, int]:
    """Any timekeeper does it, once its minute is over: here that is now."""
    keys = Keys()
    stage.redis.zadd(keys.ended, {run: 1})
    archive = stage.durazzo.wiring.core.archive

    def is_put_away() -> bool:
        archive.tidy(1_000)
        return bool(stage.redis.exists(keys.done(run)))

    lab.wait_for(is_put_away, "the run to be put away")
    return _form(stage, run)


def _row(stage: Stage) -> dict[str, int]:
    """Of a batch whose window has room for one: all of the others wait.

    Each has a card, a phone number and an amount of its own, which no packing makes smaller.
    """
    core, keys, team = stage.durazzo.wiring.core, Keys(), stage.durazzo
    upload, chance = batches.Upload(core), Random(1)  # noqa: S311  no secret
    for number, order in enumerate(stage.orders(_ROWS), 1):
        own = replace(
            order,
            card=f"pm_{chance.randbytes(12).hex()}",
            to=f"+1555{chance.randrange(10**7):07}",
            amount=chance.randrange(100, 100_000),
        )
        upload.add(Checked(number=number, key=order.number, inputs=inputs_of(own)))
    terms = batches.Terms(lane=stage.lane(team), window=1, keyed=True)
    batch, _ = batches.start(core, team.plan, upload, digest="00" * 32, terms=terms, by="bench")
    found = {
        "values, packed and sealed": _usage(stage, keys.batch(batch.id, "rows")) // _ROWS,
        "number and run key, likewise": _usage(stage, keys.batch(batch.id, "index")) // _ROWS,
    }
    batches.cancel(core, batch.id, **_BY)
    return found


def _there(found: Mapping[str, int]) -> dict[str, int]:
    return {what: size for what, size in found.items() if size}


def _usage(stage: Stage, key: str) -> int:
    return int(stage.redis.memory_usage(key, samples=0) or 0)


def _share(stage: Stage, index: str) -> int:
    return round(_usage(stage, index) / int(stage.redis.zcard(index)))

"""One batch for a person: where it stands, what it did, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ops.cli import telling
from ops.cli.batch import wording
from ops.cli.batch.pace import Pace
from orchestrator.journal.batches import Batch, run_of
from orchestrator.journal.port import Stop
from orchestrator.service import Core
from orchestrator.service.many import where
from orchestrator.service.stop import OF_BATCH

_CODES: Final = 10
#: Rows in doubt that are asked at which step.
_ASKED: Final = 20
FAILURE_RATIO: Final = "failure-ratio"


def page(core: Core, batch: Batch) -> Iterator[str]:
    now = core.journal.now()
    counts = wording.Counts.of(batch)
    yield telling.safe(f"{batch.state}: {batch.name}, batch {batch.id}")
    since = f"{telling.age(now - batch.at)} ago, {telling.utc(batch.at)}"
    yield telling.safe(
        f"  started by {batch.by} {since}; lane {batch.lane}, {batch.window:,} at a time"
        f"{telling.by_account(batch.accounts)}"
    )
    yield f"  {wording.rows(batch.total)}: {counts.told}"
    yield from (f"  {line}" for line in _ends(batch))
    yield from (f"  {line}" for line in wording.sums(batch))
    if codes := wording.commonest(batch, _CODES):
        yield f"  why: {codes}"
    if batch.state == "running" and (speed := average(batch, now)):
        yield f"  {speed}"
    if batch.stopped:
        yield f"  {_stopped(stop_of(core, batch), batch)}"
    yield from (f"  {line}" for line in _advice(core, batch))


def average(batch: Batch, now: int) -> str:
    """Since it was started: one look tells no more."""
    pace = Pace(batch.total)
    pace.add(batch.at, 0)
    # Older than is looked back is the point: nothing else was seen.
    pace.add(now, wording.Counts.of(batch).over)
    return f"{pace.told}, on average" if pace.left else ""


def stop_of(core: Core, batch: Batch) -> Stop | None:
    stops = core.journal.stops(reasons=True)
    return next((stop for stop in stops if stop.provider == OF_BATCH + batch.id), None)


def _ends(batch: Batch) -> Iterator[str]:
    """Those that are among the succeeded and the failed, by a name of their own."""
    told = {
        "known": "had run before, under their run keys",
        "refused": "were refused: their run keys stand for something else",
        "given-up": "had not begun when it was cancelled",
    }
    for end, text in told.items():
        if count := batch.ends.get(end, 0):
            yield f"{count:,} of them {text}"


def _stopped(stop: Stop | None, batch: Batch) -> str:
    when = f" since {telling.utc(stop.at)}" if stop else ""
    if batch.stopped_code == FAILURE_RATIO:
        return f"paused by durazzo{when}: too many failed ({FAILURE_RATIO})"
    code = f" ({batch.stopped_code})" if batch.stopped_code else ""
    because = telling.because(stop.reason) if stop else ""
    return telling.safe(f"paused by {batch.stopped}{code}{when}{because}")


def _advice(core: Core, batch: Batch) -> Iterator[str]:
    name = f"durazzo batch {{}} {batch.id}"
    if batch.state == "paused":
        yield f"let it go on: {name.format('resume')}"
    elif batch.ended + batch.parked < batch.total and not core.journal.alive():
        yield f"no worker is alive, nothing is sent: {name.format('show')} --follow"
    if batch.parked:
        for step in doubtful_steps(core, batch):
            yield f"say what became of them: {name.format('resolve')} {step} --as … --reason …"
    if batch.ends.get("failed", 0):
        yield f"let them go on from what failed: {name.format('retry')} --failed"
    if batch.ended >= batch.total:
        yield f"row by row: {name.format('export')} -o {batch.id}.csv"


def doubtful_steps(core: Core, batch: Batch) -> list[str]:
    found: set[str] = set()
    for row in core.batches.parked(batch.id)[:_ASKED]:
        state = core.journal.read(run_of(batch.id, row))
        found.update(where(state) if state is not None else ())
    return sorted(map(telling.safe, found))

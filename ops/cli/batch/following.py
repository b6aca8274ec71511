"""Following a batch until nothing more happens to it by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ops.cli.batch.bar import View, watching
from ops.cli.batch.pace import Pace
from ops.cli.batch.wording import Counts
from orchestrator.engine.state import Phase
from orchestrator.errors import JournalUnavailable, NoWorker
from orchestrator.journal.batches import Batch, run_of
from orchestrator.service import Core
from orchestrator.service import batch as service

#: Two looks a second at most, once it takes longer than a moment.
_POLL_MIN: Final = 50
_POLL_MAX: Final = 500
#: A look-up that comes sooner is waited for. ms.
_SOON: Final = 120_000
#: Of the rows in doubt, so many are asked whether somebody looks.
_ASKED: Final = 20

SUCCEEDED: Final = 0
FAILED: Final = 1
UNKNOWN: Final = 6


def follow(core: Core, batch: Batch, check: Callable[[], None]) -> Batch:
    """The batch when it is settled. ``check`` is called in between, and may raise."""
    try:
        with watching() as view:
            return _watched(core, batch, view, check)
    except NoWorker as error:
        raise NoWorker(f"{error.message}; batch {batch.id} stays as it is") from None
    except JournalUnavailable as error:
        raise JournalUnavailable(
            f"{error.message}; batch {batch.id} goes on once it can: durazzo batch show {batch.id}"
        ) from error


def _watched(core: Core, batch: Batch, view: View, check: Callable[[], None]) -> Batch:
    pace, pause = Pace(batch.total), _POLL_MIN
    while True:
        found = service.find(core, batch.id)
        pace.add(core.clock.monotonic_ms(), Counts.of(found).over)
        view.show(found, pace)
        if settled(core, found):
            return found
        check()
        core.clock.sleep_ms(pause)
        pause = min(pause * 2, _POLL_MAX)


def settled(core: Core, batch: Batch) -> bool:
    """Whether nothing more happens by itself: all ended, in doubt for long, or durazzo stopped it.

    One that a person has paused is waited for: a person lets it go on.
    """
    if batch.ended >= batch.total:
        return True
    if batch.stopped_code:
        return True
    counts = Counts.of(batch)
    at_rest = not (counts.in_flight or counts.waiting or counts.not_begun)
    return at_rest and not _looked_up_soon(core, batch)


def exit_code(batch: Batch) -> int:
    if batch.parked:
        return UNKNOWN
    counts = Counts.of(batch)
    return SUCCEEDED if counts.succeeded == counts.total else FAILED


def _looked_up_soon(core: Core, batch: Batch) -> bool:
    soon = core.journal.now() + _SOON
    for row in core.batches.parked(batch.id)[:_ASKED]:
        state = core.journal.read(run_of(batch.id, row))
        visits = state.visits.values() if state is not None else ()
        if any(visit.phase is Phase.UNKNOWN and 0 < visit.until <= soon for visit in visits):
            return True
    return False

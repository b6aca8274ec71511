"""Rows that go on again, as their batch's window has room for them, and somebody drives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from ops.cli import secrets
from ops.cli.hands import Hands, hands
from ops.cli.many import Tally
from orchestrator.errors import NoWorker
from orchestrator.journal.batches import Batch
from orchestrator.service import Core
from orchestrator.service import batch as service
from orchestrator.settings import Settings
from orchestrator.wiring import load_profiles

#: Between two looks at a window that is full. ms.
_POLL: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Called while a batch's window is full."""

    core: Core
    batch: Batch
    workers: Hands
    tally: Tally

    def __call__(self) -> None:
        """Raises NoWorker, and UsageError for a batch in which nobody leaves the window."""
        self.workers.check()
        if not self.core.journal.alive():
            raise NoWorker("no worker is alive, so that no place in the window becomes free")
        if service.find(self.core, self.batch.id).stopped:
            raise click.UsageError(
                f"the batch is paused and its window of {self.batch.window} is full:"
                f" durazzo batch resume {self.batch.id}, and then the same command again"
            )
        self.tally.look(f"; waiting for room in the window of {self.batch.window}")
        self.core.clock.sleep_ms(_POLL)


@contextmanager
def driven(settings: Settings, core: Core, batch: Batch) -> Iterator[Hands]:
    """The workers of a Redis of one's own, or one that is brought. Raises NoWorker."""
    if not settings.redis_url:
        plan = core.plans.graph(batch.digest).plan
        secrets.check(plan, load_profiles(), settings, batch.accounts)
    with hands(settings, core, batch.lane) as workers:
        yield workers

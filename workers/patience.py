"""Redis away: what must reach it is tried again for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from orchestrator.clock import Clock, Entropy
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Ref

log = structlog.get_logger()

T = TypeVar("T")

#: Between tries: the first wait doubles up to the last. ms.
_FIRST_WAIT: Final = 100
_LAST_WAIT: Final = 2_000


class Patience:
    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def trying(self, ref: Ref, span_ms: int, work: Callable[[], T]) -> T:
        """Try for ``span_ms``, once at least. Raises JournalUnavailable then."""
        ends = self._clock.monotonic_ms() + span_ms
        wait = _FIRST_WAIT
        while True:
            try:
                return work()
            except JournalUnavailable as error:
                # All that lost it would come back together.
                span = wait // 2 + int(self._entropy.uniform() * wait / 2)
                wait = min(2 * wait, _LAST_WAIT)
                if self._clock.monotonic_ms() + span >= ends:
                    raise
                log.warning(
                    "journal.waits",
                    run=ref.run,
                    step=ref.step,
                    code=error.code,
                    reason=error.reason,
                )
                self._clock.sleep_ms(span)

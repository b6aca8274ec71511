"""Following a run to its end, telling what happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ops.cli import terminal
from ops.cli.ticks import Ticks
from orchestrator.clock import Clock
from orchestrator.engine.state import Status
from orchestrator.errors import JournalUnavailable
from orchestrator.service import Run
from orchestrator.service.inspect import SETTLED

_POLL_MIN: Final = 20
_POLL_MAX: Final = 200


class Following:
    def __init__(self, run: Run, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._ticks = Ticks(terminal.symbols())
        self._seq = 0
        self._shown = 0

    def to_the_end(self, timeout: float | None, check: Callable[[], None]) -> Status:
        """The status when it is settled, or as it is after ``timeout`` seconds.

        ``check`` is called in between, and may raise.
        """
        ends = None if timeout is None else self._clock.monotonic_ms() + timeout * 1000
        pause = _POLL_MIN
        while True:
            fresh, status = self._look()
            if status in SETTLED or (ends is not None and self._clock.monotonic_ms() >= ends):
                return status
            check()
            pause = _POLL_MIN if fresh else min(pause * 2, _POLL_MAX)
            self._clock.sleep_ms(pause)

    def _look(self) -> tuple[bool, Status]:
        """Whether there was news, which was told, and the status."""
        try:
            state = self._run.state()
            if state.seq == self._seq:
                return False, state.status
            events = self._run.history()
        except JournalUnavailable as error:
            raise JournalUnavailable(
                f"{error.message}; run {self._run.id} was accepted and goes on once it can:"
                f" durazzo show {self._run.id}"
            ) from error
        for event in events[self._shown :]:
            for line in self._ticks.lines(event):
                terminal.tick(line)
        self._seq, self._shown = state.seq, len(events)
        return True, state.status

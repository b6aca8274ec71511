"""A worker's pulse: its heartbeat, and its turn at keeping time. One thread a process.

A process that is frozen or killed stops beating, and its leases are free for others. The
same clock tells the worker itself: after a freeze it must not act on a lease it had.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from orchestrator.clock import Clock
from orchestrator.errors import DurazzoError
from orchestrator.journal.port import GRACE, Journal
from workers import rewound
from workers.outage import Outage
from workers.signs import Signs
from workers.timekeeper import TICK_EVERY

log = structlog.get_logger()


class Pulse:
    def __init__(
        self,
        *,
        worker: str,
        journal: Journal,
        clock: Clock,
        ttl_ms: int,
        tick: Callable[[], bool],
        every: Callable[[], float] = lambda: TICK_EVERY,
        signs: Signs | None = None,
    ) -> None:
        """``every``: seconds from one tick to the next. ``signs``: where it shows itself."""
        self._worker = worker
        self._journal = journal
        self._clock = clock
        self._ttl = ttl_ms
        self._tick = tick
        self._every = every
        self._signs = signs or Signs()
        self._beat_at = clock.monotonic_ms() - ttl_ms
        # What this worker remembers is heard in time when Redis is back, whatever it lost.
        self._beat_every = min(ttl_ms // 3, GRACE // 2)
        # When Redis is back, the leases are kept that can be kept.
        self._outage = Outage("pulse", clock, longest=self._beat_every / 1_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="durazzo-pulse", daemon=True)

    def start(self) -> None:
        """Beat once before anything is claimed, then go on in the background.

        Without Redis it goes on all the same: nobody else might keep time when Redis is back.
        """
        self._signs.has_pulse(self.alive)
        self._guarded(self._beat)
        self._thread.start()

    def stop(self) -> None:
        """End in order: the leases of this worker are free at once, and it acts on none of them."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._guarded(lambda: self._journal.retire(self._worker))

    def alive(self) -> bool:
        """Whether Redis still counts this worker as alive, by the worker's own clock."""
        retired = self._stop.is_set()
        return not retired and self._clock.monotonic_ms() - self._beat_at < self._ttl

    def revive(self) -> None:
        """Before anything is claimed: a lease that is taken without a heartbeat is given back.

        After an outage of Redis messages come before the next beat does. Raises
        JournalUnavailable.
        """
        if not self._stop.is_set() and not self.alive():
            self._beat()

    def _run(self) -> None:
        while not self._stop.wait(self._outage.pause or self._every()):
            self._guarded(self._once)

    def _once(self) -> None:
        if self._clock.monotonic_ms() - self._beat_at >= self._beat_every:
            self._beat()
        self._keep_time()

    def _beat(self) -> None:
        self._signs.pulse_goes_on()
        at = self._clock.monotonic_ms()
        missing = self._journal.heartbeat(self._worker, ttl_ms=self._ttl)
        # From before the round trip: on this side the lease ends no later than in Redis.
        self._beat_at = at
        rewound.say(missing)

    def _keep_time(self) -> None:
        while self._tick() and not self._stop.is_set():
            self._beat()

    def _guarded(self, work: Callable[[], object]) -> None:
        self._signs.pulse_goes_on()
        try:
            work()
            self._outage.is_over()
            self._signs.redis(answers=True)
        except DurazzoError as error:
            self._outage.goes_on(error)
            self._signs.redis(answers=False)
        except Exception as error:  # noqa: BLE001  a thread that dies here loses every lease
            log.error("pulse.broken", worker=self._worker, error=type(error).__name__)

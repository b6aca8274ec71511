"""What one task-executing process is made of: built after the fork, once."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from orchestrator.errors import DurazzoError
from orchestrator.journal.port import Journal, Ref
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.settings import Settings
from orchestrator.wiring import Wiring
from workers.attempt import Attempt
from workers.credentials import Credentials
from workers.held import Checkpoint
from workers.http import Caller
from workers.logs import redaction
from workers.outage import Outage
from workers.pulse import Pulse
from workers.signs import Signs
from workers.tidying import Tidying
from workers.timekeeper import Timekeeper
from workers.told import Said, Told

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    #: Its incarnation's name.
    worker: str
    wiring: Wiring
    attempt: Attempt
    pulse: Pulse
    caller: Caller
    reached: Callable[[Checkpoint, Ref], None]

    def fall_back(self, ref: Ref) -> Told:
        """Send what the failure of this visit entered."""
        self.reached(Checkpoint.FALLBACK, ref)
        sent = self.wiring.core.driver.send_entered(ref.run, ref.step, ref.visit)
        return Told(Said.GO_ON if sent else Said.IGNORE)

    def retire(self) -> None:
        """Its leases, and its turn at keeping time, are free at once."""
        self.pulse.stop()
        resign(self.wiring.core.journal, self.worker)

    def stop(self) -> None:
        self.retire()
        self.caller.close()


def build(
    wiring: Wiring,
    reached: Callable[[Checkpoint, Ref], None] = lambda _point, _ref: None,
    signs: Signs | None = None,
) -> Process:
    worker = incarnation(wiring)
    pulse = make_pulse(wiring, worker, signs)
    caller = Caller(hosts=_hosts(wiring.settings))
    attempt = Attempt(
        worker=worker,
        journal=wiring.core.journal,
        plans=wiring.core.plans,
        driver=wiring.core.driver,
        profiles=wiring.core.profiles,
        credentials=_credentials(wiring),
        caller=caller,
        servers=wiring.settings.servers,
        clock=wiring.core.clock,
        entropy=wiring.core.entropy,
        alive=pulse.alive,
        reached=reached,
    )
    return Process(
        worker=worker, wiring=wiring, attempt=attempt, pulse=pulse, caller=caller, reached=reached
    )


def make_pulse(wiring: Wiring, worker: str, signs: Signs | None = None) -> Pulse:
    timekeeper = make_timekeeper(wiring, worker)
    return Pulse(
        worker=worker,
        journal=wiring.core.journal,
        clock=wiring.core.clock,
        ttl_ms=wiring.settings.heartbeat_ms,
        tick=timekeeper.tick,
        every=lambda: timekeeper.every,
        signs=signs,
    )


def make_timekeeper(wiring: Wiring, me: str) -> Timekeeper:
    return Timekeeper(
        me=me,
        journal=wiring.core.journal,
        plans=wiring.core.plans,
        driver=wiring.core.driver,
        queues=wiring.canvas,
        tend=wiring.core.admission.tend,
        tidy=Tidying(wiring.core.archive, wiring.core.clock),
    )


def keep_time(wiring: Wiring, stop: threading.Event, signs: Signs | None = None) -> None:
    """Keep time without a pulse until ``stop``: no heartbeat, so it counts as no worker."""
    signs = signs or Signs()
    me = incarnation(wiring)
    timekeeper = make_timekeeper(wiring, me)
    outage = Outage("timekeeper", wiring.core.clock)
    while not stop.wait(outage.pause or timekeeper.every):
        signs.pulse_goes_on()
        try:
            while timekeeper.tick() and not stop.is_set():
                signs.pulse_goes_on()
            outage.is_over()
            signs.redis(answers=True)
        except DurazzoError as error:
            # Redis comes back, or another leads meanwhile.
            outage.goes_on(error)
            signs.redis(answers=False)
    resign(wiring.core.journal, me)


def resign(journal: Journal, me: str) -> None:
    """Let another keep time now, and not when this one's turn has run out."""
    with suppress(DurazzoError):
        journal.tick(me, lease_ms=1, limit=0)


def incarnation(wiring: Wiring) -> str:
    """A name that no process before or after this one has."""
    return f"{socket.gethostname()}-{os.getpid()}-{wiring.core.entropy.token(4).hex()}"


def _hosts(settings: Settings) -> CallHosts:
    # Whoever submits to the embedded server is who runs its worker.
    return CallHosts.of(settings.call_hosts, settings.servers, trusts_via=settings.embedded)


def _credentials(wiring: Wiring) -> Credentials:
    settings = wiring.settings
    return Credentials(
        settings.environ,
        settings.secrets_dir,
        live_key_prefixes=[p for x in wiring.core.profiles.values() for p in x.live_key_prefixes],
        allow_live=settings.allow_live,
        learn=redaction.learn,
    )

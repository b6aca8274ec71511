"""Stop: nobody calls a provider any more, until a person takes it back."""

from __future__ import annotations

from typing import Final

from orchestrator.engine.events import Event
from orchestrator.errors import UnknownProvider
from orchestrator.journal.port import Pace, Stop, Wake
from orchestrator.service.core import Core

#: In front of a batch's id: it is stopped as a provider is.
OF_BATCH: Final = "batch:"
#: Steps woken in one script: Redis does nothing else meanwhile.
_BATCH: Final = 100
#: Steps a second that go on with a provider that has no limit of its own.
_UNLIMITED: Final = 50.0
#: However slow the limits, and however many wait: they are taken up by then, and have their turns.
#: ms.
_SPREAD: Final = 600_000


def stop_all(core: Core, provider: str, *, by: str, reason: str) -> Stop:
    """No call to the provider begins from here on, by any worker; those under way land.

    Look-ups go on: they change nothing. It lasts until ``go_on``; a provider that is stopped
    stays as it was stopped. Journaled in the house's own events; ``reason`` is sealed.

    Raises UnknownProvider, JournalUnavailable.
    """
    _check(core, provider)
    return core.journal.stop(provider, by=by, reason=reason)


def go_on(core: Core, provider: str, *, by: str, reason: str = "") -> Wake:
    """Let the provider be called again, and what waited go on at the pace of its limits.

    Said again it wakes what a call that broke off has left; without that, each step looks by
    itself within about an hour.

    Raises UnknownProvider, JournalUnavailable.
    """
    _check(core, provider)
    return let_go(core, provider, provider=provider, by=by, reason=reason)


def let_go(core: Core, stop: str, *, provider: str, by: str, reason: str) -> Wake:
    """Take a stop back, and wake all that met it, at the pace of the provider."""
    pace = _pace(core, provider)
    wake = first = core.journal.go_on(stop, by=by, reason=reason, pace=pace)
    woken = wake.woken
    while wake.left:
        wake = core.journal.wake(stop, pace=pace, woken=woken)
        woken += wake.woken
    return Wake(taken_back=first.taken_back, woken=woken, left=0)


def stops(core: Core, *, reasons: bool = False) -> tuple[Stop, ...]:
    """Providers that are stopped, by name."""
    found = core.journal.stops(reasons=reasons)
    return tuple(stop for stop in found if not stop.provider.startswith(OF_BATCH))


def house(core: Core, *, reasons: bool = False) -> list[Event]:
    """Who stopped what, and let it go on, oldest first."""
    return core.journal.house(reasons=reasons)


def _pace(core: Core, provider: str) -> Pace:
    profile = core.profiles.get(provider)
    rates = [limit.per_second for limit in profile.limits] if profile else []
    slowest = min(rates, default=_UNLIMITED)
    return Pace(batch=_BATCH, spacing_us=round(1_000_000 / slowest), spread_ms=_SPREAD)


def _check(core: Core, provider: str) -> None:
    # One whose profile is gone can still be let go on.
    if provider in core.profiles or provider in {s.provider for s in core.journal.stops()}:
        return
    raise UnknownProvider(
        f"no provider {provider!r}; there are {', '.join(sorted(core.profiles))}"
        " (generic: every one without a profile)"
    )


__all__ = ["OF_BATCH", "go_on", "house", "let_go", "stop_all", "stops"]

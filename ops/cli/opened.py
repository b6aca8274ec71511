"""A command's way to the journal: the named Redis, or the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ops.embedded import serving
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import Wiring, wire


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Wiring]:
    """Raises SettingsRefused, JournalUnavailable."""
    with serving(settings or from_environ()) as at:
        wiring = wire(at)
        try:
            yield wiring
        finally:
            wiring.app.close()

"""The machine itself: versions, and what its settings change."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from ops.cli.doctor.finding import Finding, State, refused
from orchestrator.errors import SettingsRefused
from orchestrator.settings import Settings, from_environ, meant, unknown
from orchestrator.wiring import limited, load_profiles

GROUP: Final = "This machine"
_SHOWN: Final = 4
#: Of a name that anybody may have given, in characters.
_LONGEST: Final = 60


def versions() -> Iterator[Finding]:
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(group=GROUP, name="python", message=python)
    yield Finding(group=GROUP, name="durazzo", message=version("durazzo"))


def settings() -> tuple[Settings | None, list[Finding]]:
    """None when they cannot be used: nothing that needs them can be looked at."""
    try:
        found = from_environ()
    except SettingsRefused as error:
        return None, [refused(GROUP, "settings", error)]
    try:
        limited(load_profiles(), found.limits)
    except SettingsRefused as error:
        # Without its limits, the rest can be looked at.
        found = replace(found, limits={})
        return found, [refused(GROUP, "settings", error), *_looked_at(found)]
    usable = Finding(group=GROUP, name="settings", message="they can be used")
    return found, [usable, *_looked_at(found)]


def _looked_at(found: Settings) -> Iterator[Finding]:
    if found.servers:
        yield _elsewhere(found)
    yield from _live(found)
    yield from _misspelt(found)
    if found.secrets_dir is not None and not found.secrets_dir.is_dir():
        yield Finding(
            group=GROUP,
            name="secrets",
            state=State.WARNING,
            message=f"DURAZZO_SECRETS_DIR names {found.secrets_dir}, which is no folder",
            hint="make it, with one file a secret, or unset the variable",
        )


def _misspelt(found: Settings) -> Iterator[Finding]:
    for name in unknown(found.environ)[:_SHOWN]:
        close = meant(name)
        yield Finding(
            group=GROUP,
            name=name[:_LONGEST],
            state=State.WARNING,
            message="no setting of durazzo's: it changes nothing",
            hint=f"did you mean {close}?" if close else "take it out of the environment",
        )


def _elsewhere(found: Settings) -> Finding:
    pairs = [f"{_host(old)} to {_host(new)}" for old, new in sorted(found.servers.items())]
    more = [f"{len(pairs) - _SHOWN} more"] if len(pairs) > _SHOWN else []
    return Finding(
        group=GROUP,
        name="servers",
        state=State.WARNING,
        message=f"DURAZZO_SERVERS sends calls elsewhere: {', '.join(pairs[:_SHOWN] + more)}",
        hint="unset it to call the providers themselves",
    )


def _live(found: Settings) -> Iterator[Finding]:
    text = found.environ.get("DURAZZO_ALLOW_LIVE", "")
    if found.allow_live:
        yield Finding(
            group=GROUP,
            name="live keys",
            state=State.WARNING,
            message="DURAZZO_ALLOW_LIVE=1: keys that move real money may be used",
            hint="unset it where no real money is meant to move",
        )
    elif text not in {"", "0"}:
        yield Finding(
            group=GROUP,
            name="live keys",
            state=State.WARNING,
            message="DURAZZO_ALLOW_LIVE is set to something that changes nothing",
            hint="only 1 allows live keys",
        )


def _host(url: str) -> str:
    """Without what stands before an @: it could be a password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")

"""The hosts that a document's calls go to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ops.cli.doctor.finding import Finding, State
from ops.cli.reach import Place, refusals
from orchestrator.plan.model import HttpCall, Plan
from orchestrator.settings import Settings
from workers.http import rewrite

GROUP: Final = "Hosts"
#: A document may name thousands.
MOST: Final = 32
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")


def look(plan: Plan, settings: Settings, *, here: bool) -> Iterator[Finding]:
    """``here``: calls are made by this machine, not by workers that may have another network."""
    published: dict[Place, str] = {}
    for step in plan.steps:
        place = _place(step.call, settings)
        if place is not None:
            published.setdefault(place, urlsplit(step.call.server).hostname or "")
    asked = list(published)[:MOST]
    for place, reason in refusals(asked).items():
        yield _finding(place, published[place], reason, settings, here=here)
    if rest := len(published) - len(asked):
        yield Finding(
            group=GROUP, name="others", state=State.UNKNOWN, message=f"{rest} more were not asked"
        )


def _place(call: HttpCall, settings: Settings) -> Place | None:
    """Where the call really goes; None for a URL that no call can be made to."""
    parts = urlsplit(call.via or rewrite(call.server, settings.servers))
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return Place(parts.hostname, port) if parts.hostname else None


def _finding(place: Place, host: str, reason: str, settings: Settings, *, here: bool) -> Finding:
    instead = f", in place of {host}" if host != place.host else ""
    if not reason:
        return Finding(group=GROUP, name=str(place), message=f"it answers{instead}")
    return Finding(
        group=GROUP,
        name=str(place),
        state=State.ERROR if here else State.WARNING,
        message=f"{reason}{instead}",
        hint=_advice(settings, elsewhere=bool(instead), here=here),
    )


def _advice(settings: Settings, *, elsewhere: bool, here: bool) -> str:
    if elsewhere:
        return "start what should answer there, or take it out of --server or DURAZZO_SERVERS"
    if any(settings.environ.get(name) for name in _PROXIES):
        return "calls go straight there, through no proxy: let them out"
    return (
        "check the name, the network and the firewall"
        if here
        else "check that the workers, which make the calls, can reach it"
    )

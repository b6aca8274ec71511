"""Validate: a document's file → its plan, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats.load import (
    FileSources,
    Loaded,
    OverlayText,
    Provider,
    bundled,
    load,
    repairs,
    specs_folder,
)
from orchestrator.formats.web import WebSources, web_sources
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.policy.profiles import Profile
from orchestrator.settings import Settings

#: A document's file. Bytes.
MAX_DOCUMENT: Final = 1024 * 1024
_CLOCK: Final = SystemClock()


def validate(
    file: Path,
    profiles: Iterable[Profile],
    *,
    workflow: str | None = None,
    sources: Mapping[str, Path] | None = None,
    servers: Mapping[str, str] | None = None,
    overlays: Sequence[Path] = (),
    strict: bool = False,
    settings: Settings | None = None,
    clock: Clock = _CLOCK,
) -> Loaded:
    """Load a document, Arazzo or OSOP. No operation is called.

    ``sources``: files for source descriptions, by name; ``servers``: see ``formats.load``.
    ``overlays``: files of OpenAPI Overlays that change the document, in this order.
    ``settings``: which hosts source descriptions are fetched from, and the home in which they
    are kept; None: nothing is fetched and nothing is stored.
    Raises DocumentRefused with all diagnostics, also for a file that cannot be read.
    """
    return load(
        read(file),
        file=str(file),
        sources=FileSources(
            given=sources or {},
            shipped=bundled(specs_folder()),
            folder=file.parent,
            web=None if settings is None else _web(settings, clock),
        ),
        providers=[_known(profile) for profile in profiles],
        workflow=workflow,
        strict=strict,
        servers=servers,
        overlays=[OverlayText(text=read(overlay), file=str(overlay)) for overlay in overlays],
        known_repairs=repairs(specs_folder()),
        hosts=CallHosts() if settings is None else _hosts(settings),
    )


def _hosts(settings: Settings) -> CallHosts:
    """Here: a worker elsewhere has settings of its own."""
    own = settings.embedded or not settings.redis_url
    return CallHosts.of(settings.call_hosts, settings.servers, trusts_via=own)


def _web(settings: Settings, clock: Clock) -> WebSources:
    return web_sources(settings.source_origins, settings.home / "sources", clock)


def read(file: Path) -> str:
    """Of a regular file: a pipe or a device could make the reader wait for ever."""
    try:
        # Asked before it is opened: to open a pipe waits for who writes into it.
        if not S_ISREG(file.stat().st_mode):
            raise _unreadable(file, "it is no regular file; write the document into one")
        with file.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or "it cannot be read") from None
    if len(data) > MAX_DOCUMENT:
        raise _unreadable(file, f"a document has at most {MAX_DOCUMENT // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"it is not UTF-8 (byte {error.start})") from None


def _unreadable(file: Path, problem: str) -> DocumentRefused:
    found = Diagnostic(
        code="document-unreadable",
        severity="error",
        message=problem,
        file=str(file),
        line=1,
        column=1,
    )
    return DocumentRefused([found])


def _known(profile: Profile) -> Provider:
    return Provider(
        name=profile.name,
        hosts=profile.hosts,
        form_style=profile.form_style,
        default_encoding=profile.default_encoding,
        money=profile.money_calls,
    )


__all__ = ["MAX_DOCUMENT", "Loaded", "read", "validate"]

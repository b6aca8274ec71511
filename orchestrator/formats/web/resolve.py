"""A source description by its URL: what was kept, or what the host has now, or what it had."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.clock import Clock
from orchestrator.formats.sources import SourceText, SourceUnreachable
from orchestrator.formats.web.address import Hosts
from orchestrator.formats.web.cache import Kept, SourceCache
from orchestrator.formats.web.edition import Edition
from orchestrator.formats.web.fetch import Fetcher, Wanted

#: So long a text is used without asking whether it has changed. ms.
FRESH_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSources:
    """A ``SourceResolver`` for one document. What it fetched is fresh for a day, and asked for
    again after it; while nobody answers, the old text is used, and said to be old.
    """

    fetcher: Fetcher
    cache: SourceCache
    clock: Clock

    def read(self, name: str, url: str) -> SourceText:
        wanted = self.fetcher.wanted(name, url)
        kept = self.cache.find(wanted.address.url)
        if kept is not None and not _describes(kept.edition.data):
            # Of a release that kept everything.
            kept = None
        # A clock that was set back makes nothing fresh.
        if kept is not None and 0 <= self.clock.unix_ms() - kept.checked < FRESH_MS:
            return _text(wanted, kept.edition)
        try:
            edition = self.fetcher.get(wanted, None if kept is None else kept.edition)
        except SourceUnreachable as problem:
            if kept is None:
                raise
            return replace(_text(wanted, kept.edition), stale=_stale(wanted, kept, problem))
        # What is no text, or a page that asks for a login, is refused before it is kept.
        text = _text(wanted, edition)
        self.cache.keep(wanted.address.url, Kept(edition=edition, checked=self.clock.unix_ms()))
        return text


def web_sources(origins: AbstractSet[str], folder: Path, clock: Clock) -> WebSources:
    """``origins``: as ``Settings.source_origins``; ``folder``: where texts are kept."""
    fetcher = Fetcher(Hosts(frozenset(origins)), clock)
    return WebSources(fetcher=fetcher, cache=SourceCache(folder), clock=clock)


def _describes(data: bytes) -> bool:
    """Neither YAML nor JSON begins as a web page does, whatever its status and type were."""
    return not data.removeprefix(BOM_UTF8).lstrip().startswith(b"<")


def _text(wanted: Wanted, edition: Edition) -> SourceText:
    if not _describes(edition.data):
        raise wanted.refused("it is no YAML and no JSON, but maybe a web page that wants a login")
    try:
        return SourceText(text=edition.data.decode("utf-8-sig"), file=wanted.shown)
    except UnicodeDecodeError:
        raise wanted.refused("it is not UTF-8") from None


def _stale(wanted: Wanted, kept: Kept, problem: SourceUnreachable) -> str:
    seen = datetime.fromtimestamp(kept.checked / 1000, UTC)
    return f"{wanted.shown}: {problem.reason}; the copy of {seen:%Y-%m-%d %H:%M} UTC is used"

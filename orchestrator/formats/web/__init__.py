"""Source descriptions over HTTP and HTTPS, from hosts that are listed, kept for the next time."""

from __future__ import annotations

from orchestrator.formats.web.resolve import WebSources, web_sources

__all__ = ["WebSources", "web_sources"]

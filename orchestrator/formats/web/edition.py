"""A source description as a host had it at one time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    data: bytes
    #: What the host knows this text by (ETag, Last-Modified); "" for none.
    etag: str = ""
    modified: str = ""

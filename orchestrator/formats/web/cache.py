"""Fetched texts, kept by their digest, with a small record for each URL.

    sources/blobs/<sha256 of the bytes>
    sources/urls/<sha256 of the URL>.json

Whatever is damaged, cut short or taken away meanwhile is as if it had never been kept: it is
fetched anew. So processes share the folder without a lock: each file is put in place whole, and
one that another process removes costs a fetch. The file of a URL does not hold its query, which
may be a secret.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from orchestrator.formats.sources import MAX_BYTES, shown
from orchestrator.formats.web.edition import Edition

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
#: Of which no calendar can speak. Unix ms.
_YEAR_10000_MS: Final = 253_402_300_800_000
#: Bytes of a record; its strings are cut when they come in.
_MAX_RECORD: Final = 16_384
#: A file that nothing names yet is not older than this, unless its writer died. ms.
_WRITING_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    edition: Edition
    #: When the host last said that this is what it has. Unix ms.
    checked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The oldest go first."""

    count: int = 256
    #: Bytes of all texts together.
    size: int = 16 * MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    url: str
    digest: str
    size: int
    checked: int
    etag: str
    modified: str


class SourceCache:
    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        self._urls = folder / "urls"
        self._bounds = bounds or Bounds()

    def find(self, url: str) -> Kept | None:
        """What was kept for the URL, if it is still what was fetched."""
        record = _read_record(self._place(url))
        if record is None:
            return None
        data = _read(self._blobs / record.digest, MAX_BYTES)
        if data is None or hashlib.sha256(data).hexdigest() != record.digest:
            return None
        edition = Edition(data=data, etag=record.etag, modified=record.modified)
        return Kept(edition=edition, checked=record.checked)

    def keep(self, url: str, kept: Kept) -> None:
        """Keeps it if it can: a cache that cannot be written is no reason to refuse a document."""
        edition = kept.edition
        digest = hashlib.sha256(edition.data).hexdigest()
        record = _Record(
            url=shown(url),
            digest=digest,
            size=len(edition.data),
            checked=kept.checked,
            etag=edition.etag,
            modified=edition.modified,
        )
        with suppress(OSError):
            for folder in (self._folder.parent, self._folder, self._blobs, self._urls):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The blob first: a record without one would be read as damage.
            _write(self._blobs / digest, edition.data)
            _write(self._place(url), json.dumps(asdict(record)).encode())
            self._evict(kept.checked)

    def _place(self, url: str) -> Path:
        return self._urls / f"{hashlib.sha256(url.encode()).hexdigest()}.json"

    def _evict(self, now: int) -> None:
        found = {path: _read_record(path) for path in self._urls.glob("*.json")}
        records = {path: record for path, record in found.items() if record is not None}
        staying = set(self._newest(records))
        digests = {records[path].digest for path in staying}
        for path in found.keys() - staying:
            path.unlink(missing_ok=True)
        for digest in {record.digest for record in records.values()} - digests:
            (self._blobs / digest).unlink(missing_ok=True)
        for path in self._folder.glob("*/*"):
            # No record names it, and its writer has had its time to write one.
            if path.suffix != ".json" and path.name not in digests:
                _unlink_abandoned(path, now)

    def _newest(self, records: dict[Path, _Record]) -> Iterator[Path]:
        size = 0
        newest = sorted(records, key=lambda p: (records[p].checked, p.name), reverse=True)
        for path in newest[: self._bounds.count]:
            size += records[path].size
            if size > self._bounds.size:
                return
            yield path


def _read_record(path: Path) -> _Record | None:
    try:
        found = json.loads(_read(path, _MAX_RECORD) or b"")
    except (ValueError, RecursionError):
        return None
    match found:
        case {
            "url": str(url),
            "digest": str(digest),
            "size": int(size),
            "checked": int(checked),
            "etag": str(etag),
            "modified": str(modified),
        } if _DIGEST.fullmatch(digest) and 0 <= checked < _YEAR_10000_MS:
            return _Record(
                url=url, digest=digest, size=size, checked=checked, etag=etag, modified=modified
            )
        case _:
            return None


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def _write(path: Path, data: bytes) -> None:
    """In place whole or not at all; readable by its owner only."""
    number, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _unlink_abandoned(path: Path, now: int) -> None:
    with suppress(OSError):
        if now - path.stat().st_mtime_ns // 1_000_000 > _WRITING_MS:
            path.unlink()

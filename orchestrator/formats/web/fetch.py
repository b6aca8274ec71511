"""One GET in bounded time and space, from listed hosts only, and through redirects to such."""

from __future__ import annotations

import logging
import ssl
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import httpcore

from orchestrator.clock import Clock
from orchestrator.formats.sources import MAX_BYTES, SourceUnreachable, SourceUnresolved, shown
from orchestrator.formats.web.address import Address, Hosts, entry_of, follow, guarded, parse
from orchestrator.formats.web.edition import Edition
from orchestrator.formats.web.line import Deadline, Line, Resolve, system_addresses

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_WAYS: Final = {
    401: "; durazzo sends no credentials",
    403: "; durazzo sends no credentials",
    404: "; it may have moved",
    410: "; it is gone",
}
#: An ETag or a date that is longer is not kept.
_LONGEST_MARK: Final = 1_024
#: gzip (RFC 1952) with a window of any size; see zlib.
_GZIP: Final = 16 + zlib.MAX_WBITS

# At DEBUG it writes URLs, whose query may be a secret.
logging.getLogger("httpcore").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    #: Of one source description: resolving, redirects and every byte of the answer.
    deadline_ms: int = 10_000
    connect_ms: int = 3_000
    #: Of all that one ``Fetcher`` fetches: a document may name a hundred slow sources.
    all_ms: int = 60_000
    #: Of the text, and of what it was compressed to.
    size: int = MAX_BYTES
    redirects: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A source description that may be fetched, and how to speak of it."""

    name: str
    address: Address

    @property
    def shown(self) -> str:
        return shown(self.address.url)

    def refused(self, what: str, way: str = "") -> SourceUnresolved:
        return SourceUnresolved(f"{self.shown}: {what}; {_hint(self.name, way)}")

    def unreachable(self, what: str) -> SourceUnreachable:
        return SourceUnreachable(
            f"{self.shown}: {what}; try again, or {_hint(self.name)}", reason=what
        )


class Fetcher:
    """For one document; not shared by threads."""

    def __init__(
        self,
        hosts: Hosts,
        clock: Clock,
        *,
        limits: Limits | None = None,
        resolve: Resolve = system_addresses,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: whom to trust; None trusts whom the system and certifi trust."""
        self._hosts = hosts
        self._clock = clock
        self._limits = limits or Limits()
        self._resolve = resolve
        self._tls = tls
        self._left_ms = self._limits.all_ms

    def wanted(self, name: str, url: str) -> Wanted:
        """Raises SourceUnresolved for a URL that may not be fetched; nothing was asked yet."""
        try:
            address = parse(url)
        except ValueError as problem:
            raise SourceUnresolved(f"{shown(url)}: {problem}; {_hint(name)}") from None
        wanted = Wanted(name=name, address=address)
        if not self._hosts.allow(address):
            what = f"durazzo may not fetch from {address.entry}"
            raise wanted.refused(what, self._hosts.way(address.entry))
        return wanted

    def get(self, wanted: Wanted, known: Edition | None = None) -> Edition:
        """The text as it is now: ``known`` itself if the host says that it still is.

        Raises SourceUnreachable when nobody answered as they should, so that a later try may go
        well, and SourceUnresolved for what will not pass.
        """
        begun = self._clock.monotonic_ms()
        span = min(self._limits.deadline_ms, self._left_ms)
        if span <= 0:
            seconds = self._limits.all_ms / 1000
            what = f"the document's source descriptions took more than {seconds:g} s together"
            raise wanted.unreachable(what)
        line = self._line(wanted, Deadline(clock=self._clock, ends=begun + span))
        try:
            with _explained(wanted, line, span / 1000):
                return self._follow(line, wanted, known)
        finally:
            self._left_ms -= self._clock.monotonic_ms() - begun

    def _line(self, wanted: Wanted, deadline: Deadline) -> Line:
        def judged(host: str, port: int, ips: Sequence[str]) -> Sequence[str]:
            allowed = [ip for ip in ips if self._hosts.allow_ip(ip, port)]
            if not allowed:
                what = f"{host} leads to {ips[0]}, which is no public address"
                # Where clouds keep the credentials of their machines: nobody is led there.
                way = "" if guarded(ips[0]) else self._hosts.way(entry_of(ips[0], port))
                raise wanted.refused(what, way)
            return allowed

        return Line(
            deadline,
            connect_s=self._limits.connect_ms / 1000,
            resolve=self._resolve,
            judge=judged,
        )

    def _follow(self, line: Line, wanted: Wanted, known: Edition | None) -> Edition:
        with httpcore.ConnectionPool(ssl_context=self._tls, network_backend=line) as pool:
            address = wanted.address
            for _ in range(self._limits.redirects + 1):
                found = self._ask(pool, wanted, address, known)
                if isinstance(found, Edition):
                    return found
                address = found
        raise wanted.refused(f"it redirects more than {self._limits.redirects} times")

    def _ask(
        self,
        pool: httpcore.ConnectionPool,
        wanted: Wanted,
        address: Address,
        known: Edition | None,
    ) -> Edition | Address:
        # An ETag of a text behind a redirect is another URL's: none is kept, and none is sent.
        own = address == wanted.address
        conditions = _conditions(known) if known and own else []
        headers = [*_headers(address), *conditions]
        with pool.stream("GET", _url(address), headers=headers) as response:
            status = response.status
            if status == _OK:
                data = self._body(response, wanted)
                return _edition(data, response) if own else Edition(data=data)
            if status == _NOT_MODIFIED and known and conditions:
                return known
            if status in _REDIRECTS:
                return self._redirected(response, wanted, address)
            what = f"the answer was HTTP {status}"
            if status == _TOO_MANY or status >= _SERVER_ERROR:
                raise wanted.unreachable(what)
            raise wanted.refused(what + _WAYS.get(status, ""))

    def _redirected(self, response: httpcore.Response, wanted: Wanted, address: Address) -> Address:
        try:
            target = follow(address, _header(response, b"location"))
        except ValueError as problem:
            raise wanted.refused(str(problem)) from None
        if not self._hosts.allow(target):
            what = f"it redirects to {target.entry}, and durazzo may not fetch from there"
            raise wanted.refused(what, self._hosts.way(target.entry))
        return target

    def _body(self, response: httpcore.Response, wanted: Wanted) -> bytes:
        size = self._limits.size
        encoding = _header(response, b"content-encoding").strip().lower()
        chunks = _limited(response.iter_stream(), size)
        if encoding in {"gzip", "x-gzip"}:
            chunks = _limited(_unpacked(chunks, size), size)
        elif encoding not in {"", "identity"}:
            raise wanted.refused("its content encoding is not gzip")
        try:
            return b"".join(chunks)
        except _TooLarge:
            raise wanted.refused(f"it has more than {size} bytes") from None
        except zlib.error:
            raise wanted.refused("its gzip is damaged") from None


class _TooLarge(Exception):
    pass


def _limited(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        size -= len(chunk)
        if size < 0:
            raise _TooLarge
        yield chunk


def _unpacked(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    gzip = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        # What is left over is more than ``size``, which the reader refuses.
        yield gzip.decompress(chunk, size + 1)
    if not gzip.eof or gzip.unused_data:
        raise zlib.error


def _url(address: Address) -> httpcore.URL:
    return httpcore.URL(
        scheme=address.scheme, host=address.host, port=address.port, target=address.target
    )  # fmt: skip


def _headers(address: Address) -> list[tuple[str, str]]:
    return [
        ("Host", address.authority),
        ("User-Agent", f"durazzo/{version('durazzo')}"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip"),
    ]


def _conditions(known: Edition) -> list[tuple[str, str]]:
    found = [("If-None-Match", known.etag), ("If-Modified-Since", known.modified)]
    return [(name, value) for name, value in found if value]


def _edition(data: bytes, response: httpcore.Response) -> Edition:
    etag, modified = _header(response, b"etag"), _header(response, b"last-modified")
    return Edition(data=data, etag=_mark(etag), modified=_mark(modified))


def _mark(mark: str) -> str:
    return mark if mark.isascii() and len(mark) <= _LONGEST_MARK else ""


def _header(response: httpcore.Response, wanted: bytes) -> str:
    found = (value for name, value in response.headers if name.lower() == wanted)
    return next(found, b"").decode("utf-8", "replace")


@contextmanager
def _explained(wanted: Wanted, line: Line, seconds: float) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        raise wanted.unreachable(f"{line.failed()} within {seconds:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise wanted.unreachable(line.failed()) from None


def _hint(name: str, way: str = "") -> str:
    return f"give it with --source {name}=FILE" + (f", or {way}" if way else "")

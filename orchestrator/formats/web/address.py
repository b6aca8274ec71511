"""What may be fetched: URLs taken apart once, and the hosts that are listed.

A list of names is not enough: a listed name may lead to an address inside of the network that
durazzo runs in, today or after its owner changed it. So the address is judged as well, and it
is the judged address that is connected to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from orchestrator.policy.addresses import Ip, is_guarded, is_public, read

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SAFE: Final = "/%:@!$&'()*+,;=-._~"
#: Characters of a URL.
_LONGEST: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an HTTP request goes."""

    scheme: str
    #: In lower case, without the brackets of an IPv6 address.
    host: str
    port: int
    #: Path and query, percent-encoded.
    target: str

    @property
    def authority(self) -> str:
        """Host and port as a URL and a Host header have them."""
        host = _bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def entry(self) -> str:
        """How DURAZZO_SOURCE_HOSTS would list it."""
        plain = self.scheme == "http" and not _loopback(self.host)
        return f"http://{self.authority}" if plain else self.authority


def entry_of(ip: str, port: int) -> str:
    """How DURAZZO_SOURCE_HOSTS would list an address."""
    host = _bracketed(ip)
    return host if port == _DEFAULT_PORTS["https"] else f"{host}:{port}"


def guarded(ip: str) -> bool:
    found = read(ip)
    return found is None or is_guarded(found)


def parse(url: str) -> Address:
    """Raises ValueError, whose text says what is wrong and repeats nothing of the URL."""
    if len(url) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    if not url.isprintable():
        raise ValueError("it is no URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        target = quote(parts.path or "/", safe=_SAFE)
        target += f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else ""
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("it is no https URL")
    if "@" in parts.netloc:
        raise ValueError("it holds a user or a password, and durazzo sends none")
    default = _DEFAULT_PORTS[parts.scheme]
    return Address(
        scheme=parts.scheme, host=host, port=default if port is None else port, target=target
    )  # fmt: skip


def follow(address: Address, location: str) -> Address:
    """Where a redirect leads. Raises ValueError, as ``parse`` does."""
    try:
        return parse(urljoin(address.url, location))
    except ValueError as problem:
        raise ValueError(f"it redirects, and of the new URL: {problem}") from None


@dataclass(frozen=True, slots=True)
class Hosts:
    """The listed hosts; as ``Settings.source_origins``."""

    origins: frozenset[str]

    def allow(self, address: Address) -> bool:
        return address.origin in self.origins

    def allow_ip(self, ip: str, port: int) -> bool:
        """Whether a listed host may be had from there: a public address, or one listed itself."""
        found = read(ip)
        return found is not None and (is_public(found) or self._lists(found, port))

    def way(self, *entries: str) -> str:
        """The sentence that says how to list them."""
        more = ("…",) if self.origins else ()
        return f"set DURAZZO_SOURCE_HOSTS={','.join((*more, *entries))}"

    def _lists(self, ip: Ip, port: int) -> bool:
        return any(
            _names(host, ip) for host, listed in map(_host_and_port, self.origins) if listed == port
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host_and_port(origin: str) -> tuple[str, int | None]:
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port


def _names(host: str, ip: Ip) -> bool:
    if host == "localhost":
        return ip.is_loopback
    return read(host) == ip


def _loopback(host: str) -> bool:
    found = read(host)
    return host == "localhost" or (found is not None and found.is_loopback)

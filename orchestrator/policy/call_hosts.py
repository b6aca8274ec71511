"""Where calls may go: to public addresses, and to what the operator of a worker has named.

The operator's word is DURAZZO_CALL_HOSTS, a target of DURAZZO_SERVERS, and, where submitting and
working are one person's, what ``--server`` put in a server's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from orchestrator.policy.addresses import Ip, is_guarded, is_public, meant, read

#: "": it may.
Refusal: TypeAlias = Literal["", "host-refused", "clear-text-refused"]
_Network: TypeAlias = "IPv4Network | IPv6Network"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHosts:
    #: Host in lower case, and port; None: every port.
    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[_Network, int | None], ...] = ()
    #: URL prefixes that DURAZZO_SERVERS replaces: their calls go elsewhere.
    replaced: tuple[str, ...] = ()
    #: What ``--server`` names is the operator's word.
    trusts_via: bool = False

    @classmethod
    def of(
        cls, listed: Iterable[str], servers: Mapping[str, str], *, trusts_via: bool = False
    ) -> Self:
        """``listed``: as ``Settings.call_hosts``; ``servers``: as ``Settings.servers``."""
        entries = [*map(_entry, listed), *map(_target, servers.values())]
        return cls(
            names=frozenset((host, port) for host, port in entries if "/" not in host),
            networks=tuple(
                (network, port) for host, port in entries for network in _networks(host)
            ),
            replaced=tuple(servers),
            trusts_via=trusts_via,
        )

    def refusal(
        self, host: str, port: int, ip: str, *, named: bool = False, exposed: bool = False
    ) -> Refusal:
        """Why a call may not go to one of the addresses of its host.

        ``named``: the operator named this very server. ``exposed``: a credential would go out
        in clear text.
        """
        found = read(ip)
        if found is None:
            return "host-refused"
        if self._lists(host, port, found, named=named):
            return ""
        if not is_public(found):
            return "host-refused"
        return "clear-text-refused" if exposed else ""

    def refuses(self, server: str, via: str) -> str:
        """The host, with its port, that a call to ``server`` is refused for by what is written.

        "" for none: where a name leads, only who resolves it knows.
        """
        if not via and any(_below(server, prefix) for prefix in self.replaced):
            return ""
        try:
            parts = urlsplit(via or server)
            host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError:
            return ""
        ip = meant(host)
        named = bool(via) and self.trusts_via
        if ip is None or not self.refusal(host, port, str(ip), named=named):
            return ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _lists(self, host: str, port: int, ip: Ip, *, named: bool) -> bool:
        if any(ip in network and own in {None, port} for network, own in self.networks):
            return True
        named = named or not self.names.isdisjoint({(host.lower(), port), (host.lower(), None)})
        return named and not is_guarded(ip)


def _entry(text: str) -> tuple[str, int | None]:
    """A host, an address or a network, and its port."""
    if "/" in text or (text.count(":") > 1 and not text.startswith("[")):
        return text, None
    host, _, port = text.rpartition(":") if _has_port(text) else (text, "", "")
    return host.strip("[]"), int(port) if port else None


def _has_port(text: str) -> bool:
    return ":" in text.rpartition("]")[2]


def _target(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return _ascii(parts.hostname or ""), parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _ascii(host: str) -> str:
    """As it goes out."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _networks(host: str) -> tuple[_Network, ...]:
    if host == "localhost":
        return _LOOPBACK
    ip = None if "/" in host else meant(host)
    if ip is not None:
        return (ip_network(ip),)
    return (ip_network(host),) if "/" in host else ()


def _below(url: str, prefix: str) -> bool:
    prefix = prefix.rstrip("/").lower()
    return url.lower() == prefix or url.lower().startswith(f"{prefix}/")

"""Where calls go, and whose API that is.

A provider is recognised by the *published* server, a replacement comes afterwards: a
sandbox on localhost that stands in for Stripe is called as Stripe is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from orchestrator.formats.diagnostics import START, Place, Report, did_you_mean
from orchestrator.formats.sources import shown
from orchestrator.policy.call_hosts import CallHosts

FormStyle = Literal["form-brackets", "form-repeat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What lowering needs to know of a provider profile."""

    name: str
    #: Lower case, without port.
    hosts: tuple[str, ...] = ()
    form_style: FormStyle = "form-brackets"
    #: For a body that is not said to be of any type.
    default_encoding: Literal["form", "json"] = "json"
    #: Calls by which money moves: method and path, where ``*`` stands for one segment.
    money: tuple[tuple[str, str], ...] = ()


GENERIC: Final = Provider(name="generic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    provider: Provider
    #: As published: absolute, without trailing slash.
    server: str
    #: What a person put in its place, "" for nothing.
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    providers: Sequence[Provider] = ()
    #: By the name of a source description, or by a URL prefix.
    servers: Mapping[str, str] = field(default_factory=dict)
    #: The URL prefixes that some call's server was found under.
    used: set[str] = field(default_factory=set)
    #: Where each endpoint's calls were written, in their order.
    written: list[tuple[Endpoint, Place]] = field(default_factory=list)

    def of(self, published: str, *, source: str | None = None, at: Place = START) -> Endpoint:
        server = published.rstrip("/")
        called = self._replaced(server, source).rstrip("/")
        endpoint = Endpoint(
            provider=self.provider(published),
            server=server or called,
            via=called if called != server else "",
        )
        self.written.append((endpoint, at))
        return endpoint

    def provider(self, url: str) -> Provider:
        host = (urlsplit(url).hostname or "").lower()
        return next((p for p in self.providers if host in p.hosts), GENERIC)

    def named(self, name: str) -> Provider:
        return next((p for p in self.providers if p.name == name), GENERIC)

    def replacement_of(self, source: str) -> str | None:
        """The server given for a source description by its name."""
        return self.servers.get(source)

    def _replaced(self, published: str, source: str | None) -> str:
        if source is not None and source in self.servers:
            return self.servers[source]
        # The longest prefix is the one that was meant for this server.
        found = published
        for prefix in sorted(self.servers, key=len):
            rest = _below(published, prefix.rstrip("/"))
            if rest is not None:
                self.used.add(prefix)
                found = self.servers[prefix].rstrip("/") + rest
        return found


def check_replacements(servers: Mapping[str, str], report: Report) -> None:
    for name, url in servers.items():
        if not is_http_url(url):
            report.error(
                "server-not-a-url",
                f"--server {name}={url}: expected http:// or https:// and a host",
            )


def check_names(endpoints: Endpoints, sources: Collection[str], report: Report) -> None:
    """A server is replaced under the name of a source description, or under a URL."""
    for name in endpoints.servers:
        if "://" not in name and name not in sources:
            hint = did_you_mean(name, sources) or "; give the URL that it replaces"
            report.error(
                "server-unknown", f"--server {name}=…: no source description is called so{hint}"
            )


def check_used(endpoints: Endpoints, report: Report) -> None:
    """Once all calls are known: a URL that replaces nothing leaves them with the real server."""
    for prefix in endpoints.servers:
        if "://" in prefix and prefix not in endpoints.used:
            message = f"--server {shown(prefix)}=…: no call of this workflow goes there"
            report.warning("server-unused", message)


def check_hosts(endpoints: Endpoints, hosts: CallHosts, report: Report) -> None:
    """What can be said before any name is resolved; the worker that calls has the last word."""
    for endpoint, at in endpoints.written:
        if host := hosts.refuses(endpoint.server, endpoint.via):
            message = (
                f"calls go to {host}, which is no public address: a worker refuses them unless its"
                " DURAZZO_CALL_HOSTS lists it"
            )
            report.warning("server-private", message, at)


def is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _below(url: str, prefix: str) -> str | None:
    """What of a URL comes after a prefix that ends where a path segment ends."""
    if url == prefix:
        return ""
    return url.removeprefix(prefix) if url.startswith(prefix + "/") else None

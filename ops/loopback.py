"""Whether only this machine reaches an address: what is served there needs no login."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """``host``: a name or an address, without a port."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The host that a ``Host`` header names, "" for none."""
    host, colon, port = header.rpartition(":")
    return host if colon and port.isdigit() else header


__all__ = ["host_of", "is_loopback"]

"""Which addresses a stranger's text may lead to: the one rule, for sources and for calls.

A name says nothing: it may lead into the network that durazzo runs in, today or after its owner
changed it. So the addresses are judged that a name was resolved to, and connected to are only
those that were judged.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Ip: TypeAlias = "IPv4Address | IPv6Address"

#: RFC 6052: an IPv4 address stands in the last 32 bits.
_NAT64: Final = IPv6Network("64:ff9b::/96")
#: RFC 4291: the only space from which public addresses are given out.
_UNICAST: Final = IPv6Network("2000::/3")
#: Given out for special ends, some of which Python calls global, each release others: protocols
#: of the IETF (and a cloud's metadata), relays, Teredo, documents.
_SPECIAL: Final = tuple(
    map(
        ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
#: A cloud's own service for its machines, at addresses that look public or merely private.
_METADATA: Final = frozenset(
    map(
        ip_address,
        ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,12}")
_BYTES: Final = 4
_OCTET: Final = 0xFF


def read(text: str) -> Ip | None:
    """The address that is written there, the IPv4 one where an IPv6 one stands for it."""
    try:
        return _unwrapped(ip_address(text))
    except ValueError:
        return None


def meant(host: str) -> Ip | None:
    """The address that a host of a URL is without any name being resolved.

    As the resolvers of most systems have it: in one to four numbers, decimal, octal or
    hexadecimal, of which the last fills what is left; and ``localhost`` is no name.
    """
    bare = host.rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    return read(bare.strip("[]")) or _from_numbers(bare)


def is_public(ip: Ip) -> bool:
    """Not in some network of its own, nor the machine itself, nor many at once."""
    if ip in _METADATA or any(ip in network for network in _SPECIAL):
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    # 6to4 leads to an IPv4 address that nobody has judged.
    return ip.is_global and ip in _UNICAST and ip.sixtofour is None


def is_guarded(ip: Ip) -> bool:
    """Where clouds keep the credentials of their machines: no name is good enough to go there."""
    return ip.is_link_local or ip.is_multicast or ip in _METADATA


def _unwrapped(ip: Ip) -> Ip:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip


def _from_numbers(host: str) -> IPv4Address | None:
    """As inet_aton(3) reads them."""
    parts = host.split(".")
    if len(parts) > _BYTES or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        *octets, last = (int(part, _base(part)) for part in parts)
    except ValueError:
        return None
    if any(octet > _OCTET for octet in octets) or last >> 8 * (_BYTES - len(octets)):
        return None
    front = sum(octet << 8 * (_BYTES - 1 - at) for at, octet in enumerate(octets))
    return IPv4Address(front + last)


def _base(part: str) -> int:
    if part[:2].lower() == "0x":
        return 16
    return 8 if part.startswith("0") else 10

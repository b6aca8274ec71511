"""Bearer tokens (RFC 6750) of what is served: how one must look, and who is let in by it."""

from __future__ import annotations

import hmac
import re
from typing import Final

from ops.loopback import host_of, is_loopback

_SHORTEST, _LONGEST = 16, 512
_TOKEN: Final = re.compile(rf"[!-~]{{{_SHORTEST},{_LONGEST}}}")
#: What a token must be, for who has set another one.
USABLE: Final = f"{_SHORTEST} to {_LONGEST} printable ASCII characters without spaces"


def is_usable(token: str) -> bool:
    return _TOKEN.fullmatch(token) is not None


def admits(token: str, *, authorization: str, host: str) -> bool:
    """``authorization``, ``host``: the request's headers of these names.

    Without a token it is for addresses of this machine: a page of somebody else's, whose name was
    made to lead here, names its own.
    """
    if not token:
        return is_loopback(host_of(host))
    scheme, _, given = authorization.partition(" ")
    # Compared first, so that the time says nothing.
    same = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode())
    return same and scheme.lower() == "bearer"


__all__ = ["USABLE", "admits", "is_usable"]

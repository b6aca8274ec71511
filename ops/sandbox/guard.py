"""Who may see the ledger and script failures: who has the token, or whoever is on this machine."""

from __future__ import annotations

import hmac
from typing import Final

from ops.loopback import host_of, is_loopback

#: These say nothing of what was played.
OPEN: Final = frozenset({"/", "/healthz"})


def admits(token: str, *, path: str, authorization: str, host: str) -> bool:
    """``authorization``, ``host``: headers of a request for one of the sandbox's own pages.

    Without a token it is for addresses of this machine: a page of somebody else's, whose name was
    made to lead here, names its own.
    """
    if path in OPEN:
        return True
    if not token:
        return is_loopback(host_of(host))
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
    return same and scheme.lower() == "bearer"

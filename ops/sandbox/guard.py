"""Who may see the ledger and script failures: who has the token, or whoever is on this machine."""

from __future__ import annotations

from typing import Final

from ops import bearer

#: These say nothing of what was played.
OPEN: Final = frozenset({"/", "/healthz"})


def admits(token: str, *, path: str, authorization: str, host: str) -> bool:
    """``authorization``, ``host``: headers of a request for one of the sandbox's own pages."""
    return path in OPEN or bearer.admits(token, authorization=authorization, host=host)

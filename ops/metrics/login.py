"""Who may read metrics: whoever has the token, or whoever is on this machine."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from ops.loopback import host_of, is_loopback
from orchestrator.errors import SettingsRefused

NAME: Final = "DURAZZO_METRICS_TOKEN"
_SHORTEST, _LONGEST = 16, 512
_TOKEN: Final = re.compile(rf"[!-~]{{{_SHORTEST},{_LONGEST}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    #: "" for none: it is for addresses of this machine.
    token: str = field(default="", repr=False)

    def admits(self, authorization: str, host: str) -> bool:
        """The request's headers of these names.

        Without a token a page of somebody else's, whose name was made to lead here, is turned away:
        it names its own host.
        """
        if not self.token:
            return is_loopback(host_of(host))
        scheme, _, given = authorization.partition(" ")
        # Compared first, so that the time says nothing.
        same = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return same and scheme.lower() == "bearer"


def login(token: str, *, wanted: bool, host: str) -> Login:
    """Raises SettingsRefused where strangers could read."""
    if not wanted:
        return _open(token, host)
    if not token:
        raise SettingsRefused(
            f"metrics need a login: set {NAME} (make one with: openssl rand -hex 32) or {NAME}_FILE"
            " for the scraper's bearer token, or give --no-login for this machine alone"
        )
    if not _TOKEN.fullmatch(token):
        raise SettingsRefused(
            f"{NAME} must be {_SHORTEST} to {_LONGEST} printable ASCII characters without spaces"
        )
    return Login(token=token)


def _open(token: str, host: str) -> Login:
    if not is_loopback(host):
        raise SettingsRefused(
            f"--no-login is for this machine alone: leave --host out, or set {NAME}"
        )
    if token:
        raise SettingsRefused(f"{NAME} is set: unset it, or leave --no-login out")
    return Login()


__all__ = ["NAME", "Login", "login"]

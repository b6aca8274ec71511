"""Who may read metrics: whoever has the token, or whoever is on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ops import bearer
from ops.loopback import is_loopback
from orchestrator.errors import SettingsRefused

NAME: Final = "DURAZZO_METRICS_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    #: "" for none: it is for addresses of this machine.
    token: str = field(default="", repr=False)

    def admits(self, authorization: str, host: str) -> bool:
        """As ``bearer.admits``."""
        return bearer.admits(self.token, authorization=authorization, host=host)


def login(token: str, *, wanted: bool, host: str) -> Login:
    """Raises SettingsRefused where strangers could read."""
    if not wanted:
        return _open(token, host)
    if not token:
        raise SettingsRefused(
            f"metrics need a login: set {NAME} (make one with: openssl rand -hex 32) or {NAME}_FILE"
            " for the scraper's bearer token, or give --no-login for this machine alone"
        )
    if not bearer.is_usable(token):
        raise SettingsRefused(f"{NAME} must be {bearer.USABLE}")
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

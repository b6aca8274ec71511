"""Who may look: users and passwords, or whoever is on this machine."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from binascii import Error
from dataclasses import dataclass, field
from typing import Final

from ops.loopback import is_loopback
from orchestrator.errors import SettingsRefused

#: Flower itself compares text, and crashes at what is not ASCII.
_PAIR: Final = re.compile(r"[!-+\--9;-~]{1,100}:[!-+\--~]{1,200}")
_MOST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    #: "user:password" of each who may look; none: whoever reaches it.
    pairs: tuple[str, ...] = field(default=(), repr=False)

    def admits(self, authorization: str, host: str) -> bool:
        """``authorization``, ``host``: the header, and the host that the address names.

        Without a login it is for addresses of this machine: a page of somebody else's, whose name
        was made to lead here, names its own.
        """
        return self._knows(authorization) if self.pairs else is_loopback(host)

    def _knows(self, authorization: str) -> bool:
        scheme, _, coded = authorization.partition(" ")
        try:
            given = b64decode(coded, validate=True)
        except (Error, ValueError):
            return False
        # Each is compared, so that the time says nothing.
        same = [hmac.compare_digest(pair.encode(), given) for pair in self.pairs]
        return scheme == "Basic" and any(same)


def login(text: str, *, wanted: bool, host: str) -> Login:
    """By FLOWER_BASIC_AUTH's ``text``. Raises SettingsRefused where strangers could look."""
    if not wanted:
        return _open(text, host)
    pairs = tuple(text.split(",")) if text else ()
    if not pairs:
        raise SettingsRefused(
            "Flower needs a login: set FLOWER_BASIC_AUTH=user:password (several with commas"
            " between), or give --no-login for this machine alone"
        )
    if len(pairs) > _MOST or not all(_PAIR.fullmatch(pair) for pair in pairs):
        raise SettingsRefused(
            "FLOWER_BASIC_AUTH must be user:password, several with commas between, each of"
            f" printable ASCII characters without spaces and commas, {_MOST} at most"
        )
    return Login(pairs=pairs)


def _open(text: str, host: str) -> Login:
    if not is_loopback(host):
        raise SettingsRefused(
            "--no-login is for this machine alone: leave --host out, or set FLOWER_BASIC_AUTH"
        )
    if text:
        raise SettingsRefused("FLOWER_BASIC_AUTH is set: unset it, or leave --no-login out")
    return Login()


__all__ = ["Login", "is_loopback", "login"]

"""Secrets by name, resolved at each send: never journaled, never in a message or a log."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

from orchestrator.errors import CredentialMissing, RenderFailed
from orchestrator.expressions.nodes import Secret, walk
from orchestrator.plan.model import HttpCall
from orchestrator.policy.encoding import NotEncodable, header_value
from orchestrator.policy.profiles import ApiKey, Basic, Bearer, Credential, Profile
from workers.render import FrozenRequest, HeaderParts

#: A name is also a file name, so it is nothing else than a name.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
#: durazzo's own settings and sealing keys: no document may send them anywhere.
_OWN: Final = "DURAZZO_"


class LiveKeyRefused(CredentialMissing):
    code = "live-key-refused"


class Credentials:
    """From the environment (``NAME``), a file (``NAME_FILE``), or the secrets folder.

    Nothing is cached, so a rotated secret counts from the next send on.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        directory: Path | None = None,
        *,
        live_key_prefixes: Sequence[str] = (),
        allow_live: bool = False,
        learn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``live_key_prefixes``: of all profiles, for a document may send any key anywhere.

        ``learn`` is told each secret before it is used, so that logs can mask it.
        """
        self._environ = environ
        self._directory = directory
        self._refused = () if allow_live else tuple(dict.fromkeys(live_key_prefixes))
        self._learn = learn

    def resolve(self, name: str) -> str:
        """Raises CredentialMissing, naming the secret and where it may be put."""
        if not _NAME.fullmatch(name) or name.upper().startswith(_OWN):
            raise CredentialMissing(f"{name!r} is not the name of a secret that may be sent")
        value = self._find(name)
        if not value:
            raise CredentialMissing(
                f"the secret {name} is not set: put it into the environment variable {name}, "
                f"or into the file that {name}_FILE names",
                secret=name,
            )
        if _CONTROL.search(value) is not None:
            raise CredentialMissing(f"the secret {name} has control characters in it", secret=name)
        self._learn(value)
        return value

    def authorize(self, request: FrozenRequest, profile: Profile) -> list[tuple[str, str]]:
        """All headers of the request, ready to be sent; the document's own credential wins."""
        headers = [(name, self._filled(name, parts)) for name, parts in request.headers]
        credential = profile.credential
        if credential is not None and request.header(credential.header) is None:
            _may_go(request, profile)
            headers.append((credential.header, self._written(credential)))
        for name, value in headers:
            self._refuse_live(name, value)
        return headers

    def _find(self, name: str) -> str:
        if value := self._environ.get(name):
            return value.strip("\r\n")
        file = self.file_of(name)
        return "" if file is None else _content(name, file)

    def file_of(self, name: str) -> Path | None:
        """What it would be read from; None: from the environment, or from nowhere."""
        if self._environ.get(name):
            return None
        if path := self._environ.get(f"{name}_FILE"):
            return Path(path)
        if self._directory is not None and (self._directory / name).is_file():
            return self._directory / name
        return None

    def _filled(self, name: str, parts: HeaderParts) -> str:
        pieces = (self.resolve(part.name) if isinstance(part, Secret) else part for part in parts)
        return _sendable(name, "".join(pieces))

    def _written(self, credential: Credential) -> str:
        match credential:
            case Bearer(secret=secret):
                return _sendable("Authorization", f"Bearer {self.resolve(secret)}")
            case ApiKey(header=header, secret=secret):
                return _sendable(header, self.resolve(secret))
            case Basic(user_secret=user, password_secret=password):
                pair = f"{self.resolve(user)}:{self.resolve(password)}"
                token = base64.b64encode(pair.encode()).decode()
                self._learn(token)
                return f"Basic {token}"
            case _:
                assert_never(credential)

    def _refuse_live(self, name: str, value: str) -> None:
        plain = _unwrapped(value)
        if any(prefix in plain for prefix in self._refused):
            raise LiveKeyRefused(
                f"the header {name} carries a live key, which moves real money: "
                "set DURAZZO_ALLOW_LIVE=1 if that is meant"
            )


class Whose(Enum):
    """Whose credential a request carries: whose trouble it is when it is refused."""

    #: The house's: the profile's own, at the published server. It pauses the provider.
    HOUSE = "house"
    #: A secret that only this document names, or another server: nobody else's calls.
    DOCUMENT = "document"
    #: Part of the run's values: the run fails by it.
    RUN = "run"


def whose(request: FrozenRequest, profile: Profile) -> Whose:
    credential = profile.credential
    written = None if credential is None else request.header(credential.header)
    if written is None:
        return Whose.DOCUMENT if request.via else Whose.HOUSE
    named = {part.name for part in written if isinstance(part, Secret)}
    if not named:
        return Whose.RUN
    own = {credential.secret} if isinstance(credential, Bearer | ApiKey) else set()
    return Whose.HOUSE if named == own and not request.via else Whose.DOCUMENT


def secrets_of(call: HttpCall, profile: Profile) -> tuple[str, ...]:
    """Names of the secrets that a call will need: the document's own, or the profile's."""
    own = [n.name for _, node in call.headers for n in walk(node) if isinstance(n, Secret)]
    credential = profile.credential
    if credential is None or not profile.authorizes(name for name, _ in call.headers):
        return tuple(own)
    match credential:
        case Bearer(secret=name) | ApiKey(secret=name):
            return (*own, name)
        case Basic(user_secret=user, password_secret=password):
            return (*own, user, password)
        case _:
            assert_never(credential)


def _may_go(request: FrozenRequest, profile: Profile) -> None:
    """A profile's credential goes to its own hosts, whatever a document calls its server."""
    host = urlsplit(request.url).hostname
    if host not in profile.hosts:
        raise CredentialMissing(
            f"{host} is not a host of the provider {profile.name}: its credential stays here"
        )


def _sendable(name: str, value: str) -> str:
    try:
        return header_value(value)
    except NotEncodable as problem:
        raise RenderFailed(f"the header {name!r}: {problem.message}") from None


def _unwrapped(value: str) -> str:
    """With what a Basic token holds, where Stripe takes a key as well."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        return value + base64.b64decode(token).decode("latin-1")
    except ValueError:
        return value


def _content(name: str, path: Path) -> str:
    try:
        return path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CredentialMissing(
            f"the file of the secret {name} cannot be read", secret=name
        ) from None

"""Credentials by name. A value is looked at for what it begins with, and shown nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from ops.cli.doctor.finding import Finding, State
from orchestrator.errors import CredentialMissing
from orchestrator.plan.model import HttpCall, Plan
from orchestrator.policy.accounts import Accounts
from orchestrator.policy.profiles import Profile
from orchestrator.settings import Settings
from workers.credentials import Credentials, secrets_of

GROUP: Final = "Credentials"
#: What Docker and Podman mark a container with.
_CONTAINED: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


class Purse:
    """The secrets that a call made from here would find."""

    def __init__(self, settings: Settings, profiles: Mapping[str, Profile], *, here: bool) -> None:
        """``here``: calls are made by this machine, not by workers that have their own."""
        self._credentials = Credentials(settings.environ, settings.secrets_dir)
        self._profiles = profiles
        self._accounts = Accounts(profiles)
        self._live = tuple(p for x in profiles.values() for p in x.live_key_prefixes)
        self._allowed = settings.allow_live
        self._broken = State.ERROR if here else State.WARNING
        self._where = "" if here else "; each worker needs it in its own environment"

    def needed(self, plan: Plan, accounts: str) -> Iterator[Finding]:
        """The secrets of a document's steps, each once. ``accounts``: as a run has them."""
        users: dict[str, list[str]] = {}
        for step in plan.steps:
            profile = self._accounts.profile(step.call.provider, accounts)
            for name in secrets_of(step.call, profile):
                users.setdefault(name, []).append(step.id)
        for name, steps in users.items():
            more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
            yield self._finding(name, f"step {steps[0]}{more}")
        if not users:
            yield Finding(group=GROUP, name="none", message="no step needs one")

    def shipped(self) -> Iterator[Finding]:
        """The secrets of all profiles: only a document says whether they are needed."""
        for profile in self._profiles.values():
            # A call that brings nothing of its own.
            call = HttpCall(provider=profile.name, method="GET", server="", path=())
            for name in dict.fromkeys(secrets_of(call, profile)):
                yield self._finding(name, profile.name, needed=False)

    def _finding(self, name: str, user: str, *, needed: bool = True) -> Finding:
        try:
            value = self._credentials.resolve(name)
        except CredentialMissing as error:
            # "the secret NAME is not set: put it into …"; its name stands in front already.
            message, _, hint = error.message.removeprefix(f"the secret {name} ").partition(": ")
            return Finding(
                group=GROUP,
                name=name,
                state=self._broken if needed else State.UNKNOWN,
                message=f"{message} ({user})",
                hint=hint + self._where if needed else f"documents that call {user} need it",
            )
        if (file := self._open_to_all(name)) is not None:
            return Finding(
                group=GROUP,
                name=name,
                state=State.WARNING,
                message=f"{file} may be read by everybody on this machine ({user})",
                hint=f"chmod o= {file}; of a container's secret, set mode 0400",
            )
        if not value.startswith(self._live):
            return Finding(group=GROUP, name=name, message=f"set ({user})")
        return self._live_one(name, user)

    def _open_to_all(self, name: str) -> Path | None:
        """The file that the secret comes from, if others than its owner and group may read it."""
        file = self._credentials.file_of(name)
        if file is None:
            return None
        # In a container of its own there is nobody else.
        if any(map(Path.exists, _CONTAINED)):
            return None
        with suppress(OSError):
            return file if _reached(file) else None
        return None

    def _live_one(self, name: str, user: str) -> Finding:
        if self._allowed:
            return Finding(
                group=GROUP,
                name=name,
                state=State.WARNING,
                message=f"a live key ({user}): it moves real money",
            )
        return Finding(
            group=GROUP,
            name=name,
            state=self._broken,
            message=f"a live key ({user}), which is refused at each call",
            hint="use a test key, or set DURAZZO_ALLOW_LIVE=1 if real money is meant",
        )


def _reached(file: Path) -> bool:
    """Whether others may read it, and pass the folders above it."""
    place = file.resolve()
    passed = all(folder.stat().st_mode & 0o001 for folder in place.parents)
    return passed and bool(place.stat().st_mode & 0o007)

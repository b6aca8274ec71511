"""Accounts: by which of several accounts of a provider a run is called for.

A run names them as "stripe=eu,twilio=main"; a provider that it does not name is called by its
usual one. A label is never guessed at: what its account lacks is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from orchestrator.policy.profiles import GENERIC, Profile

#: What a label is, for a person who wrote another.
LABEL: Final = "1 to 32 small letters, digits and hyphens, no hyphen first and no '-file' last"
_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
#: Profiles of accounts that a process keeps at hand.
_KEPT: Final = 256


def is_label(text: str) -> bool:
    """One with ``-file`` behind would name the file of another's secret, and send its path."""
    return _LABEL.fullmatch(text) is not None and not text.endswith("-file")


def written(accounts: Mapping[str, str]) -> str:
    """Provider → label, as a run has it."""
    return ",".join(f"{provider}={label}" for provider, label in sorted(accounts.items()))


def read(accounts: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in accounts.split(",") if pair)
    return {provider: label for provider, _, label in pairs}


class Accounts:
    """The profiles that calls are made by, those of named accounts among them."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        # Every call of a run asks for it.
        self._of_account = lru_cache(_KEPT)(self._made)

    def profile(self, provider: str, accounts: str) -> Profile:
        """``accounts``: as the run has them."""
        label = read(accounts).get(provider, "") if accounts else ""
        return self._of_account(provider, label) if label else self._usual(provider)

    def _made(self, provider: str, label: str) -> Profile:
        return self._usual(provider).of_account(label)

    def _usual(self, provider: str) -> Profile:
        return self._profiles.get(provider, self._profiles[GENERIC])


__all__ = ["LABEL", "Accounts", "is_label", "read", "written"]

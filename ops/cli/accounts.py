"""By which accounts of its providers a plan's calls would be made. Labels, never a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.plan.model import Plan
from orchestrator.policy.profiles import Profile
from orchestrator.service.accounts import providers


def labels(
    plan: Plan, given: Mapping[str, str], profiles: Mapping[str, Profile]
) -> dict[str, str | None]:
    """Provider → label, None for the usual account. Without those that a call brings its own to."""
    return {provider: given.get(provider) for provider in providers(plan, profiles)}


def told(called: Mapping[str, str | None]) -> Iterator[str]:
    """As "accounts: stripe=eu, the usual one of twilio"; no line where there is none to choose."""
    named = [f"{provider}={label}" for provider, label in called.items() if label]
    usual = [provider for provider, label in called.items() if not label]
    if usual:
        named.append(f"the usual one of {' and '.join(usual)}")
    if named:
        yield f"accounts: {', '.join(named)}"


__all__ = ["labels", "told"]

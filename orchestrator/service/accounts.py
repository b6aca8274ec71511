"""Which accounts of its providers a run is to be called by, held against its plan."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import InputsRefused, UnknownProvider
from orchestrator.plan.model import Plan
from orchestrator.policy import accounts as policy
from orchestrator.policy.profiles import GENERIC, Profile


def check_accounts(
    plan: Plan, given: Mapping[str, str], profiles: Mapping[str, Profile]
) -> str:  # fmt: skip
    """Provider → label, as a run has it.

    Raises InputsRefused for a label that is none, UnknownProvider for a provider that the plan
    does not call, or whose calls all bring a credential of their own: no account would change it.
    """
    if wrong := [name for name, label in given.items() if not policy.is_label(label)]:
        raise InputsRefused([
            f"the account of {name!r}: a label is {policy.LABEL}" for name in wrong
        ])
    taking = providers(plan, profiles)
    for name in sorted(given):
        if name not in taking:
            called = {step.call.provider for step in plan.steps}
            why = "its calls all bring their own credential" if name in called else "it calls none"
            raise UnknownProvider(
                f"{plan.name} takes no account of {name!r}: {why};"
                f" it takes one of: {', '.join(taking) or 'no provider'}"
            )
    return policy.written(given)


def providers(plan: Plan, profiles: Mapping[str, Profile]) -> list[str]:
    """Those that durazzo authorizes a call of the plan to."""
    found = {
        step.call.provider
        for step in plan.steps
        if profiles.get(step.call.provider, profiles[GENERIC]).authorizes(
            name for name, _ in step.call.headers
        )
    }
    return sorted(found)


__all__ = ["check_accounts", "providers"]

"""Before a run brings its own worker: would that worker have the secrets that the run needs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.errors import CredentialMissing
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from orchestrator.policy.accounts import Accounts
from orchestrator.policy.profiles import Profile
from orchestrator.settings import Settings
from workers.credentials import Credentials, secrets_of


def check(
    plan: Plan, profiles: Mapping[str, Profile], settings: Settings, accounts: str
) -> None:  # fmt: skip
    """Raises CredentialMissing, naming the step, for each that some way leads to.

    ``accounts``: as a run has them.

    A run that charges and then waits for a missing secret has done half of its work, and the
    worker that this command brings ends with the command.
    """
    credentials = Credentials(settings.environ, settings.secrets_dir)
    graph = Graph(plan, "")
    reached = {*plan.starts}.union(*(graph.behind(start) for start in plan.starts))
    for step, secret in _needs(plan, Accounts(profiles), accounts):
        if step not in reached:
            continue
        try:
            credentials.resolve(secret)
        except CredentialMissing as error:
            raise CredentialMissing(
                f"{error.message}; step {step} needs it, and would keep the run waiting for it:"
                " nothing was accepted, nothing was sent",
                secret=error.secret,
            ) from None


def _needs(plan: Plan, profiles: Accounts, accounts: str) -> Iterator[tuple[str, str]]:
    for step in plan.steps:
        profile = profiles.profile(step.call.provider, accounts)
        yield from ((step.id, secret) for secret in secrets_of(step.call, profile))

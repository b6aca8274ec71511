"""Before a run brings its own worker: would that worker have the secrets that the run needs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops.cli import terminal
from orchestrator.errors import CredentialMissing
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from orchestrator.policy.profiles import GENERIC, Profile
from orchestrator.settings import Settings
from workers.credentials import Credentials, secrets_of


def check(plan: Plan, profiles: Mapping[str, Profile], settings: Settings) -> None:
    """Raises CredentialMissing for a step that will surely run; warns of the others.

    A run that charges and then waits for a missing secret has done half of its work.
    """
    credentials = Credentials(settings.environ, settings.secrets_dir)
    sure = set(_surely(Graph(plan, "")))
    for step, secret in _needs(plan, profiles):
        try:
            credentials.resolve(secret)
        except CredentialMissing as error:
            if step in sure:
                raise
            terminal.say(f"warning: {error.code}: step {step} would wait: {error.message}")


def _needs(plan: Plan, profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str]]:
    for step in plan.steps:
        profile = profiles.get(step.call.provider, profiles[GENERIC])
        yield from ((step.id, secret) for secret in secrets_of(step.call, profile))


def _surely(graph: Graph) -> Iterator[str]:
    """Steps that follow the start with no decision between them."""
    for start in graph.plan.starts:
        segment = graph.segment(start)
        yield from segment
        while len(segment) > 1:
            segment = graph.segment(segment[-1])
            yield from segment

"""What the use cases stand on: the ports, put together by ``orchestrator.wiring``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.admission import Admission
from orchestrator.clock import Clock, Entropy
from orchestrator.driver import Driver, Plans
from orchestrator.journal.archive import Archive
from orchestrator.journal.batches import Batches
from orchestrator.journal.port import Journal
from orchestrator.policy.profiles import Profile
from orchestrator.settings import DEFAULT_LANE


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    journal: Journal
    plans: Plans
    driver: Driver
    batches: Batches
    admission: Admission
    archive: Archive
    profiles: Mapping[str, Profile]
    clock: Clock
    entropy: Entropy
    #: Workflow → lane.
    lanes: Mapping[str, str] = field(default_factory=dict)

    def lane(self, workflow: str, given: str | None) -> str:
        """``given``: by whoever submits."""
        return given or self.lanes.get(workflow, DEFAULT_LANE)

"""What the use cases stand on: the ports, put together by ``orchestrator.wiring``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.admission import Admission
from orchestrator.clock import Clock, Entropy
from orchestrator.driver import Driver, Plans
from orchestrator.errors import InputsRefused
from orchestrator.journal.archive import Archive
from orchestrator.journal.batches import Batches
from orchestrator.journal.port import Journal
from orchestrator.policy.profiles import Profile
from orchestrator.settings import DEFAULT_LANE, LANE

_LANE: Final = (
    "a lane is named by 1 to 64 letters, digits, dots, dashes and underscores, a letter or a digit"
    " first"
)


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
        """``given``: by whoever submits. Raises InputsRefused for what is no lane's name."""
        if given and not LANE.fullmatch(given):
            # Not repeated: it may be anything.
            raise InputsRefused([_LANE])
        return given or self.lanes.get(workflow, DEFAULT_LANE)

"""What a step task tells Celery: read from the journal's state, whoever changed it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.engine.state import Phase, Visit
from orchestrator.journal.port import Ref


class Said(StrEnum):
    """What the task tells Celery."""

    GO_ON = "go-on"  #: return None: the chain goes on
    FAILED = "failed"  #: raise: the error callback; nothing in the document handles it
    HANDLED = "handled"  #: raise under another name: the document has a way on
    WAIT = "wait"  #: shown as a retry; the journal sends it when its time comes
    IGNORE = "ignore"  #: the chain stops here


@dataclass(frozen=True, slots=True)
class Told:
    said: Said
    code: str = ""


def told_of(visit: Visit | None, ref: Ref) -> Told:
    """What a settled visit means to the task that drove it."""
    if visit is None or visit.number != ref.visit:
        return Told(Said.WAIT, "retry")
    match visit.phase:
        case Phase.SUCCEEDED:
            return Told(Said.GO_ON)
        case Phase.FAILED:
            return failed(visit)
        case Phase.WAITING | Phase.READY | Phase.SETTLED:
            return Told(Said.WAIT, visit.code or visit.phase)
        case Phase.UNKNOWN:
            return Told(Said.WAIT, "unknown")
        case phase:
            return Told(Said.IGNORE, phase)


def failed(visit: Visit) -> Told:
    return Told(Said.HANDLED if visit.next else Said.FAILED, visit.code or "failed")

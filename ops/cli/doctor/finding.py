"""What a look at one thing came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import DurazzoError


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    #: It could not be checked, or only a document would tell.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    group: str
    name: str
    state: State = State.OK
    #: Codes and names, never a value.
    message: str
    #: What to do; "" when there is nothing to do.
    hint: str = ""
    #: The exit code that an error asks for.
    code: int = 1

    def as_json(self) -> dict[str, str]:
        return {
            "group": self.group,
            "name": self.name,
            "state": self.state.value,
            "message": self.message,
            "hint": self.hint,
        }


def refused(group: str, name: str, error: DurazzoError) -> Finding:
    """An error's message says what is wrong and, behind a colon, what to do."""
    message, _, hint = error.message.partition(": ")
    return Finding(
        group=group,
        name=name,
        state=State.ERROR,
        message=message,
        hint=hint,
        code=error.exit_code,
    )


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

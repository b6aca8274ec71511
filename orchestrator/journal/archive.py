"""What the journal promises of runs that are over: they take little room, end in time, and forget.

Whoever reads a run sees the same before it is put away and after; see keys.py for both forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

_DAY: Final = 24 * 3_600_000
#: How long a finished run is kept, unless it is set otherwise. ms.
LIFE: Final = 30 * _DAY
#: So many times as long, if it did something though it came to no good end.
STANDING: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What one look at the finished runs came to."""

    put_away: int = 0
    removed: int = 0
    #: Those that could not be put away, and are looked at again in a day: run, and why as a code.
    left: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What a run lost for good."""

    #: Fields by the names that keys.py gives them: "inputs", "key", "o:<step>".
    values: tuple[str, ...]
    #: Events that said why a person did something.
    reasons: int


class Archive(Protocol):
    """Raises JournalUnavailable from every method when Redis cannot be asked."""

    def tidy(self, limit: int) -> Tidied:
        """Put finished runs away, and remove those whose time is over; at most ``limit`` each."""
        ...

    def forget(self, run: str, *, by: str, reason: str) -> Erased | None:
        """Erase the values of a run that has ended, for good; None when it goes on, or is gone.

        What it came to stays, and that its run key was used.
        """
        ...

    def keyed(self, scope: str, key: str) -> str | None:
        """The run that a run key stands for, there or not."""
        ...


__all__ = ["LIFE", "STANDING", "Archive", "Erased", "Tidied"]

"""What the journal tells whoever measures it: numbers and names of what is no customer's.

A port of its own: nobody who drives runs needs it, and nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.journal.port import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How far the limit of one scope is used up."""

    #: So long until all of its burst is there again. us.
    gate_us: int
    #: So long until whoever waits last has its turn, of single runs and of batches. us.
    urgent_us: int
    bulk_us: int
    #: Calls under way, 0 where they are not counted.
    busy: int
    #: Of its rate, what refusals have left.
    factor: float
    #: The provider is paused before this; 0 for never. ms, Redis' clock.
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What Redis says of itself; None for what it does not say."""

    #: Bytes.
    memory: int | None = None
    #: 0 where no limit is set.
    limit: int | None = None
    #: Writes that waited for the disk since its start.
    delayed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    #: ms, Redis' clock, as all times here.
    now: int
    #: Runs that have not ended.
    unfinished: int
    #: Of these, looked at more than a minute from now.
    waiting: int
    #: Of these, to be looked at more than a minute ago.
    overdue: int
    #: When the first is to be looked at; 0 when there is none.
    first_due: int
    #: Runs with a step that is unknown.
    unknown: int
    #: Since when the first of them is; 0 when there is none.
    unknown_since: int
    led: bool
    #: When somebody last kept time, to a second; 0 for never.
    ticked: int
    #: By scope, as asked for.
    uses: Mapping[str, Use]
    #: Field → count, see counts.py.
    counts: Mapping[str, int]
    server: Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A list of messages."""

    length: int
    #: The message that is taken next; b"" when there is none.
    oldest: bytes = b""


class Gauges(Protocol):
    """Raises JournalUnavailable from every method. Round trips do not grow with what is there."""

    def measure(self, scopes: Sequence[str]) -> Measured: ...

    def queues(self, names: Sequence[str]) -> Sequence[Queue]:
        """Lists of the broker, which shares the journal's Redis."""
        ...

    def sent(self, refs: Sequence[Ref]) -> Sequence[int]:
        """When each visit was last sent to its lane; 0 where that is not known. ms."""
        ...


__all__ = ["Gauges", "Measured", "Queue", "Server", "Use"]

"""Whether a worker or a timekeeper lives, and whether it is ready: by what its processes show.

Each process renews a small file of its own (``workers/signs.py``); whoever asks reads them, and
asks neither Redis nor the process. This module imports nothing that is slow: it is asked every
few seconds.

Live:  its threads go on. One that is not is helped by a restart, and an outage of Redis is not.
Ready: Redis answers it, its leases hold, and it takes messages; a timekeeper: it ticks, or
       another leads. One that ends in order is live, and not ready.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

#: A process renews its file every second: when it is older, the process is frozen. ms.
FRESH: Final = 15_000
#: A thread that has not gone round for so long stands still: longer than its calls to Redis may
#: take, one after the other, on a busy machine. ms.
STILL: Final = 60_000
#: A consumer or a timekeeper that has not gone round for so long is not ready. ms.
CURRENT: Final = 10_000
#: Of a folder that holds other things as well.
_MOST: Final = 1_000
_LARGEST: Final = 16_384
_SUFFIX: Final = ".health.json"


class Role(StrEnum):
    SUPERVISOR = "supervisor"
    WORKER = "worker"
    #: Of a prefork pool.
    CHILD = "child"
    TIMEKEEPER = "timekeeper"


class Phase(StrEnum):
    STARTING = "starting"
    WORKING = "working"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a process showed of itself. Times are ms of the machine's steady clock."""

    role: Role
    pid: int
    parent: int
    #: Tells it from a later process of the same id; "" where the system does not say.
    born: str
    at: int
    phase: Phase
    #: When the thread of the heartbeat, or the timekeeper's loop, last went round; None: no such.
    pulse: int | None = None
    #: When the thread that takes messages last went round.
    consumer: int | None = None
    #: Since when Redis has answered; None: it does not.
    answering: int | None = None
    #: Whether its heartbeat is current, so that its leases hold.
    leases: bool = False
    #: Whether it takes messages.
    consuming: bool = False
    #: Processes it has started and looks after.
    children: tuple[int, ...] = ()
    #: Places that nobody has, and somebody should have.
    vacant: int = 0

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str | bytes) -> Vitals:
        """Raises ValueError for what no process of this release wrote."""
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("no object")  # noqa: TRY004  one kind of error for what is not read
        return Vitals(
            role=Role(str(found.get("role"))),
            pid=_whole(found, "pid"),
            parent=_whole(found, "parent"),
            born=str(found.get("born", "")),
            at=_whole(found, "at"),
            phase=Phase(str(found.get("phase"))),
            pulse=_whole_or_none(found, "pulse"),
            consumer=_whole_or_none(found, "consumer"),
            answering=_whole_or_none(found, "answering"),
            leases=found.get("leases") is True,
            consuming=found.get("consuming") is True,
            children=_wholes(found, "children"),
            vacant=_whole(found, "vacant"),
        )


def _whole(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int):
        raise ValueError(name)  # noqa: TRY004  as above
    return value


def _whole_or_none(found: Mapping[str, Any], name: str) -> int | None:
    return None if found.get(name) is None else _whole(found, name)


def _wholes(found: Mapping[str, Any], name: str) -> tuple[int, ...]:
    values = found.get(name)
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        raise ValueError(name)
    return tuple(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with one command, its processes among it; nothing, when all is well."""

    pid: int
    processes: int
    not_live: tuple[str, ...] = ()
    #: Besides: it is not ready either when it is not live.
    not_ready: tuple[str, ...] = ()


def folder(environ: Mapping[str, str]) -> Path:
    """DURAZZO_HEALTH_DIR, or one of this user's own among the temporary files."""
    if named := environ.get("DURAZZO_HEALTH_DIR"):
        return Path(named)
    whose = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"durazzo-{whose}"


def file_of(at: Path, pid: int) -> Path:
    return at / f"{pid}{_SUFFIX}"


def read(at: Path) -> Iterator[Vitals]:
    """What stands in a folder; what is none of ours, or of another user, is passed over."""
    for file in islice(at.glob(f"*{_SUFFIX}"), _MOST):
        with suppress(OSError, ValueError, RecursionError), _opened(file) as stream:
            if _is_own(stream.fileno()):
                yield Vitals.load(stream.read(_LARGEST))


def _opened(file: Path) -> BinaryIO:
    """A folder that others may write to as well could hold a link of theirs, or a pipe that
    nobody writes to. Raises OSError.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(file, flags), "rb")


def _is_own(file: int) -> bool:
    """Root may ask about everybody's."""
    return not hasattr(os, "geteuid") or os.geteuid() in {0, os.fstat(file).st_uid}


def born(pid: int) -> str:
    """When a process started, in a number that only compares; "" where the system has none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # Its name stands in parentheses, and may hold any character. proc(5): field 22.
    return stat.rpartition(b")")[2].split()[19].decode()


def gone(one: Vitals) -> bool:
    """Whether the process has ended, also when another has its id by now."""
    try:
        os.kill(one.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return bool(one.born) and born(one.pid) != one.born


def judge(
    found: Sequence[Vitals],
    role: Role,
    *,
    now: int,
    is_gone: Callable[[Vitals], bool] = gone,
    pid: int | None = None,
) -> list[Verdict]:
    """One for each command that runs, or that of ``pid``. ``role``: WORKER or TIMEKEEPER.

    Commands that have ended count for nothing, unless nothing else is there.
    """
    of = {one.pid: one for one in found}
    heads = [one for one in of.values() if _is_head(one, role, of) and pid in {None, one.pid}]
    running = [head for head in heads if not is_gone(head)]
    if not running:
        return [Verdict(pid=head.pid, processes=0, not_live=("it has ended",)) for head in heads]
    return [_Command(head, of, now, is_gone).verdict() for head in running]


def _is_head(one: Vitals, role: Role, of: Mapping[int, Vitals]) -> bool:
    """Whoever was started by nobody that shows itself."""
    if role is Role.TIMEKEEPER or one.role is Role.TIMEKEEPER:
        return role is one.role
    parent = of.get(one.parent)
    if one.role is Role.WORKER:
        return parent is None or parent.role is not Role.SUPERVISOR
    return one.role is Role.SUPERVISOR


class _Command:
    """A process and those it looks after."""

    def __init__(
        self, head: Vitals, of: Mapping[int, Vitals], now: int, is_gone: Callable[[Vitals], bool]
    ) -> None:
        self._head = head
        self._now = now
        self._is_gone = is_gone
        self._members = [head]
        self._unseen: list[int] = []
        for one in self._members:
            # Grows meanwhile: a worker's children stand behind it.
            for pid in one.children:
                child = of.get(pid)
                if child is None or child.parent != one.pid or child in self._members:
                    self._unseen.append(pid)
                else:
                    self._members.append(child)

    def verdict(self) -> Verdict:
        # Who ends in order is bounded by its grace, and its processes go before it does.
        ends = self._head.phase is Phase.DRAINING
        judged = self._members[:1] if ends else self._members
        return Verdict(
            pid=self._head.pid,
            processes=len(self._members),
            not_live=tuple(f"{_name(x)} {why}" for x in judged if (why := self._dead(x))),
            not_ready=tuple(f"{_name(x)} {why}" for x in judged if (why := self._unready(x)))
            + tuple(f"process {pid} is starting" for pid in self._unseen if not ends),
        )

    def _dead(self, one: Vitals) -> str:
        if self._is_gone(one):
            return "has ended and is not replaced"
        if not -FRESH < self._now - one.at <= FRESH:
            return f"has not shown itself for {FRESH // 1000} s: it is frozen"
        if one.phase is Phase.DRAINING:
            return ""
        if one.pulse is not None and one.at - one.pulse > STILL:
            return f"has a pulse that has stood still for {STILL // 1000} s"
        if one.consumer is not None and one.at - one.consumer > STILL and self._redis_answers():
            return f"has taken no messages for {STILL // 1000} s, though Redis answers"
        return ""

    def _redis_answers(self) -> bool:
        """Long enough that a consumer should have found it as well."""
        return any(x.answering is not None and x.at - x.answering > STILL for x in self._members)

    def _unready(self, one: Vitals) -> str:
        if one.phase is not Phase.WORKING:
            return "is ending" if one.phase is Phase.DRAINING else "is starting"
        if one.vacant:
            return f"has {one.vacant} of its processes to start again"
        return self._without_redis(one) or self._takes_nothing(one)

    @staticmethod
    def _without_redis(one: Vitals) -> str:
        if one.pulse is None or one.role is Role.SUPERVISOR:
            # Its processes have one each.
            return ""
        if one.answering is None:
            return "is not answered by Redis"
        if one.role is Role.TIMEKEEPER:
            late = one.at - one.pulse > CURRENT
            return f"has not ticked for {CURRENT // 1000} s" if late else ""
        return "" if one.leases else "has no current heartbeat: its leases do not hold"

    @staticmethod
    def _takes_nothing(one: Vitals) -> str:
        if one.role is not Role.WORKER:
            return ""
        late = one.consumer is None or one.at - one.consumer > CURRENT
        return "takes no messages" if late or not one.consuming else ""


def _name(one: Vitals) -> str:
    return f"{one.role} {one.pid}"

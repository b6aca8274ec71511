"""The storm itself: troubles when their time comes, then calm, and waiting until nothing moves."""

from __future__ import annotations

import heapq
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol

from ops.chaos.agenda import Agenda
from ops.chaos.schedule import Kind, Schedule, Strike, limits
from ops.chaos.stage import Slot, Stage
from ops.crew import Member, strike
from orchestrator.engine.state import Phase, State, Status
from orchestrator.service import Core
from orchestrator.service.inspect import SETTLED

_TURN: Final = 0.03
#: Between two looks at the runs that still move. s.
_LOOK: Final = 0.5
#: Finished runs whose duties are left undone are given up after this. s.
_OWING: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    strike: Strike
    #: ms since the epoch, from and to.
    at: int
    until: int
    #: Whom it concerned; empty for everybody.
    pids: frozenset[int] = frozenset()
    #: False when nobody was there.
    hit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    schedule: Schedule
    struck: Sequence[Struck]
    #: The sandbox's scripts, with how often each struck.
    faults: Sequence[Mapping[str, Any]]
    ledger: Mapping[str, Any]
    #: By the customer's number.
    runs: Mapping[int, str]
    problems: Sequence[str]
    #: By run, the customer's number: see ``Submitter``.
    others: Mapping[str, int]
    unheard: Mapping[str, int]
    #: When Redis was killed and had not written all that it had acknowledged. ms since the epoch.
    unwritten: Sequence[int]
    unavailable: int
    #: Seconds: the storm, and from its end until nothing moved.
    stormed: float
    calmed: float
    restarts: int


class Party(Protocol):
    """Who has runs run: the submitter, or a batch's clerk."""

    @property
    def agenda(self) -> Agenda: ...

    @property
    def runs(self) -> Mapping[int, str]:
        """By the customer's number."""
        ...

    @property
    def others(self) -> Mapping[str, int]:
        """See ``Submitter``; so are the unheard."""
        ...

    @property
    def unheard(self) -> Mapping[str, int]: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def expects_more(self) -> bool:
        """In the calm: whether there are runs to come."""
        ...

    def repair(self) -> bool:
        """When nothing moves any more: what a person does then. Whether something moves again."""
        ...


class Storm:
    def __init__(self, stage: Stage, schedule: Schedule, party: Party) -> None:
        self._stage = stage
        self._schedule = schedule
        self._party = party
        self._struck: list[Struck] = []
        self._order = count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._redis = True
        self._unwritten: list[int] = []
        for one in schedule.strikes:
            self._push(one.at, lambda one=one: self._strike(one))  # type: ignore[misc]

    def rage(self) -> Aftermath:
        stage, options = self._stage, self._schedule.options
        self._began = time.monotonic()
        ends = 60 * options.minutes
        stage.faults(self._schedule.faults)
        self._party.start()
        while (self._coming or self._now() < options.seconds) and self._now() < ends:
            self._turn()
        stormed = self._now()
        faults = self._calm()
        self._wait_until_still(ends)
        self._party.stop()
        return Aftermath(
            schedule=self._schedule,
            struck=self._struck,
            faults=faults,
            ledger=stage.ledger(),
            runs=self._party.runs,
            problems=self._party.agenda.problems,
            others=self._party.others,
            unheard=self._party.unheard,
            unwritten=self._unwritten,
            unavailable=self._party.agenda.unavailable,
            stormed=stormed,
            calmed=self._now() - stormed,
            restarts=sum(slot.restarts for slot in stage.slots),
        )

    def _turn(self) -> None:
        while self._coming and self._coming[0][0] <= self._now():
            heapq.heappop(self._coming)[2]()
        self._stage.tend()
        time.sleep(_TURN)

    def _calm(self) -> Sequence[Mapping[str, Any]]:
        """Every trouble is over when this returns."""
        while self._coming:
            heapq.heappop(self._coming)[2]()
        self._stage.thaw()
        self._stage.links.calm()
        return self._stage.end_faults()

    def _wait_until_still(self, ends: float) -> None:
        watch = self._watch()
        looked = 0.0
        while self._now() < ends:
            self._turn()
            if self._now() < looked + _LOOK:
                continue
            looked = self._now()
            if self._party.expects_more() or self._party.agenda.busy:
                continue
            if watch.still(self._party.runs.values(), looked):
                if not self._party.repair():
                    return
                watch = self._watch()

    def _watch(self) -> Watch:
        return Watch(self._stage.judge.core, look_ups=self._schedule.options.look_ups)

    # Troubles.

    def _strike(self, one: Strike) -> None:
        at = _unix_ms()
        pids = self._fire(one)
        self._struck.append(
            Struck(
                strike=one,
                at=at,
                until=at + round(one.seconds * 1000),
                pids=frozenset(pids or ()),
                hit=pids is not None,
            )
        )

    def _fire(self, one: Strike) -> Sequence[int] | None:
        """Whom it concerns, nobody in particular, or None when there was nobody to strike."""
        match one.what:
            case Kind.REDIS:
                return self._kill_redis(one)
            case Kind.LIMIT:
                self._stage.faults([limits(self._schedule.options)])
                return ()
            case Kind.CUT | Kind.STALL | Kind.SWALLOW | Kind.REFUSE:
                return self._break_line(one)
            case Kind.CHILD | Kind.FREEZE_CHILD:
                worker, child = divmod(one.which, self._schedule.options.children)
                return self._strike_child(one, self._stage.slots[worker], child)
            case _:
                return self._strike_worker(one, self._stage.slots[one.which])

    def _kill_redis(self, one: Strike) -> Sequence[int] | None:
        if not self._redis:
            return None
        self._redis = False
        at = _unix_ms()
        self._stage.kill_redis(lost=1.0 if self._schedule.options.power_cuts else 0)
        self._push(self._now() + one.seconds, lambda: self._restart_redis(at))
        return ()

    def _restart_redis(self, killed: int) -> None:
        if not self._stage.start_redis():
            self._unwritten.append(killed)
        self._redis = True

    def _break_line(self, one: Strike) -> Sequence[int]:
        line = self._stage.lines[one.which]
        troubles: Mapping[Kind, Callable[[], Coroutine[Any, Any, None]]] = {
            Kind.CUT: line.cut,
            Kind.STALL: lambda: line.stall(one.seconds),
            Kind.SWALLOW: lambda: line.swallow(one.seconds),
            Kind.REFUSE: lambda: line.refuse(one.seconds),
        }
        self._stage.links.begin(troubles[one.what]())
        member = self._stage.behind(line)
        return [] if member is None else _everybody(member)

    def _strike_child(self, one: Strike, slot: Slot, number: int) -> Sequence[int] | None:
        children = slot.member.children() if slot.member and slot.member.lives else []
        if not children:
            return None
        pid = children[number % len(children)]
        if one.what is Kind.CHILD:
            return [pid] if strike(pid, signal.SIGKILL) else None
        self._push(self._now() + one.seconds, lambda: _thaw(pid))
        return [pid] if strike(pid, signal.SIGSTOP) else None

    def _strike_worker(self, one: Strike, slot: Slot) -> Sequence[int] | None:
        member = slot.member
        if member is None or not member.lives:
            return None
        pids = _everybody(member)
        match one.what:
            case Kind.WORKER:
                strike(member.pid, signal.SIGKILL, whole_group=True)
            case Kind.MAIN:
                strike(member.pid, signal.SIGKILL)
            case Kind.TERM:
                strike(member.pid, signal.SIGTERM)
            case _:
                strike(member.pid, signal.SIGSTOP, whole_group=True)
                self._push(self._now() + one.seconds, lambda: _thaw(member.pid, whole_group=True))
        return pids

    def _push(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (at, next(self._order), act))

    def _now(self) -> float:
        return time.monotonic() - self._began


class Watch:
    """Whether anything still moves by itself."""

    def __init__(self, core: Core, *, look_ups: float) -> None:
        self._core = core
        self._look_ups = look_ups
        self._done: set[str] = set()
        #: Looked up since they are in doubt, and in doubt still: what comes is more of the same.
        self._looked: set[str] = set()
        self._settled_at: float | None = None

    def still(self, runs: Iterable[str], now: float) -> bool:
        states = {r: self._core.journal.read(r) for r in runs if r not in self._done}
        # One that is not there any more never moves again.
        self._done |= {r for r, s in states.items() if s is None or (s.end and not s.outbox)}
        self._looked |= {r for r, s in states.items() if s is not None and _is_looked_up(s)}
        known = self._done | self._looked
        rest = [s for run, s in states.items() if s is not None and run not in known]
        if any(state.status not in SETTLED for state in rest):
            self._settled_at = None
            return False
        if self._settled_at is None:
            self._settled_at = now
        return now - self._settled_at >= max(map(self._patience, rest), default=0.0)

    def _patience(self, state: State) -> float:
        if state.end:
            return _OWING
        parked = (v for v in state.visits.values() if v.phase is Phase.UNKNOWN)
        return self._look_ups if any(visit.until for visit in parked) else 0.0


def _is_looked_up(state: State) -> bool:
    parked = [v for v in state.visits.values() if v.phase is Phase.UNKNOWN]
    return state.status is Status.UNKNOWN and all(v.looks for v in parked if v.until)


def _everybody(member: Member) -> list[int]:
    return [member.pid, *member.children()]


def _thaw(pid: int, *, whole_group: bool = False) -> None:
    strike(pid, signal.SIGCONT, whole_group=whole_group)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000

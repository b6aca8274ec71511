"""A long lane and few workers: what waits there is not sent twice, and what is lost is sent again.

In a row, on one lane: the runs are accepted; a worker works at a slowed provider; it is killed and
another takes over; one queued run is paused and resumed; the broker's list is deleted. The
journal's own events say what was sent, and why.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

from ops import lab
from ops.bench import stage
from ops.bench.handwritten import Order
from ops.bench.stage import BenchBroken, inputs_of
from ops.bench.tables import Cell, table
from ops.sandbox.server import BackgroundSandbox
from orchestrator.canvas.messages import lists
from orchestrator.engine.events import Event, apply, begin
from orchestrator.engine.state import IN_FLIGHT, Phase, State, Visit
from orchestrator.journal.seal import new_key
from orchestrator.plan.model import Plan
from orchestrator.service import pause, resume, submit
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, connect, wire

SUMMARY: Final = "a long lane and few workers: how many messages are sent again, and why"
RUNS: Final = 20_000
SECONDS: Final = 120
#: Of all messages.
_MOST_AGAIN: Final = 0.01
_LANE: Final = "backlog"
_LATENCY_MS: Final = 20
#: All that waits is looked at once a minute; three, on a machine that is busy.
_ALL_SENT_S: Final = 180
#: The run that is paused and resumed has so many before it.
_AHEAD: Final = 50

QUEUED: Final = "waited in the lane"
UNSENT: Final = "no message was out"
DEAD: Final = "its worker was dead"
DUE: Final = "its time had come"


@dataclass(frozen=True, slots=True)
class Sent:
    at: int
    run: str
    why: str


@dataclass(slots=True)
class House:
    folder: Path
    environ: dict[str, str]
    wiring: Wiring
    redis: Any
    runs: list[str] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)
    _worker: subprocess.Popen[bytes] | None = None

    def mark(self, what: str) -> None:
        now = self.wiring.core.journal.now()
        self.marks.append((what, now))
        print(f"  {what}: {self.waiting():,} messages wait", flush=True)

    def waiting(self) -> int:
        return sum(int(self.redis.llen(name)) for name in lists(_LANE))

    def start(self) -> None:
        self._worker = lab.celery(
            "workers.app", "worker", "--pool", "prefork", "-c", str(stage.CONCURRENCY),
            "-l", "WARNING", "-E", "--without-gossip", "--without-mingle", "-Q", _LANE,
            environ=self.environ, log=self.folder / "worker.log",
        )  # fmt: skip

    def kill(self) -> None:
        if self._worker is not None:
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
            self._worker = None


def main(*, runs: int, seconds: int) -> None:
    """Raises BenchBroken when more than 1 % is sent again, or the books show something twice."""
    with BackgroundSandbox() as sandbox, _house(sandbox) as house:
        plan = stage._plan()  # noqa: SLF001
        for order in range(runs):
            house.runs.append(_submitted(house, plan, order))
        house.mark("worked at")
        house.start()
        time.sleep(seconds)
        house.mark("worker killed")
        house.kill()
        house.start()
        time.sleep(seconds)
        house.mark("one run paused and resumed")
        _pause_and_resume(house)
        time.sleep(seconds)
        house.mark("list deleted")
        lost = _lose(house)
        house.mark("all of it sent again")
        time.sleep(min(seconds, 30))
        house.kill()
        house.mark("end")
        _judge(house, lost, sandbox.ledger(requests=False))


def _submitted(house: House, plan: Plan, number: int) -> str:
    order = Order(
        number=f"order-{number}", amount=2000, currency="usd", card="pm_card_visa",
        account=house.environ["TWILIO_ACCOUNT_SID"], to=f"+1555{number:07}", sender="+15005550006",
    )  # fmt: skip
    return submit(house.wiring.core, plan, inputs_of(order), lane=_LANE).id


def _pause_and_resume(house: House) -> None:
    """One that comes to its turn soon: its first message, before the one that is sent now."""
    core = house.wiring.core
    new = (run for run in house.runs if _is_new(core.journal.read(run)))
    run = next(islice(new, _AHEAD, None))
    for control in (pause, resume):
        control(core, run, by="a bench")


def _is_new(state: State | None) -> bool:
    return state is not None and len(state.visits) == 1 and _queued(state)


def _lose(house: House) -> set[str]:
    """Runs whose messages were in the list, once each of them was sent again."""
    journal = house.wiring.core.journal
    lost = {run for run in house.runs if _queued(journal.read(run))}
    house.redis.delete(*lists(_LANE))
    at, left = journal.now(), set(lost)
    ends = time.monotonic() + _ALL_SENT_S
    while left and time.monotonic() < ends:
        time.sleep(1)
        left = {run for run in left if _unsent(journal.read(run), at)}
    if left:
        raise BenchBroken(f"{len(left)} of {len(lost)} messages that were lost were not sent again")
    return lost


def _queued(state: State | None) -> bool:
    return state is not None and any(v.phase is Phase.READY for v in state.visits.values())


def _unsent(state: State | None, at: int) -> bool:
    """Still as it was lost."""
    return state is not None and any(
        visit.phase is Phase.READY and visit.since < at for visit in state.visits.values()
    )


# What the journal tells.


def _sends(house: House) -> Iterator[Sent]:
    for run in house.runs:
        yield from _sends_of(run, house.wiring.core.journal.history(run))


def _sends_of(run: str, events: list[Event]) -> Iterator[Sent]:
    state = begin(events[0])
    for event in events[1:]:
        if event.kind == "sent":
            yield Sent(event.at, run, _why(state.visits[event.fields["s"]]))
        state = apply(state, event)


def _why(visit: Visit) -> str:
    if visit.phase is Phase.WAITING:
        return DUE
    if visit.phase in IN_FLIGHT:
        return DEAD
    return QUEUED if visit.since else UNSENT


def _judge(house: House, lost: set[str], ledger: dict[str, Any]) -> None:
    sent = list(_sends(house))
    moments = dict(house.marks)
    by_lane = [s for s in sent if s.at >= moments["list deleted"] and s.why == QUEUED]
    rest = [s for s in sent if s.at < moments["list deleted"]]
    print("\nSent again by the timekeeper\n")
    print(table(["", DUE, DEAD, UNSENT, QUEUED], list(_rows(house, sent))))
    messages = len(house.runs) + ledger_count(ledger) + len(rest)
    again = len([s for s in rest if s.why != DUE])
    print(
        f"\n{again:,} of {messages:,} messages ({again / messages:.3%}) before the list was lost."
    )
    _lost(by_lane, lost)
    if any(ledger["duplicates"].values()):
        raise BenchBroken(f"the sandbox's books: {ledger['duplicates']}")
    if again > _MOST_AGAIN * messages:
        raise BenchBroken(f"more than {_MOST_AGAIN:.0%} of the messages were sent again")


def ledger_count(ledger: dict[str, Any]) -> int:
    """Second steps that were sent: one for each charge."""
    return len(ledger["charges"])


def _rows(house: House, sent: list[Sent]) -> Iterator[list[Cell]]:
    for (what, begins), (_, ends) in pairwise(house.marks):
        counted = Counter(s.why for s in sent if begins <= s.at < ends)
        yield [what, *(counted[why] for why in (DUE, DEAD, UNSENT, QUEUED))]


def _lost(sent: list[Sent], lost: set[str]) -> None:
    if not sent:
        return
    times = Counter(s.run for s in sent)
    seconds = Counter(s.at // 1000 for s in sent)
    span = (max(s.at for s in sent) - min(s.at for s in sent)) / 1000
    print(
        f"The list held messages of {len(lost):,} runs. {len(times):,} were sent again in"
        f" {span:.0f} s, {max(seconds.values()):,} a second at most;"
        f" {sum(n > 1 for n in times.values()):,} more than once."
    )


@contextmanager
def _house(sandbox: BackgroundSandbox) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="durazzo-bench-") as name:
        folder = Path(name)
        with lab.valkey(folder) as url, connect(url) as redis:
            environ = {
                **lab.base_environ(), **sandbox.env, "DURAZZO_REDIS_URL": url,
                "DURAZZO_KEYS": new_key(), "DURAZZO_LIMITS": stage._limits(),  # noqa: SLF001
            }  # fmt: skip
            sandbox.faults({"match": "*", "do": "latency", "ms": _LATENCY_MS, "times": None})
            house = House(folder, environ, wire(from_environ(environ)), redis)
            try:
                yield house
            finally:
                house.kill()
                house.wiring.app.close()

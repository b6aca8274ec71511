"""Runs that wait for their time: what a tick costs beside 1,000 and beside 100,000 of them.

One run is driven through the journal (accept, claim, begin, commit of a call that surely did
nothing, with a delay) and its keys are copied inside the server under other names, with another
time: the very keys that the journal makes, values unsealed, for a sealed one opens in its own run
only.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import structlog

from ops import lab
from ops.bench.stage import DOCUMENT, BenchBroken
from ops.bench.tables import Cell, table
from orchestrator.canvas.messages import lists
from orchestrator.driver import Driver, Plans
from orchestrator.engine.advance import advance
from orchestrator.engine.events import Event, apply, fold, outcome_landed
from orchestrator.engine.state import Outcome, Result, Status
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Ref, Settlement
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import NoSeal
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from orchestrator.service import submit, validate
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, connect, load_profiles, wire
from workers.timekeeper import BATCH, Timekeeper

SUMMARY: Final = "runs that wait on timers: what a tick costs, what a run holds, all due at once"
RUNS: Final = 100_000
_FEW: Final = 1_000
_TICKS: Final = 40
_HOUR: Final = 3_600_000
_CHUNK: Final = 1_000
_LANE: Final = "timers"
#: So many runs are due at a time, in so many rounds.
_ROUNDS: Final = 10

#: KEYS: the due-set, the index of runs. ARGV: key prefix of runs, the run that is copied, its
#: time, the new time, first and last number of the copies.
_COPIES: Final = """
local from = ARGV[1] .. ARGV[2]
local hash, log = redis.call('HGETALL', from), redis.call('LRANGE', from .. ':log', 0, -1)
for n = tonumber(ARGV[5]), tonumber(ARGV[6]) do
  local id = string.format('%s-%07d', ARGV[2], n)
  local to = ARGV[1] .. id
  for i = 1, #hash, 2 do
    local value = string.gsub(hash[i + 1], ARGV[3], ARGV[4])
    redis.call('HSET', to, hash[i], value)
  end
  for _, line in ipairs(log) do
    redis.call('RPUSH', to .. ':log', (string.gsub(line, ARGV[3], ARGV[4])))
  end
  redis.call('COPY', from .. ':data', to .. ':data')
  redis.call('ZADD', KEYS[1], ARGV[4], id)
  redis.call('ZADD', KEYS[2], ARGV[4], id)
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """So many runs wait; what that costs. Milliseconds, commands, bytes."""

    runs: int
    idle_ms: float
    idle_commands: int
    due_ms: float
    due_commands: int
    bytes_each: float


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    wiring: Wiring
    redis: Any
    journal: RedisJournal
    timekeeper: Timekeeper
    keys: Keys

    def advance(self, ms: int) -> None:
        self.redis.incrby(self.keys.clock, ms)

    def commands(self) -> int:
        rows = self.redis.info("commandstats")
        return sum(row["calls"] for name, row in rows.items() if name != "cmdstat_info")


def main(*, runs: int) -> None:
    """Raises BenchBroken when a tick's commands depend on how many runs wait."""
    # A line for each run that is sent: there are many.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = []
    for number in (min(_FEW, runs), runs):
        with _house() as house:
            found.append(_measured(house, number))
            if number == runs:
                _report(found)
                _all_at_once(house, runs)


def _measured(house: House, runs: int) -> Waiting:
    before = house.redis.info("memory")["used_memory"]
    template, until = _template(house)
    rounds = min(_ROUNDS, runs // BATCH)
    now = house.journal.now()
    for number in range(rounds):
        # A round of a batch each, an hour apart; the rest waits for longer.
        numbers = range(number * BATCH, (number + 1) * BATCH)
        _copy(house, template, until, now + (number + 1) * _HOUR, numbers)
    _copy(house, template, until, now + (rounds + 1) * _HOUR, range(rounds * BATCH, runs))
    _check_copies(house, template)
    used = house.redis.info("memory")["used_memory"] - before
    house.timekeeper.tick()
    idle = [_cost(house, house.timekeeper.tick) for _ in range(_TICKS)]
    due = []
    for _ in range(rounds):
        house.advance(_HOUR)
        due.append(_cost(house, house.timekeeper.tick))
        # They are in the lane now, and of no more interest here.
        house.redis.zremrangebyscore(house.keys.due, "-inf", house.journal.now() + 60_000)
    return Waiting(
        runs=runs,
        idle_ms=median(ms for ms, _ in idle),
        idle_commands=round(median(count for _, count in idle)),
        due_ms=median(ms for ms, _ in due),
        due_commands=round(median(count for _, count in due)),
        bytes_each=used / runs,
    )


def _cost(house: House, work: Callable[[], object]) -> tuple[float, int]:
    before, began = house.commands(), time.perf_counter()
    work()
    spent = time.perf_counter() - began
    return 1000 * spent, house.commands() - before


def _report(found: list[Waiting]) -> None:
    few, many = found
    rows: list[list[Cell]] = [
        ["a tick, nothing due: ms", few.idle_ms, many.idle_ms, many.idle_ms / few.idle_ms],
        ["  commands in Redis", few.idle_commands, many.idle_commands,
         many.idle_commands / few.idle_commands],
        [f"a tick, {BATCH} due and sent: ms", few.due_ms, many.due_ms, many.due_ms / few.due_ms],
        ["  commands in Redis", few.due_commands, many.due_commands,
         many.due_commands / few.due_commands],
        ["memory a waiting run: bytes", round(few.bytes_each), round(many.bytes_each),
         many.bytes_each / few.bytes_each],
    ]  # fmt: skip
    print(table(["waiting runs", f"{few.runs:,}", f"{many.runs:,}", "ratio"], rows), flush=True)
    # A background chore of the server's, or a reconnect, may fall into one of them.
    if many.idle_commands > few.idle_commands + 2:
        raise BenchBroken("a tick costs more commands the more runs wait")


def _all_at_once(house: House, runs: int) -> None:
    """The rest is due in one moment: how long one timekeeper takes to send it, once each."""
    due = house.redis.zcard(house.keys.due)
    house.redis.delete(*lists(_LANE))
    house.advance(2 * _HOUR)
    began = time.perf_counter()
    rounds = 0
    while house.redis.llen(_LANE) < due and rounds < 2 * runs:
        house.timekeeper.tick()
        rounds += 1
    spent = time.perf_counter() - began
    held = house.redis.llen(_LANE)
    # Whoever is patient is looked at again, and not sent again: the lane is just long.
    ends = time.perf_counter() + 20
    while time.perf_counter() < ends:
        house.timekeeper.tick()
        time.sleep(0.1)
    print(
        f"\n{due:,} due at once: sent in {spent:.0f} s by one timekeeper, {due / spent:,.0f} a"
        f" second, in {rounds:,} ticks; {held:,} messages, and"
        f" {house.redis.llen(_LANE) - held:,} more in the 20 s after."
    )
    if house.redis.llen(_LANE) != due:
        raise BenchBroken("not each was sent once")


def _template(house: House) -> tuple[str, int]:
    """A run whose first step waits for its next attempt, by way of the journal."""
    journal = house.journal
    run = submit(house.wiring.core, _plan(), _inputs(), lane=_LANE).id
    state = journal.read(run)
    assert state is not None  # noqa: S101
    graph, step = house.wiring.core.plans.graph(state.plan), next(iter(state.visits))
    _commit_a_wait(journal, graph, Ref(run, step, 1))
    state = journal.read(run)
    assert state is not None  # noqa: S101
    house.redis.delete(*lists(_LANE))
    return run, state.visits[step].until


def _commit_a_wait(journal: RedisJournal, graph: Graph, ref: Ref) -> None:
    claim = journal.claim(ref, "bench")
    assert claim.state is not None  # noqa: S101
    fence = claim.state.visits[ref.step].fence
    begun = journal.begin(ref, fence, deadline_ms=85_000, frozen=b"x" * 400, limits=())
    fields = {"s": ref.step, "a": begun.attempt, "u": begun.until}
    state = apply(claim.state, Event(kind="begun", at=begun.now, fields=fields))
    outcome = Outcome(result=Result.TRANSIENT, code="http-429", status=429, delay=100 * _HOUR)
    now = journal.now()
    event = outcome_landed(at=now, step=ref.step, visit=state.visits[ref.step], outcome=outcome)
    landed = apply(state, event)
    settlement = Settlement(event=event, visit=landed.visits[ref.step])
    journal.commit(ref, fence, settlement, advance(graph, landed, now))


def _copy(house: House, template: str, until: int, new: int, numbers: range) -> None:
    script = house.redis.register_script(_COPIES)
    prefix = house.keys.run("")
    for start in range(numbers.start, numbers.stop, _CHUNK):
        last = min(start + _CHUNK, numbers.stop) - 1
        script(keys=[house.keys.due, house.keys.runs],
               args=[prefix, template, until, new, start, last])  # fmt: skip


def _check_copies(house: House, template: str) -> None:
    """The template is none of them: it leaves. A copy is as the journal would have made it."""
    house.redis.zrem(house.keys.due, template)
    copy = f"{template}-{0:07}"
    state = house.journal.read(copy)
    if state is None or fold(house.journal.history(copy)) != state:
        raise BenchBroken("a copied run does not fold to its hash")
    if state.status is not Status.WAITING:
        raise BenchBroken("a copied run does not wait")


def _plan() -> Plan:
    return validate(DOCUMENT, load_profiles().values()).plan


def _inputs() -> dict[str, Json]:
    return {
        "amount": 2000, "currency": "usd", "paymentMethod": "pm_card_visa", "accountSid": "AC1",
        "toPhone": "+15550000001", "fromPhone": "+15005550006",
    }  # fmt: skip


@contextmanager
def _house() -> Iterator[House]:
    with (
        tempfile.TemporaryDirectory(prefix="durazzo-bench-") as folder,
        lab.valkey(Path(folder)) as url,
        connect(url) as redis,
    ):
        environ = {**lab.base_environ(), "DURAZZO_REDIS_URL": url, "DURAZZO_SEAL": "off"}
        wiring = wire(from_environ(environ))
        journal = RedisJournal(redis, NoSeal())
        plans = Plans(journal)
        timekeeper = Timekeeper(
            me="bench", journal=journal, plans=plans, queues=wiring.canvas,
            driver=Driver(journal, plans, wiring.canvas),
        )  # fmt: skip
        try:
            yield House(
                wiring=wiring, redis=redis, journal=journal, timekeeper=timekeeper, keys=Keys()
            )
        finally:
            wiring.app.close()

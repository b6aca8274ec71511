"""Where one step's time goes: attempts driven in this process, without Celery around them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog

from ops.bench.handwritten import Order, Shop
from ops.bench.stage import BenchBroken, Stage, inputs_of
from orchestrator.canvas.messages import lists
from orchestrator.journal.port import Ref
from orchestrator.service import submit
from workers import attempt, landing, logs, provider
from workers.credentials import Credentials
from workers.process import Process, build
from workers.told import Said

_LANE: Final = "anatomy"


@dataclass(slots=True)
class Spent:
    """Seconds by name: a part's own, without those of parts that were measured inside it."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    _open: list[list[float]] = field(default_factory=list)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        self._open.append([0.0, 0.0])
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            inner_wall, inner_cpu = self._open.pop()
            self.wall[name] = self.wall.get(name, 0.0) + wall - inner_wall
            self.cpu[name] = self.cpu.get(name, 0.0) + cpu - inner_cpu
            if self._open:
                self._open[-1][0] += wall
                self._open[-1][1] += cpu

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **named: Any) -> Any:
            with self.timed(name):
                return work(*args, **named)

        return measured


#: What is measured: parts of an attempt in the order in which they come.
CLAIM: Final = "claim (script; lease, state, inputs)"
RENDER: Final = "render the request"
AUTHORIZE: Final = "credentials"
BEGIN: Final = "begin (script; limiter, frozen request)"
CALL: Final = "the call (httpcore, the provider)"
CLASSIFY: Final = "classify the answer"
JUDGE: Final = "criteria, outputs, routes"
ADVANCE: Final = "advance"
COMMIT: Final = "commit (script; outcome, decision)"
LOG: Final = "log one event"
ANNOUNCE: Final = "end of run: Celery result (half a step)"
SETTLE: Final = "end of run: settle (script; half a step)"
REST: Final = "between them"
PARTS: Final = (
    CLAIM, RENDER, AUTHORIZE, BEGIN, CALL, CLASSIFY, JUDGE, ADVANCE, COMMIT, LOG, ANNOUNCE,
    SETTLE, REST,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    steps: int
    durazzo: Spent
    #: CPU seconds a step of this process, without a stopwatch: durazzo's, and the bare call's.
    durazzo_cpu: float
    by_hand_cpu: float
    #: Redis' own time in scripts. Seconds over all steps.
    in_redis: float


def dissect(stage: Stage, runs: int) -> Anatomy:
    """Once without the stopwatch, for it costs time itself, and once with it."""
    process, shop = build(stage.durazzo.wiring), Shop(stage.settings)
    process.pulse.start()
    try:
        with stage.judged(4 * runs), _logging():
            _by_durazzo(process, _submitted(stage, runs))  # warm
            plain = _cpu_of(_by_durazzo, process, _submitted(stage, runs))
            spent, refs = Spent(), _submitted(stage, runs)
            stage.redis.config_resetstat()
            with _stopwatch(process, spent):
                _by_durazzo(process, refs, spent)
            in_redis = stage.redis.info("commandstats")["cmdstat_evalsha"]["usec"] / 1e6
            by_hand = _cpu_of(_by_hand, shop, stage.orders(runs))
    finally:
        stage.redis.delete(*lists(_LANE))
        process.stop()
        shop.close()
    steps = 2 * runs
    return Anatomy(
        steps=steps, durazzo=spent, durazzo_cpu=plain / steps, by_hand_cpu=by_hand / steps,
        in_redis=in_redis,
    )  # fmt: skip


def _submitted(stage: Stage, runs: int) -> list[Ref]:
    """Steps in the order in which a worker would come to them. Their messages nobody takes."""
    team, steps = stage.durazzo, [step.id for step in stage.durazzo.plan.steps]
    started = [
        submit(team.wiring.core, team.plan, inputs_of(order), lane=_LANE)
        for order in stage.orders(runs)
    ]
    return [Ref(run.id, step, 1) for run in started for step in steps]


def _by_durazzo(process: Process, refs: Sequence[Ref], spent: Spent | None = None) -> None:
    """``spent``: measures each attempt as well, and so what is between its parts."""
    drive = process.attempt.drive if spent is None else spent.around(REST, process.attempt.drive)
    followers = {ref.run: frozenset({(ref.step, 1)}) for ref in refs}
    for ref in refs:
        # As in a chain: Celery itself sends the successor.
        told = drive(ref, followers[ref.run])
        if told.said is not Said.GO_ON:
            raise BenchBroken(f"{ref.step}: {told.said} {told.code}")


def _by_hand(shop: Shop, orders: Sequence[Order]) -> None:
    for order in orders:
        plain = asdict(order)
        shop.charge(plain)
        shop.text(plain)


def _cpu_of(work: Callable[..., None], *given: Any) -> float:
    before = time.process_time()
    work(*given)
    return time.process_time() - before


@contextmanager
def _stopwatch(process: Process, spent: Spent) -> Iterator[None]:
    """Measures the parts where they are looked up. A name that is gone raises AttributeError."""
    core = process.wiring.core
    places: list[tuple[Any, str, str]] = [
        (core.journal, "claim", CLAIM),
        (attempt, "render", RENDER),
        (Credentials, "authorize", AUTHORIZE),
        (core.journal, "begin", BEGIN),
        (process.caller, "call", CALL),
        (provider, "classify", CLASSIFY),
        (provider, "judge", JUDGE),
        (landing, "advance", ADVANCE),
        (core.journal, "commit", COMMIT),
        (landing, "_log", LOG),
        (process.wiring.canvas, "announce", ANNOUNCE),
        (core.journal, "settle", SETTLE),
    ]
    with ExitStack() as stack:
        for owner, name, part in places:
            original = getattr(owner, name)
            stack.callback(setattr, owner, name, original)
            setattr(owner, name, spent.around(part, original))
        yield


class _Nowhere(io.TextIOBase):
    """Where logs go that nobody reads. Unlike a file it is never closed under a logger."""

    def write(self, text: str, /) -> int:
        return len(text)


@contextmanager
def _logging() -> Iterator[None]:
    """Events are written as in a worker, for nobody."""
    with redirect_stderr(_Nowhere()):
        logs.configure()
        yield
    structlog.reset_defaults()

"""What a storm will do, decided before it begins, by one seeded source of chance. Pure.

The same options and seed give the same schedule: the same customers at the same moments, the
same troubles for the same targets. What it does to them differs: real time is never the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

#: A JSON object, as ``POST /faults`` of the sandbox takes it.
Fault: TypeAlias = Mapping[str, object]
_What = TypeVar("_What", bound=StrEnum)


class Kind(StrEnum):
    CHILD = "kill-child"
    #: Without its children: they find out by themselves.
    MAIN = "kill-main"
    WORKER = "kill-worker"
    TERM = "terminate"
    FREEZE_CHILD = "freeze-child"
    FREEZE = "freeze-worker"
    REDIS = "kill-redis"
    CUT = "cut"
    #: Requests arrive, answers do not, and then the connections are cut.
    SWALLOW = "swallow-answers"
    STALL = "stall"
    REFUSE = "refuse"
    LIMIT = "429-storm"


class Instruction(StrEnum):
    """What a person says to a batch while it storms."""

    PAUSE = "pause"
    #: Some of the rows that have failed.
    RETRY = "retry"
    #: The same rows: there is that batch already.
    AGAIN = "start-again"


#: How often each is dealt, in a full deck.
PROCESSES: Final[Mapping[Kind, int]] = {
    Kind.CHILD: 4,
    Kind.WORKER: 3,
    Kind.FREEZE: 2,
    Kind.TERM: 2,
    Kind.FREEZE_CHILD: 1,
    Kind.MAIN: 1,
}
LINKS: Final[Mapping[Kind, int]] = {Kind.CUT: 2, Kind.STALL: 2, Kind.SWALLOW: 1, Kind.REFUSE: 1}
ORDERS: Final[Mapping[Instruction, int]] = {
    Instruction.PAUSE: 3, Instruction.RETRY: 1, Instruction.AGAIN: 1,
}  # fmt: skip
#: A batch has an instruction in so many seconds, and three at least.
_TALK: Final = 8
_PAUSED_FOR: Final = (0.5, 5.0)
#: Seconds, from and to.
_LASTS: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.FREEZE: (4.0, 8.0),
    Kind.FREEZE_CHILD: (4.0, 8.0),
    Kind.REDIS: (0.2, 3.0),
    Kind.STALL: (1.0, 6.0),
    Kind.SWALLOW: (0.1, 0.4),
    Kind.REFUSE: (0.5, 3.0),
}
#: So many calls are limited in a 429 storm, for each child that could make them; but never so
#: many that most runs see nothing else.
_LIMITED: Final = 15
#: Calls of a run that goes well.
_CALLS: Final[Mapping[str, int]] = {"charge-and-text": 2, "osop": 4}
#: How much of the workers' time the runs are to take, and what of a step's is not its call. ms.
_BUSY: Final = 0.7
_AROUND: Final = 90
#: What a call takes, from and to. ms.
_CALL: Final = (40, 400)
#: The last quarter brings no new customers.
_COMING: Final = 0.75
#: One in so many 500s of Stripe's is kept under its key, as Stripe keeps them.
_STORED: Final = 6
_DECLINED: Final = 0.15
_CANCELLED: Final = 0.04
_PAUSED: Final = 0.04
_TWICE: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    seed: int
    runs: int = 2000
    workers: int = 2
    #: Children of each worker.
    children: int = 2
    workflow: str = "charge-and-text"
    #: The runs are the rows of one batch, so many of them busy at a time.
    batch: bool = False
    window: int = 50
    kills: int = 30
    redis_kills: int = 3
    cuts: int = 15
    #: Each a share of the calls.
    dropped_after: float = 0.03
    dropped_before: float = 0.01
    failing: float = 0.03
    dripping: float = 0.005
    limited: bool = True
    #: Processes are struck with these only; none: with all.
    only: tuple[Kind, ...] = ()
    #: Every kill of Redis is a power cut: it takes what was not on the disk yet, acknowledged or
    #: not.
    power_cuts: bool = False
    #: What must not be lost is waited for until it is on the disk.
    barrier: bool = False
    #: How long the storm lasts; 0: as ``seconds`` finds it good. s.
    storm: float = 0
    #: Everything ends after so long.
    minutes: float = 10
    #: Calls that are parked are waited for so long, because they may be looked up. s.
    look_ups: float = 100
    #: After this without a heartbeat a worker has lost its leases. In earnest: six. s.
    heartbeat: float = 1.5
    #: A mutation that the workers run with.
    broken: str = ""

    @property
    def seconds(self) -> float:
        """The storm's length: a trouble at a time, and no more runs than workers can drive."""
        if self.storm:
            return self.storm
        strikes = 1.2 * self.kills + 3 * self.redis_kills + self.cuts
        return round(max(12.0, strikes, self.runs / (5 * self.workers * self.children)), 1)

    @property
    def forgetful(self) -> bool:
        """Power is cut, and nobody waits for the disk: what was acknowledged may be lost."""
        return self.power_cuts and not self.barrier

    @property
    def call_ms(self) -> int:
        """What a call takes: so long that workers are busy, and troubles find calls under way."""
        calls = _CALLS[self.workflow] * self.runs
        each = 1000 * _COMING * self.seconds * self.workers * self.children / calls
        shortest, longest = _CALL
        return round(min(longest, max(shortest, _BUSY * each - _AROUND)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    number: int
    #: Seconds after the storm begins.
    at: float
    declined: bool = False
    #: "cancel" or "pause", this long after the run was submitted.
    control: str = ""
    after: float = 0
    #: A pause ends after this.
    paused: float = 0
    #: Submitted a second time, under the same run key; of a batch's row, by itself as well.
    twice: bool = False

    @property
    def key(self) -> str:
        return f"order-{self.number}"

    @property
    def phone(self) -> str:
        return f"+1555{self.number:07}"

    @property
    def amount(self) -> int:
        """Of their own, so that nobody's charge is taken for another's."""
        return 1000 + self.number

    @property
    def card(self) -> str:
        broke = "pm_card_visa_chargeDeclinedInsufficientFunds"
        return broke if self.declined else "pm_card_visa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    #: Seconds after the storm begins.
    at: float
    what: Kind
    #: Of a worker, a worker's child, a link, by number: see ``target``.
    which: int = 0
    #: Until it is over.
    seconds: float = 0

    def target(self, options: Options) -> str:
        match self.what:
            case Kind.CHILD | Kind.FREEZE_CHILD:
                worker, child = divmod(self.which, options.children)
                return f"worker {worker}, child {child}"
            case Kind.MAIN | Kind.WORKER | Kind.TERM | Kind.FREEZE:
                return f"worker {self.which}"
            case Kind.REDIS:
                return "redis"
            case Kind.LIMIT:
                return "providers"
            case _:
                return link_names(options.workers)[self.which]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An instruction, to a batch."""

    #: Seconds after the storm begins.
    at: float
    what: Instruction
    #: A pause ends after this.
    seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    options: Options
    customers: Sequence[Customer]
    strikes: Sequence[Strike]
    #: At the sandbox, from the beginning to the end of the storm.
    faults: Sequence[Fault]
    #: None where there is no batch.
    orders: Sequence[Order] = ()

    def as_json(self) -> dict[str, object]:
        strikes = [
            {"at": s.at, "what": s.what, "target": s.target(self.options), "seconds": s.seconds}
            for s in self.strikes
        ]
        return {
            "options": asdict(self.options),
            "seconds": self.options.seconds,
            "strikes": strikes,
            "faults": [dict(fault) for fault in self.faults],
            "orders": [asdict(order) for order in self.orders],
            "customers": [asdict(customer) for customer in self.customers],
        }


def link_names(workers: int) -> list[str]:
    """Each worker has its own line to Redis and to the providers; who submits has one as well."""
    lines = ((f"worker {n} to redis", f"worker {n} to providers") for n in range(workers))
    return [*(name for pair in lines for name in pair), "submitter to redis"]


def schedule(options: Options) -> Schedule:
    chance = random.Random(options.seed)  # noqa: S311 - a plan, not a secret
    return Schedule(
        options=options,
        customers=tuple(_customers(options, chance)),
        strikes=tuple(sorted(_strikes(options, chance), key=_moment)),
        faults=tuple(_faults(options, chance)),
        orders=tuple(sorted(_orders(options, chance), key=_moment)) if options.batch else (),
    )


def _moment(one: Strike | Order) -> float:
    return one.at


def _customers(options: Options, chance: random.Random) -> Iterator[Customer]:
    moments = sorted(chance.uniform(0, _COMING * options.seconds) for _ in range(options.runs))
    for number, at in enumerate(moments):
        dice = chance.random()
        control = "cancel" if dice < _CANCELLED else "pause" if dice < _CANCELLED + _PAUSED else ""
        yield Customer(
            number=number,
            at=round(at, 3),
            declined=chance.random() < _DECLINED,
            control=control,
            after=round(chance.uniform(0, 1.0), 3) if control else 0,
            paused=round(chance.uniform(0.5, 6.0), 3) if control == "pause" else 0,
            twice=chance.random() < _TWICE,
        )


def _strikes(options: Options, chance: random.Random) -> Iterator[Strike]:
    processes = {k: n for k, n in PROCESSES.items() if not options.only or k in options.only}
    children = options.workers * options.children
    for what in _dealt(processes, options.kills, chance):
        several = what in {Kind.CHILD, Kind.FREEZE_CHILD}
        yield _strike(options, chance, what, children if several else options.workers)
    for _ in range(options.redis_kills):
        yield _strike(options, chance, Kind.REDIS, 1)
    for what in _dealt(LINKS, options.cuts, chance):
        yield _strike(options, chance, what, len(link_names(options.workers)))
    if options.limited:
        yield _strike(options, chance, Kind.LIMIT, 1)


def _strike(options: Options, chance: random.Random, what: Kind, targets: int) -> Strike:
    at = chance.uniform(1.0, 0.95 * options.seconds)
    return Strike(
        at=round(at, 3),
        what=what,
        which=chance.randrange(targets),
        seconds=round(chance.uniform(*_LASTS.get(what, (0, 0))), 3),
    )


def _orders(options: Options, chance: random.Random) -> Iterator[Order]:
    number = max(len(ORDERS), round(options.seconds / _TALK))
    for what in _dealt(ORDERS, number, chance):
        # Early: while rows are to become runs yet.
        at = chance.uniform(1.0, _COMING * options.seconds)
        lasts = chance.uniform(*_PAUSED_FOR) if what is Instruction.PAUSE else 0
        yield Order(at=round(at, 3), what=what, seconds=round(lasts, 3))


def _dealt(weights: Mapping[_What, int], number: int, chance: random.Random) -> Iterator[_What]:
    """From a shuffled deck, and another when it is used up: also a few are a mixture."""
    deck: list[_What] = []
    for _ in range(number):
        if not deck:
            # Each kind once on top, so that none is missing from a short storm by its weight.
            first, rest = list(weights), [k for k, n in weights.items() for _ in range(n - 1)]
            chance.shuffle(first)
            chance.shuffle(rest)
            deck = rest + first
        yield deck.pop()


def _faults(options: Options, chance: random.Random) -> Iterator[Fault]:
    def often(match: str, do: str, share: float, **more: object) -> Fault:
        seed = chance.randrange(2**31)
        return {
            "match": match, "do": do, "times": None, "probability": share, "seed": seed, **more,
        }  # fmt: skip

    stored = options.failing / _STORED
    before = options.call_ms // 3
    yield {"match": "*", "do": "latency", "ms": before, "times": None}
    after = options.call_ms - before
    yield {"match": "*", "do": "latency", "ms": after, "after": True, "times": None}
    yield often("POST *", "drop_after", options.dropped_after)
    yield often("*", "drop_before", options.dropped_before)
    yield often("POST /stripe/*", "stored_status", stored, status=500)
    yield often("*", "status", options.failing, status=503)
    yield often("*", "drip", options.dripping, ms=2)


def limits(options: Options) -> Fault:
    """A 429 storm: so many calls are refused, whosever they are."""
    times = max(1, min(_LIMITED * options.workers * options.children, options.runs // 4))
    headers = {"Retry-After": "1"}
    return {"match": "*", "do": "status", "status": 429, "headers": headers, "times": times}

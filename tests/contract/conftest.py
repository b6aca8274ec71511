"""One journal, over every server at hand: fakeredis, the bundled Valkey, and Redis if installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from orchestrator.engine.state import State
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from orchestrator.plan import codec
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Plan
from tests.fakes import plans
from tests.fakes.journal import CheckedJournal, Lease, take
from tests.fakes.servers import binaries, fake_redis, running

KEY = b"k" * 32


@dataclass
class World:
    """A journal on an empty server whose clock the test moves."""

    client: Any
    real: bool
    keys: Keys = field(default_factory=Keys)

    def __post_init__(self) -> None:
        self.raw = RedisJournal(self.client, AesSeal([KEY]), self.keys)
        self.journal = CheckedJournal(self.raw)

    def advance(self, ms: int) -> None:
        self.client.incrby(self.keys.clock, ms)

    def accept(self, flow: Plan, run: str = "run-1", **inputs: Json) -> Graph:
        new = plans.new_run(flow, run, inputs=dict(inputs))
        assert self.journal.accept(new).new
        return Graph(flow, codec.digest(new.plan))

    def take(self, graph: Graph, step: str, visit: int = 1, worker: str = "w1") -> Lease:
        self.journal.heartbeat(worker, ttl_ms=600_000)
        return take(self.journal, graph, Ref("run-1", step, visit), worker)

    def take_known(self, graph: Graph, state: State, step: str) -> Lease:
        """The lease of a claim that the test made itself."""
        return Lease(journal=self.raw, graph=graph, ref=Ref("run-1", step, 1), state=state)

    def due(self, run: str = "run-1") -> int | None:
        """ms until the run is looked at; None when it is not in the due-set."""
        score = self.client.zscore(self.keys.due, run)
        return None if score is None else round(score) - self.journal.now()

    def everything(self) -> list[bytes]:
        """Every key and every value in Redis."""
        found: list[bytes] = []
        for key in self.client.scan_iter():
            found.append(key)
            match self.client.type(key):
                case b"hash":
                    found += [part for pair in self.client.hgetall(key).items() for part in pair]
                case b"list":
                    found += self.client.lrange(key, 0, -1)
                case b"zset":
                    found += self.client.zrange(key, 0, -1)
                case b"string":
                    found.append(self.client.get(key))
                case other:
                    raise AssertionError(other)
        return found


def _servers() -> list[Any]:
    real = [pytest.param(name, marks=pytest.mark.server) for name in binaries()]
    return ["fakeredis", *real]


@pytest.fixture(scope="session")
def started() -> Iterator[dict[str, redis.Redis]]:
    """Real servers, each started when it is first asked for."""
    with ExitStack() as stack:
        yield _Started(stack)


class _Started(dict[str, redis.Redis]):
    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, name: str) -> redis.Redis:
        self[name] = self._stack.enter_context(running(binaries()[name]))
        return self[name]


@pytest.fixture(params=_servers())
def world(request: pytest.FixtureRequest, started: dict[str, redis.Redis]) -> Iterator[World]:
    if request.param == "fakeredis":
        with fake_redis() as client:
            yield World(client, real=False)
        return
    client = started[request.param]
    client.flushall()
    yield World(client, real=True)

"""Redis lost what it acknowledged: who remembers finds out, and then nothing is sent blindly."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from orchestrator.engine.state import LOST, REWOUND, UNSEEN, Phase, Result, Visit
from orchestrator.journal.port import GRACE, Began, Claimed, Committed, Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.graph import Graph
from tests.contract.conftest import KEY, World
from tests.fakes import plans
from tests.fakes.journal import Lease, carry_on, take
from tests.fakes.servers import binaries

A1 = Ref("run-1", "a", 1)
MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def another(world: World, *, guard: bool = True) -> RedisJournal:
    """As another process has it."""
    return RedisJournal(world.client, AesSeal([KEY]), world.keys, guard=guard)


def begins(world: World) -> int:
    return int(world.client.hget(world.keys.server, "begun") or 0)


def lose(world: World, begun: int = 0) -> None:
    """Of what Redis knew, the count is enough: whatever else was lost is the test's own."""
    world.client.hset(world.keys.server, "begun", begun)


def visit_of(world: World, step: str = "a") -> Visit:
    state = world.journal.read("run-1")
    assert state is not None
    return state.visits[step]


def held(world: World, graph: Graph, run: str, worker: str = "w1") -> Lease:
    """Without a heartbeat, unlike ``World.take``."""
    return take(world.journal, graph, Ref(run, "a", 1), worker)


def rewound(world: World) -> int:
    """Some text was begun, and Redis knows nothing of it. When that was found out."""
    other = world.accept(plans.linear("a"), "run-0")
    lease = held(world, other, "run-0")
    assert lease.begin(durable=True).verdict is Began.YES
    lose(world)
    world.advance(10)
    assert world.journal.heartbeat("w1", ttl_ms=600_000) == 1
    found = world.journal.rewound()
    assert found is not None
    return found.at


def test_calls_without_a_key_are_counted_and_others_are_not(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    assert begins(world) == 0
    lease.commit(Result.TRANSIENT, delay=0)
    assert world.take(graph, "a").begin(frozen=None, durable=True).verdict is Began.YES
    assert begins(world) == 1


def test_who_remembers_more_than_redis_finds_out_once_and_says_how_much(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    assert world.journal.rewound() is None
    assert world.take(graph, "a").begin(durable=True).verdict is Began.YES
    lose(world)
    other = another(world)
    assert other.heartbeat("w2", ttl_ms=60_000) == 0, "who came later remembers nothing"
    before = world.journal.now()
    assert world.journal.heartbeat("w1", ttl_ms=60_000) == 1
    found = world.journal.rewound()
    assert found is not None
    assert (found.missing, found.at >= before) == (1, True)
    assert world.journal.heartbeat("w1", ttl_ms=60_000) == 0
    assert other.heartbeat("w2", ttl_ms=60_000) == 0
    assert world.journal.rewound() == found


def test_who_has_only_heard_of_a_begin_can_tell_as_well(world: World) -> None:
    other = another(world)
    graph = world.accept(plans.linear("a"))
    world.take(graph, "a").begin(durable=True)
    other.heartbeat("w2", ttl_ms=60_000)
    lose(world)
    assert other.heartbeat("w2", ttl_ms=60_000) == 1


def test_a_begin_brings_what_its_process_remembers(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    world.take(graph, "a").begin(durable=True)
    lose(world)
    world.accept(plans.linear("a"), "run-2")
    begun = held(world, graph, "run-2").begin(durable=True)
    assert (begun.verdict, begun.missing) == (Began.REWOUND, 1)


def test_begins_of_others_since_a_restart_hide_no_loss(world: World) -> None:
    """What was told in an earlier life of the server is held against what this one began with."""
    if not world.real:
        pytest.skip("fakeredis has no run id")
    other = another(world)
    other.heartbeat("w2", ttl_ms=60_000)
    world.raw._heard([0, 1, b"feed"])
    graph = world.accept(plans.linear("a"))
    lease = held(world, graph, "run-1", worker="w2")
    lease.journal = other
    assert lease.begin(durable=True).verdict is Began.YES
    assert begins(world) == 1, "as many as are remembered"
    assert world.journal.heartbeat("w1", ttl_ms=60_000) == 1


def test_what_may_be_among_the_lost_is_parked_and_looked_up_with_its_request(
    world: World,
) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    at = rewound(world)
    begun = lease.begin(b"what is sent", durable=True)
    assert (begun.verdict, begun.attempt) == (Began.REWOUND, 0)
    visit = visit_of(world)
    assert (visit.phase, visit.doubt, visit.attempts) == (Phase.UNKNOWN, REWOUND, 0)
    assert (visit.code, visit.rewound, visit.until) == ("redis-rewound", at, at + 10_000)
    state = world.journal.read("run-1")
    assert state is not None
    assert visit.first == max(state.accepted, at - 10 * MINUTE)
    assert (world.due() or 0) <= 10_000
    assert world.journal.claim(A1, "w1").verdict is Claimed.UNKNOWN
    world.advance(10_000)
    claim = world.journal.claim(A1, "w1")
    assert (claim.verdict, claim.frozen) == (Claimed.YES, b"what is sent")


def test_a_lease_of_before_lands_nothing_on_one_that_was_given_since(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    world.take(graph, "a", worker="w2")
    for fence in range(lease.fence, lease.fence + 5):
        visits = {"a": replace(lease.visit, fence=fence)}
        lost = Lease(world.raw, graph, A1, replace(lease.state, visits=visits))
        assert lost.commit() is Committed.LOST


def test_after_a_search_that_found_nothing_it_is_sent_and_asked_about_no_more(
    world: World,
) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    again = world.take(graph, "a")
    assert again.look().verdict is Began.YES
    assert again.commit(Result.UNDONE, code="not-found", delay=0) is Committed.YES
    world.advance(1)
    anew = world.take(graph, "a")
    assert (anew.visit.doubt, anew.visit.first, anew.visit.began) == (0, 0, 0)
    assert anew.begin(frozen=None, durable=True).verdict is Began.YES


def test_what_could_not_be_asked_stays_in_the_same_doubt(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    again = world.take(graph, "a")
    again.look()
    assert again.commit(Result.UNKNOWN, code="not-looked-up", look=1_000) is Committed.YES
    assert visit_of(world).doubt == REWOUND


def test_sent_all_the_same_it_is_that_send_which_is_in_doubt(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    again = world.take(graph, "a")
    assert again.begin(frozen=None, durable=True).verdict is Began.YES
    assert visit_of(world).doubt == UNSEEN
    assert again.commit(Result.UNKNOWN, code="timeout") is Committed.YES
    assert visit_of(world).doubt == UNSEEN


def test_a_worker_that_dies_before_it_looks_leaves_the_doubt(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    world.take(graph, "a")
    world.journal.retire("w1")
    assert world.take(graph, "a", worker="w2").visit.doubt == REWOUND


def test_a_call_that_goes_out_and_dies_is_lost_like_any_other(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    rewound(world)
    world.advance(8 * DAY)
    world.accept(plans.linear("a"), "run-2")
    held(world, graph, "run-2").begin(durable=True)
    world.journal.retire("w1")
    assert held(world, graph, "run-2", worker="w2").visit.doubt == LOST


def test_a_step_that_the_run_comes_to_afterwards_is_looked_up_as_well(world: World) -> None:
    """What was lost may have held a charge and its text: both are come to again."""
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin()
    world.advance(MINUTE)
    lease.commit()
    assert world.take(graph, "b").begin(durable=True).verdict is Began.REWOUND
    visit = visit_of(world, "b")
    assert visit.first < visit.rewound < visit.entered_at
    assert visit.until <= world.journal.now(), "whoever was under way then is not any more"


def test_a_step_that_the_run_comes_to_a_week_later_is_not(world: World) -> None:
    graph = world.accept(plans.linear("a", "b"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin()
    lease.commit(Result.TRANSIENT, delay=8 * DAY)
    world.advance(8 * DAY)
    again = world.take(graph, "a")
    again.begin(frozen=None)
    again.commit()
    assert world.take(graph, "b").begin(durable=True).verdict is Began.YES


def test_calls_with_a_key_and_runs_of_since_go_on(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    assert lease.begin().verdict is Began.YES
    world.advance(1)
    world.accept(plans.linear("a"), "run-2")
    assert held(world, graph, "run-2").begin(durable=True).verdict is Began.YES


def test_another_loss_is_asked_about_anew(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.advance(10_000)
    again = world.take(graph, "a")
    again.look()
    again.commit(Result.UNDONE, delay=0)
    lose(world)
    world.advance(1)
    assert world.journal.heartbeat("w1", ttl_ms=600_000) == 1
    assert world.take(graph, "a").begin(frozen=None, durable=True).verdict is Began.REWOUND


def test_a_cancelled_run_ends_by_what_the_search_finds(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.begin(durable=True)
    world.journal.control("run-1", "cancel", by="ops", reason="")
    carry_on(world.journal, graph, "run-1")
    world.advance(10_000)
    again = world.take(graph, "a")
    again.look()
    assert again.commit(Result.UNDONE, delay=0) is Committed.YES
    state = world.journal.read("run-1")
    assert state is not None
    assert (state.end, state.visits["a"].phase) == ("cancelled", Phase.CANCELLED)


def test_a_retried_step_says_when_the_run_came_to_it(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    lease.begin()
    lease.commit(Result.FINAL, code="refused")
    world.advance(MINUTE)
    assert world.journal.reopen("run-1", "a", 1, by="ops", reason="") == 2
    state = world.journal.read("run-1")
    assert state is not None
    assert state.visits["a"].entered_at >= state.accepted + MINUTE


def test_redis_clock_going_back_holds_nothing_up_for_long(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    world.client.hset(world.keys.server, "since", world.journal.now() + DAY)
    assert lease.begin(durable=True).verdict is Began.REWOUND
    world.advance(10_000)
    again = world.take(graph, "a")
    again.look()
    again.commit(Result.UNDONE, delay=0)
    world.advance(GRACE)
    assert world.take(graph, "a").begin(frozen=None, durable=True).verdict is Began.YES


def test_unwatched_nothing_is_counted_and_what_was_found_out_holds(world: World) -> None:
    graph = world.accept(plans.linear("a"))
    lease = world.take(graph, "a")
    rewound(world)
    lease.journal = another(world, guard=False)
    before = world.client.hgetall(world.keys.server)
    assert lease.journal.heartbeat("w1", ttl_ms=60_000) == 0
    assert lease.begin(durable=True).verdict is Began.REWOUND
    world.accept(plans.linear("a"), "run-2")
    fresh = held(world, graph, "run-2")
    fresh.journal = lease.journal
    assert fresh.begin(durable=True).verdict is Began.YES
    assert world.client.hgetall(world.keys.server) == before


# Restarts.


class Server:
    """One that falls back to its last snapshot when it is killed."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(unix_socket_path=str(folder / "s"), socket_timeout=20)

    def start(self) -> None:
        words = [
            self._binary, "--port", "0", "--unixsocket", str(self._folder / "s"),
            "--dir", str(self._folder), "--appendonly", "no", "--save", "",
        ]  # fmt: skip
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with suppress(redis.ConnectionError):
                self.client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()


@contextmanager
def server(name: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="dz-") as folder:
        found = Server(binaries()[name], Path(folder))
        try:
            found.start()
            yield found
        finally:
            found.client.close()
            found.kill()


@pytest.fixture(params=sorted(binaries()))
def mortal(request: pytest.FixtureRequest) -> Iterator[tuple[World, Server]]:
    with server(request.param) as found:
        yield World(found.client, real=True), found


@pytest.mark.server
def test_the_first_life_that_a_journal_sees_is_no_restart(mortal: tuple[World, Server]) -> None:
    world, _ = mortal
    graph = world.accept(plans.linear("a"))
    assert world.take(graph, "a").begin(durable=True).verdict is Began.YES


@pytest.mark.server
def test_after_a_restart_calls_without_a_key_wait_until_every_worker_is_heard(
    mortal: tuple[World, Server],
) -> None:
    world, redis_server = mortal
    graph = world.accept(plans.linear("a"))
    world.accept(plans.linear("a"), "run-2")
    world.journal.heartbeat("w1", ttl_ms=600_000)
    world.client.save()
    redis_server.restart()
    lease = world.take(graph, "a")
    begun = lease.begin(durable=True)
    assert begun.verdict is Began.LIMITED
    assert 0 < begun.until - begun.now <= GRACE
    assert visit_of(world).phase is Phase.WAITING
    assert (world.due() or 0) <= GRACE
    assert held(world, graph, "run-2").begin().verdict is Began.YES, "it has a key"
    world.advance(GRACE)
    assert world.take(graph, "a").begin(durable=True).verdict is Began.YES


@pytest.mark.server
def test_a_text_whose_begin_was_lost_is_looked_up_before_it_is_sent_again(
    mortal: tuple[World, Server],
) -> None:
    world, redis_server = mortal
    graph = world.accept(plans.linear("a"))
    world.journal.heartbeat("w1", ttl_ms=600_000)
    other = another(world)
    other.heartbeat("w2", ttl_ms=600_000)
    world.client.save()
    assert world.take(graph, "a").begin(durable=True).verdict is Began.YES
    redis_server.restart()
    # Who did not send it is first, but begins nothing yet.
    stranger = held(world, graph, "run-1", worker="w2")
    stranger.journal = other
    assert stranger.begin(durable=True).verdict is Began.LIMITED
    assert world.journal.heartbeat("w1", ttl_ms=600_000) == 1
    world.advance(GRACE)
    late = world.take(graph, "a", worker="w2")
    late.journal = other
    assert late.begin(durable=True).verdict is Began.REWOUND

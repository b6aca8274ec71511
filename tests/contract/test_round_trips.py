"""What a step costs: three round trips to Redis, claim, begin and commit, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from orchestrator.driver import Driver, Plans
from orchestrator.engine.state import Status
from orchestrator.journal.port import Ref
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal
from orchestrator.plan.model import Plan
from orchestrator.wiring import load_profiles
from tests.fakes import plans
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.provider import Provider
from tests.fakes.servers import script_flags
from tests.fakes.world import SECRETS, Broker
from workers.attempt import Attempt
from workers.credentials import Credentials
from workers.told import Said


class CountingRedis(fakeredis.FakeRedis):
    """Notes each round trip: one command, or one pipeline."""

    trips: list[str]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.trips.append(str(args[0]))
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, *args: Any, **options: Any) -> Any:
        self.trips.append("PIPELINE")
        return super().pipeline(*args, **options)


def three_steps() -> Plan:
    return plans.plan(
        plans.charge("charge", plans.to("text")),
        plans.text("text", plans.to("receipt"), of="charge"),
        plans.text("receipt", of="charge"),
    )


@pytest.fixture
def client() -> Iterator[CountingRedis]:
    client = CountingRedis(server=fakeredis.FakeServer(version=(7, 0)))
    client.trips = []
    with script_flags():
        yield client


def drive(client: CountingRedis, journal: RedisJournal, run: str, attempt: Attempt) -> list[int]:
    """Round trips of each step of a run."""
    flow = three_steps()
    journal.accept(plans.new_run(flow, run, inputs={"order": run, "amount": 1}))
    journal.heartbeat("w1", ttl_ms=60_000)
    costs = []
    names = [step.id for step in flow.steps]
    for name, following in zip(names, [*names[1:], ""], strict=True):
        client.trips.clear()
        carried = {(following, 1)} if following else set()
        assert attempt.drive(Ref(run, name, 1), carried).said is Said.GO_ON
        costs.append(len(client.trips))
    return costs


def test_a_step_is_three_round_trips_and_the_last_one_pays_the_runs_duties(
    client: CountingRedis,
) -> None:
    journal = RedisJournal(client, AesSeal([b"k" * 32]))
    broker, clock = Broker(), ManualClock()
    plan_cache = Plans(journal)
    attempt = Attempt(
        worker="w1",
        journal=journal,
        plans=plan_cache,
        driver=Driver(journal, plan_cache, broker),
        profiles=load_profiles(),
        credentials=Credentials(SECRETS),
        caller=Provider(clock),  # type: ignore[arg-type]
        servers={},
        clock=clock,
        entropy=SeededEntropy(),
    )
    # The first run of a process loads the scripts and the plan.
    drive(client, journal, "run-0", attempt)
    assert drive(client, journal, "run-1", attempt) == [3, 3, 3 + 1]
    state = journal.read("run-1")
    assert state is not None
    assert (state.status, state.outbox) == (Status.SUCCEEDED, "")
    assert broker.queue == [], "the chain carried every step on"


def test_an_accept_is_one_round_trip(client: CountingRedis) -> None:
    journal = RedisJournal(client, AesSeal([b"k" * 32]))
    journal.accept(plans.new_run(three_steps(), "run-0", key=("f", "warm")))
    client.trips.clear()
    journal.accept(plans.new_run(three_steps(), "run-1", key=("f", "k")))
    assert client.trips == ["EVALSHA"]


def test_a_redelivered_message_is_one_round_trip_and_calls_nobody(client: CountingRedis) -> None:
    journal = RedisJournal(client, AesSeal([b"k" * 32]))
    provider, plan_cache = Provider(ManualClock()), Plans(journal)
    attempt = Attempt(
        worker="w1",
        journal=journal,
        plans=plan_cache,
        driver=Driver(journal, plan_cache, Broker()),
        profiles=load_profiles(),
        credentials=Credentials(SECRETS),
        caller=provider,  # type: ignore[arg-type]
        servers={},
        clock=ManualClock(),
        entropy=SeededEntropy(),
    )
    drive(client, journal, "run-0", attempt)
    sent = len(provider.sent)
    for step in ("charge", "text", "receipt"):
        client.trips.clear()
        attempt.drive(Ref("run-0", step, 1))
        assert client.trips == ["EVALSHA"]
    assert len(provider.sent) == sent

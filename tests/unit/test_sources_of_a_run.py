"""A run in flight never sees a changed description: its plan holds what it calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.clock import Clock
from orchestrator.driver import Driver, Plans
from orchestrator.expressions.nodes import Constant
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import NoSeal
from orchestrator.plan import codec
from orchestrator.plan.model import Plan
from orchestrator.service import Core, submit, validate
from orchestrator.settings import from_environ
from orchestrator.wiring import load_profiles
from tests.fakes.batching import no_batches
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.servers import fake_redis
from tests.fakes.world import Broker
from tests.unit.formats.loading import SHOP, arazzo
from tests.unit.formats.web.site import Site, open_site

STEPS = """
      - stepId: order
        operationId: createOrder
"""


@pytest.fixture
def core() -> Iterator[Core]:
    with fake_redis() as client:
        journal = RedisJournal(client, NoSeal())
        plans = Plans(journal)
        yield Core(
            journal=journal,
            plans=plans,
            driver=Driver(journal, plans, Broker()),
            profiles=load_profiles(),
            **no_batches(plans),
            clock=ManualClock(),
            entropy=SeededEntropy(),
        )


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        opened.put("/shop.yaml", SHOP)
        yield opened


def plan_of(folder: Path, site: Site, clock: Clock) -> Plan:
    file = folder / "flow.yaml"
    file.write_text(arazzo(STEPS).replace("shop.yaml", f"{site.url}/shop.yaml"))
    settings = from_environ({
        "DURAZZO_HOME": str(folder / "home"),
        "DURAZZO_SOURCE_HOSTS": site.host,
    })
    return validate(file, load_profiles().values(), settings=settings, clock=clock).plan


def test_a_submitted_run_keeps_its_operations_when_the_description_changes(
    core: Core, site: Site, tmp_path: Path
) -> None:
    clock = ManualClock()
    run = submit(core, plan_of(tmp_path, site, clock), {})
    state = core.journal.read(run.id)
    assert state is not None
    stored = core.journal.plan(state.plan)

    site.put("/shop.yaml", SHOP.replace("/orders:", "/v2/orders:"))
    clock.advance(24 * 3_600_000)
    changed = plan_of(tmp_path, site, clock)

    assert codec.digest(codec.encode(changed)) != state.plan
    assert changed.step("order").call.path == (Constant("/v2/orders"),)
    # As a worker that has never seen the run: the journal alone tells it what to call.
    asked = len(site.asked)
    assert core.journal.plan(state.plan) == stored
    graph = Plans(core.journal).graph(state.plan)
    assert graph.plan.step("order").call.path == (Constant("/orders"),)
    assert len(site.asked) == asked


def test_a_description_that_changed_elsewhere_gives_the_same_plan(
    site: Site, tmp_path: Path
) -> None:
    clock = ManualClock()
    before = plan_of(tmp_path, site, clock)
    site.put("/shop.yaml", SHOP.replace("getOrder", "fetchOrder"))
    clock.advance(24 * 3_600_000)
    assert codec.encode(plan_of(tmp_path, site, clock)) == codec.encode(before)
    assert len(site.asked) == 2

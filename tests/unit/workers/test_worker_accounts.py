"""Runs of several accounts in one worker: each is called by its own, or by none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.engine.state import Phase, Status
from orchestrator.errors import SettingsRefused
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Pace
from orchestrator.wiring import limited, load_profiles
from tests.fakes import plans
from tests.fakes.world import World

CHARGE = plans.plan(plans.charge("charge"))
TEXT = plans.plan(plans.text("text"))
STRIPE = load_profiles()["stripe"]
#: Longer than any first look-up waits. ms.
LATER = 130_000


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    found.secrets["STRIPE_SECRET_KEY__EU"] = "sk_test_eu"
    yield found
    found.check()
    found.close()


def deliver_all(world: World) -> None:
    while world.broker.queue:
        world.deliver()


def test_each_run_is_called_by_the_account_that_it_names(world: World) -> None:
    world.submit(CHARGE, accounts="stripe=eu")
    world.submit(CHARGE)
    deliver_all(world)
    assert world.provider.authorized == ["Bearer sk_test_eu", "Bearer sk_test_x"]


def test_a_label_without_a_secret_calls_nobody_and_says_which_is_missing(world: World) -> None:
    """The usual account, whose secret is there, is another one."""
    run = world.submit(CHARGE, accounts="stripe=ue")
    deliver_all(world)
    assert world.provider.authorized == []
    visit = world.state(run).visits["charge"]
    assert (visit.phase, visit.code) == (Phase.WAITING, "credential-missing")
    assert visit.detail == "STRIPE_SECRET_KEY__UE"
    world.secrets["STRIPE_SECRET_KEY__UE"] = "sk_test_ue"
    world.pass_time(60_000)
    world.heal()
    assert world.provider.authorized == ["Bearer sk_test_ue"]


def test_what_is_in_doubt_is_looked_up_in_the_account_that_was_called(world: World) -> None:
    world.secrets |= {"TWILIO_ACCOUNT_SID__MAIN": "AC2", "TWILIO_AUTH_TOKEN__MAIN": "t2"}
    run = world.submit(TEXT, accounts="twilio=main")
    world.deliver(weather="dropped-after")
    assert world.state(run).status is Status.UNKNOWN
    world.pass_time(LATER)
    world.workers[0].timekeeper.tick()
    deliver_all(world)
    assert world.state(run).status is Status.SUCCEEDED
    assert world.provider.looked
    assert set(world.provider.authorized) == {"Basic QUMyOnQy"}


def test_an_account_that_is_refused_pauses_no_other(world: World) -> None:
    refused = world.submit(CHARGE, accounts="stripe=eu")
    world.deliver(weather="401")
    assert world.state(refused).status is Status.WAITING
    assert world.client.hexists(Keys().limit("stripe/account@eu"), "until")
    assert not world.client.hexists(Keys().limit("stripe/account"), "until")
    usual = world.submit(CHARGE)
    deliver_all(world)
    assert world.state(usual).status is Status.SUCCEEDED
    world.heal()


def test_an_account_takes_nothing_of_anothers_rate(world: World) -> None:
    world.submit(CHARGE, accounts="stripe=eu")
    deliver_all(world)
    scopes = {key.decode() for key in world.client.keys("*limit:*")}
    names = ("account@eu", "payment-intents-create@eu")
    assert scopes == {Keys().limit(f"stripe/{name}") for name in names}


def test_a_stopped_provider_is_stopped_in_all_its_accounts(world: World) -> None:
    world.journal.stop("stripe", by="ops", reason="")
    for accounts in ("", "stripe=eu"):
        world.submit(CHARGE, accounts=accounts)
    deliver_all(world)
    assert world.provider.authorized == []
    pace = Pace(batch=10, spacing_us=1_000, spread_ms=1_000)
    world.raw.go_on("stripe", by="ops", reason="", pace=pace)
    world.heal()


def rates(label: str, **given: float) -> list[float]:
    profile = limited({"stripe": STRIPE}, given, live=True)["stripe"].of_account(label)
    return [limit.per_second for limit in profile.limits[:2]]


def test_an_accounts_rate_may_be_set_and_is_its_providers_otherwise() -> None:
    account, create = (limit.per_second for limit in STRIPE.limits[:2])
    own = {"stripe/account@eu": 10.0}
    assert rates("eu", **own) == [10, create]
    assert rates("us", **own) == [account, create]
    assert rates("us", **own, **{"stripe/account": 30}) == [30, create]
    assert rates("eu", **own, **{"stripe/account": 30}) == [10, create]


@pytest.mark.parametrize("name", ["stripe/nothing@eu", "stripe/account@", "stripe/account@EU"])
def test_a_rate_of_no_limit_or_no_label_is_refused(name: str) -> None:
    with pytest.raises(SettingsRefused, match="DURAZZO_LIMITS"):
        limited({"stripe": STRIPE}, {name: 1.0})

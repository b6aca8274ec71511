"""page: all runs, newest first, in parts; and what is done to many of them."""

from __future__ import annotations

from functools import partial

import pytest

from orchestrator.driver import Driver, Plans
from orchestrator.engine.state import Phase, Result, State, Status
from orchestrator.errors import JournalUnavailable, NotInDoubt, UnknownRun
from orchestrator.journal.port import Ref
from orchestrator.service import Core, Filter, cancel, each, pause, resume, retry, select
from orchestrator.service.many import begins_more, ended_badly, goes_on, is_paused
from orchestrator.wiring import load_profiles
from tests.contract.conftest import World
from tests.fakes import plans
from tests.fakes.batching import no_batches
from tests.fakes.clock import ManualClock, SeededEntropy
from tests.fakes.journal import take
from tests.fakes.world import Broker


def paged(world: World, size: int, *, since: int = 0, until: int | None = None) -> list[str]:
    found: list[str] = []
    after, until = "", world.journal.now() if until is None else until
    while rows := world.journal.page(after=after, until=until, since=since, limit=size):
        found += [row.run for row in rows]
        after, until = rows[-1].run, rows[-1].accepted
    return found


def accepted(world: World, *runs: str, ms: int = 10) -> None:
    for run in runs:
        world.accept(plans.linear("a"), run)
        world.advance(ms)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_every_run_is_on_one_page_newest_first(world: World, size: int) -> None:
    accepted(world, "r1", "r2", "r3", "r4")
    assert paged(world, size) == ["r4", "r3", "r2", "r1"]


def test_a_page_holds_only_what_was_accepted_in_its_time(world: World) -> None:
    accepted(world, "r1", "r2", "r3", ms=1_000)
    (middle,) = [row for row in rows(world) if row[0] == "r2"]
    assert paged(world, 1, since=middle[1]) == ["r3", "r2"]
    assert paged(world, 1, until=middle[1]) == ["r2", "r1"]


def rows(world: World) -> list[tuple[str, int]]:
    found = world.journal.page(until=world.journal.now(), since=0, limit=100)
    return [(row.run, row.accepted) for row in found]


def test_runs_accepted_meanwhile_shift_no_page(world: World) -> None:
    accepted(world, "r1", "r2", "r3")
    until = world.journal.now()
    first = world.journal.page(until=until, since=0, limit=2)
    accepted(world, "r4", "r5")
    last = first[-1]
    (rest,) = world.journal.page(after=last.run, until=last.accepted, since=0, limit=2)
    assert [row.run for row in (*first, rest)] == ["r3", "r2", "r1"]


def test_a_run_removed_meanwhile_ends_no_page(world: World) -> None:
    accepted(world, "r1", "r2", "r3", "r4")
    until = world.journal.now()
    first = world.journal.page(until=until, since=0, limit=2)[-1]
    world.client.zrem(world.keys.runs, first.run)
    world.client.delete(world.keys.run("r2"))
    rest = world.journal.page(after=first.run, until=first.accepted, since=0, limit=5)
    assert [(row.run, row.state is None) for row in rest] == [("r2", True), ("r1", False)]


# Many.


def core_of(world: World) -> Core:
    cache = Plans(world.raw)
    return Core(
        journal=world.journal,
        plans=cache,
        driver=Driver(world.journal, cache, Broker()),
        profiles=load_profiles(),
        **no_batches(cache),
        clock=ManualClock(),
        entropy=SeededEntropy(),
    )


def state_of(world: World, run: str) -> State:
    state = world.journal.read(run)
    assert state is not None
    return state


def fail(world: World, run: str, code: str, effect: str = "") -> None:
    graph = world.accept(plans.linear("a"), run)
    world.journal.heartbeat("w1", ttl_ms=600_000)
    lease = take(world.journal, graph, Ref(run, "a", 1))
    lease.begin()
    lease.commit(Result.FINAL, code=code, effect=effect)


def test_a_filter_chooses_whose_runs_end(world: World) -> None:
    core = core_of(world)
    accepted(world, "r1", "r2")
    fail(world, "r3", "card_declined")
    act = partial(cancel, core, by="ops", reason="wrong batch", must=True)
    done = [*each(select(core, Filter(workflow="linear"), goes_on), act)]
    assert [(one.run, one.refused) for one in done] == []
    name = state_of(world, "r1").name
    done = [*each(select(core, Filter(workflow=name), goes_on), act)]
    assert [(one.run, one.refused) for one in done] == [("r2", None), ("r1", None)]
    assert state_of(world, "r3").status is Status.FAILED
    (control,) = [e for e in world.journal.history("r1", reasons=True) if e.kind == "control"]
    assert (control.fields["by"], control.fields["why"]) == ("ops", "wrong batch")


def test_a_refused_run_stops_no_other(world: World) -> None:
    core = core_of(world)
    for run in ("r1", "r2", "r3"):
        fail(world, run, "reset")
        world.advance(10)

    def act(run: str) -> object:
        if run == "r2":
            raise NotInDoubt("moved on")
        return retry(core, run, by="ops")

    done = [*each(select(core, Filter(), ended_badly), act)]
    refused = [(one.run, one.refused and one.refused.code) for one in done]
    assert refused == [("r3", None), ("r2", "not-in-doubt"), ("r1", None)]
    assert state_of(world, "r1").visits["a"].phase is Phase.READY


def test_a_run_that_ended_meanwhile_is_refused_and_stays(world: World) -> None:
    core = core_of(world)
    accepted(world, "r1")

    def act(run: str) -> object:
        cancel(core, run, by="eve")
        return cancel(core, run, by="ops", must=True)

    (one,) = each(select(core, Filter(), goes_on), act)
    assert one.refused is not None
    assert one.refused.code == "run-ended"


def test_a_journal_that_is_gone_is_no_refusal(world: World) -> None:
    core = core_of(world)
    accepted(world, "r1")

    def gone(_run: str) -> object:
        raise JournalUnavailable("gone")

    with pytest.raises(JournalUnavailable):
        list(each(select(core, Filter(), goes_on), gone))


def test_what_was_accepted_after_the_count_is_not_touched(world: World) -> None:
    core = core_of(world)
    accepted(world, "r1")
    selection = select(core, Filter(), goes_on)
    world.advance(10)
    accepted(world, "r2")
    assert selection.count() == 1
    list(each(selection, partial(pause, core, by="ops")))
    assert (state_of(world, "r1").paused, state_of(world, "r2").paused) == (True, False)


def test_the_latest_are_taken_up_to_a_limit(world: World) -> None:
    core = core_of(world)
    accepted(world, "r1", "r2", "r3")
    selection = select(core, Filter(), begins_more, limit=2)
    assert [one.run for one in each(selection, partial(pause, core, by="ops"))] == ["r3", "r2"]
    assert [run for run, _ in select(core, Filter(), is_paused).runs()] == ["r3", "r2"]
    assert len([*each(select(core, Filter(), is_paused), partial(resume, core, by="ops"))]) == 2
    assert select(core, Filter(), is_paused).count() == 0


def test_a_run_unheard_of_is_unknown(world: World) -> None:
    with pytest.raises(UnknownRun):
        cancel(core_of(world), "nobody", by="ops", must=True)

"""What a server's settings mean for runs: what is refused, what is said, what is fine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import RedisUnfit
from orchestrator.journal.durability import Durability
from orchestrator.journal.fitness import Grade, Judgement, judge, require_fit

GOOD = Durability(
    server="Redis 7.4.1",
    replica=False,
    aof=True,
    fsync="everysec",
    snapshots=False,
    failing=False,
    eviction="noeviction",
    used=1,
    limit=0,
    waitaof=True,
)


def judged(
    *, barrier: bool = False, allow_eviction: bool = False, **changes: Any
) -> dict[str, Judgement]:
    told = replace(GOOD, **changes)
    found = judge(told, barrier=barrier, allow_eviction=allow_eviction)
    return {one.name: one for one in found}


def unfit(found: dict[str, Judgement]) -> set[str]:
    return {name for name, one in found.items() if one.unfit}


def test_a_server_as_it_should_be_is_fit_and_has_nothing_to_be_done() -> None:
    found = judged(barrier=True)
    assert {one.grade for one in found.values()} == {Grade.OK}
    assert not any(one.hint for one in found.values())
    require_fit(list(found.values()))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"replica": True}, "role"),
        ({"eviction": "allkeys-lru", "limit": 1 << 30}, "eviction"),
        ({"eviction": "volatile-ttl", "limit": 1 << 30}, "eviction"),
        ({"barrier": True, "waitaof": False}, "barrier"),
        ({"barrier": True, "aof": False}, "barrier"),
        ({"server": "Redis 6.2.14"}, "version"),
    ],
)
def test_a_setting_that_breaks_a_promise_is_refused_with_what_to_do(
    changes: dict[str, Any], name: str
) -> None:
    found = judged(**changes)
    assert unfit(found) == {name}
    assert found[name].hint
    with pytest.raises(RedisUnfit) as caught:
        require_fit(list(found.values()))
    assert caught.value.exit_code == 4
    assert caught.value.message == f"{found[name].message}: {found[name].hint}"


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"aof": False, "snapshots": True}, "persistence", "since the last one"),
        ({"aof": False, "snapshots": False}, "persistence", "a restart loses every run"),
        ({"aof": False, "snapshots": None}, "persistence", "since the last snapshot"),
        ({"fsync": "no"}, "persistence", "half a minute"),
        ({"eviction": "allkeys-lru"}, "eviction", "no maxmemory is set"),
        ({"limit": 100, "used": 85}, "memory", "85%"),
    ],
)
def test_what_can_lose_something_is_said_and_not_refused(
    changes: dict[str, Any], name: str, said: str
) -> None:
    found = judged(**changes)
    assert found[name].grade is Grade.WARNING
    assert said in found[name].message
    assert unfit(found) == set()


@pytest.mark.parametrize(
    ("changes", "name"), [({"limit": 100, "used": 96}, "memory"), ({"failing": True}, "disk")]
)
def test_a_trouble_that_passes_stops_no_worker_from_waiting_for_its_end(
    changes: dict[str, Any], name: str
) -> None:
    found = judged(**changes)
    assert found[name].grade is Grade.ERROR
    assert unfit(found) == set()


def test_eviction_may_be_accepted_in_so_many_words() -> None:
    found = judged(eviction="allkeys-lru", limit=1 << 30, allow_eviction=True)
    assert found["eviction"].grade is Grade.WARNING
    assert unfit(found) == set()


@pytest.mark.parametrize("server", ["Redis 7.0.15", "Redis 10.0.0", "Valkey 9.1.2", "Redis x"])
def test_a_server_that_is_new_enough_or_unheard_of_is_tried(server: str) -> None:
    assert unfit(judged(server=server)) == set()


def test_what_the_server_does_not_say_is_unknown_and_refused_by_nobody() -> None:
    found = judge(Durability(), barrier=True, allow_eviction=False)
    assert {one.grade for one in found} == {Grade.UNKNOWN}
    require_fit(found)

"""What is live and what is ready, judged by what processes show of themselves."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from celery.worker import state as celery_state
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ops.lab import wait_for
from tests.fakes.clock import ManualClock
from workers import signs as shown
from workers.health import (
    CURRENT,
    FRESH,
    STILL,
    Phase,
    Role,
    Verdict,
    Vitals,
    born,
    file_of,
    folder,
    gone,
    judge,
    read,
)  # fmt: skip
from workers.signs import Signs

NOW: Final = 10_000_000
LONG: Final = NOW - STILL - 5_000

THREADS: Final = Vitals(
    role=Role.WORKER, pid=20, parent=1, born="", at=NOW, phase=Phase.WORKING, pulse=NOW,
    consumer=NOW, answering=LONG, leases=True, consuming=True,
)  # fmt: skip
PREFORK: Final = replace(
    THREADS, pulse=None, answering=None, leases=False, children=(21, 22)
)  # fmt: skip
CHILD: Final = replace(THREADS, role=Role.CHILD, parent=20, pid=21, consumer=None, consuming=False)
CHILDREN: Final = (CHILD, replace(CHILD, pid=22))
KEEPER: Final = replace(
    THREADS, role=Role.TIMEKEEPER, pid=30, consumer=None, consuming=False, leases=False
)
SUPERVISOR: Final = Vitals(
    role=Role.SUPERVISOR, pid=10, parent=1, born="", at=NOW, phase=Phase.WORKING, pulse=NOW - 4_000,
    children=(11, 12),
)  # fmt: skip
SUPERVISED: Final = (
    SUPERVISOR,
    replace(THREADS, pid=11, parent=10),
    replace(THREADS, pid=12, parent=10),
)


def one(*found: Vitals, role: Role = Role.WORKER, dead: frozenset[int] = frozenset()) -> Verdict:
    (verdict,) = judge(found, role, now=NOW, is_gone=lambda x: x.pid in dead)
    return verdict


def is_live(*found: Vitals, role: Role = Role.WORKER, dead: frozenset[int] = frozenset()) -> bool:
    return not one(*found, role=role, dead=dead).not_live


def is_ready(*found: Vitals, role: Role = Role.WORKER) -> bool:
    verdict = one(*found, role=role)
    return not verdict.not_live and not verdict.not_ready


@pytest.mark.parametrize(
    ("found", "role"),
    [
        ((THREADS,), Role.WORKER),
        ((PREFORK, *CHILDREN), Role.WORKER),
        (SUPERVISED, Role.WORKER),
        ((KEEPER,), Role.TIMEKEEPER),
    ],
    ids=["threads", "prefork", "several", "timekeeper"],
)
def test_what_works_is_live_and_ready(found: tuple[Vitals, ...], role: Role) -> None:
    assert is_live(*found, role=role)
    assert is_ready(*found, role=role)
    assert one(*found, role=role).processes == len(found)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("found", [SUPERVISED, (PREFORK, *CHILDREN)], ids=["several", "prefork"])
def test_a_frozen_process_is_not_live_whichever_it_is(
    found: tuple[Vitals, ...], place: int
) -> None:
    frozen = replace(found[place], at=NOW - FRESH - 1)
    others = [x for x in found if x.pid != frozen.pid]
    verdict = one(frozen, *others)
    assert len(verdict.not_live) == 1
    assert str(frozen.pid) in verdict.not_live[0]
    assert is_live(replace(frozen, at=NOW - FRESH), *others)


def test_what_was_shown_before_the_machine_was_started_again_is_not_live() -> None:
    assert not is_live(replace(THREADS, at=NOW + FRESH))


@pytest.mark.parametrize("pid", [11, 12])
def test_a_dead_child_that_is_not_replaced_is_not_live(pid: int) -> None:
    assert not is_live(*SUPERVISED, dead=frozenset({pid}))


def test_a_place_that_is_being_filled_again_is_live_and_not_ready() -> None:
    head = replace(SUPERVISOR, children=(11,), vacant=1)
    assert is_live(head, SUPERVISED[1], SUPERVISED[2], dead=frozenset({12}))
    assert not is_ready(head, SUPERVISED[1])


def test_a_pulse_that_stands_still_is_not_live() -> None:
    assert not is_live(replace(THREADS, pulse=NOW - STILL - 1))
    assert is_live(replace(THREADS, pulse=NOW - STILL))
    assert not is_live(replace(KEEPER, pulse=NOW - STILL - 1), role=Role.TIMEKEEPER)


def test_a_consumer_that_stands_still_though_redis_answers_is_not_live() -> None:
    still = replace(THREADS, consumer=NOW - STILL - 1)
    assert not is_live(still)
    assert not is_live(replace(PREFORK, consumer=NOW - STILL - 1), *CHILDREN)
    assert is_live(replace(still, answering=None)), "an outage holds it up"
    assert is_live(replace(still, answering=NOW - STILL)), "the outage is just over"


def test_without_redis_it_is_live_and_not_ready() -> None:
    away = replace(THREADS, answering=None, leases=False, consuming=False, consumer=LONG)
    assert is_live(away)
    assert "Redis" in one(away).not_ready[0]
    keeper = replace(KEEPER, answering=None)
    assert is_live(keeper, role=Role.TIMEKEEPER)
    assert not is_ready(keeper, role=Role.TIMEKEEPER)


@pytest.mark.parametrize(
    "less",
    [
        {"leases": False},
        {"consuming": False},
        {"consumer": NOW - CURRENT - 1},
        {"consumer": None},
        {"phase": Phase.STARTING},
    ],
    ids=str,
)
def test_a_worker_that_would_take_up_nothing_is_live_and_not_ready(less: dict[str, Any]) -> None:
    found = replace(THREADS, **less)
    assert is_live(found)
    assert not is_ready(found)


def test_a_timekeeper_that_does_not_tick_is_not_ready() -> None:
    late = replace(KEEPER, pulse=NOW - CURRENT - 1)
    assert not is_ready(late, role=Role.TIMEKEEPER)
    assert is_live(late, role=Role.TIMEKEEPER)


@pytest.mark.parametrize("found", [SUPERVISED, (PREFORK, *CHILDREN)], ids=["several", "prefork"])
def test_who_ends_in_order_is_live_and_not_ready_whatever_of_it_has_ended(
    found: tuple[Vitals, ...],
) -> None:
    ending = replace(found[0], phase=Phase.DRAINING, consumer=LONG, pulse=LONG)
    assert is_live(ending, *found[1:], dead=frozenset({11, 12, 21, 22}))
    assert not is_ready(ending, *found[1:])
    assert not is_live(replace(ending, at=NOW - FRESH - 1), *found[1:]), "but not frozen"


def test_what_has_ended_is_not_live_until_another_is_there() -> None:
    assert one(THREADS, dead=frozenset({20})).not_live == ("it has ended",)
    assert is_live(THREADS, replace(THREADS, pid=25), dead=frozenset({20}))


def test_a_frozen_one_is_not_hidden_by_another() -> None:
    found = (replace(THREADS, at=NOW - FRESH - 1), replace(THREADS, pid=25))
    verdicts = judge(found, Role.WORKER, now=NOW, is_gone=lambda _: False)
    assert sorted(bool(x.not_live) for x in verdicts) == [False, True]
    (other,) = judge(found, Role.WORKER, now=NOW, is_gone=lambda _: False, pid=25)
    assert not other.not_live


def test_workers_and_timekeepers_are_asked_apart() -> None:
    found = (THREADS, replace(KEEPER, at=NOW - FRESH - 1))
    assert is_live(*found)
    assert not is_live(*found, role=Role.TIMEKEEPER)


def test_processes_that_look_after_each_other_in_a_circle_are_judged_all_the_same() -> None:
    """A file can say anything."""
    odd = replace(SUPERVISOR, parent=10, children=(10, 11))
    assert is_live(odd, replace(THREADS, pid=11, parent=10, children=(10,)))


def test_a_process_is_gone_when_another_has_its_id() -> None:
    me = replace(THREADS, pid=os.getpid(), born=born(os.getpid()))
    assert not gone(me)
    assert gone(replace(me, pid=2**22 + 1))
    if me.born:
        assert gone(replace(me, born="1"))


def test_a_folder_is_read_for_what_durazzo_wrote_and_nothing_else(tmp_path: Path) -> None:
    good = json.loads(THREADS.dump())
    file_of(tmp_path, 20).write_text(THREADS.dump())
    for number, text in enumerate((
        "", "{", "[]", "1", "[" * 10_000, json.dumps({**good, "pid": "x"}),
        json.dumps({**good, "role": "king"}), json.dumps({**good, "children": [None]}),
        json.dumps({**good, "at": None}), json.dumps({**good, "more": "x" * 20_000}), "\udcff",
    )):  # fmt: skip
        file_of(tmp_path, number).write_bytes(text.encode(errors="surrogateescape"))
    file_of(tmp_path, 99).mkdir()
    (tmp_path / "other.txt").write_text(THREADS.dump())
    assert list(read(tmp_path)) == [THREADS]
    assert list(read(tmp_path / "nowhere")) == []


@given(st.builds(replace, st.just(THREADS), pulse=st.none() | st.integers(0, NOW)))
def test_what_is_shown_is_read_as_it_was(one: Vitals) -> None:
    assert Vitals.load(one.dump()) == one


def test_what_another_user_shows_is_passed_over_but_by_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_of(tmp_path, 20).write_text(THREADS.dump())
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert list(read(tmp_path)) == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(read(tmp_path)) == [THREADS]


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    file_of(tmp_path, os.getpid()).with_suffix(".part").symlink_to(target)
    with capture_logs() as lines:
        Signs(Role.WORKER, tmp_path)._write()
    assert target.read_text() == "kept"
    assert lines[0]["error"] == "ELOOP"


def test_a_pipe_or_a_link_that_somebody_put_there_is_passed_over(tmp_path: Path) -> None:
    at = tmp_path / "at"
    at.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(THREADS.dump())
    file_of(at, 1).symlink_to(elsewhere)
    os.mkfifo(file_of(at, 2))
    found: list[Vitals] = []
    reads = threading.Thread(target=lambda: found.extend(read(at)), daemon=True)
    reads.start()
    reads.join(60)
    assert not reads.is_alive()
    assert found == []


def test_the_folder_is_the_users_own_unless_it_is_named() -> None:
    assert folder({"DURAZZO_HEALTH_DIR": "/run/x"}) == Path("/run/x")
    assert str(os.getuid()) in folder({}).name


@pytest.fixture
def shows(tmp_path: Path) -> Callable[[], Vitals]:
    return lambda: next(read(tmp_path))


def test_a_process_shows_what_its_threads_say_and_leaves_nothing_behind(
    tmp_path: Path, shows: Callable[[], Vitals]
) -> None:
    clock = ManualClock()
    signs = Signs(Role.WORKER, tmp_path / "made", clock)
    signs.begin()
    try:
        signs.has_pulse(lambda: True)
        signs.redis(answers=True)
        since = clock.monotonic_ms()
        clock.sleep_ms(5_000)
        signs.redis(answers=True)
        signs.consumer_goes_on(consuming=True)
        signs.works()
        found = signs.vitals()
        assert (found.answering, found.pulse, found.consumer) == (since, since, since + 5_000)
        at = tmp_path / "made"
        wait_for(lambda: next(read(at)).phase is Phase.WORKING, "the change", seconds=60)
        assert next(read(at)) == found
        signs.drains()
        signs.works()
        assert signs.vitals().phase is Phase.DRAINING, "nobody comes back from the end"
        signs.redis(answers=False)
        assert signs.vitals().answering is None
    finally:
        signs.end()
    assert list(at.iterdir()) == []


def test_who_begins_takes_away_what_the_dead_left_and_leaves_the_living_alone(
    tmp_path: Path,
) -> None:
    dead, living = 2**22 + 1, os.getppid()
    for pid in (dead, living):
        file_of(tmp_path, pid).write_text(replace(THREADS, pid=pid).dump())
    signs = Signs(Role.WORKER, tmp_path)
    signs.begin()
    assert {x.pid for x in read(tmp_path)} == {living, os.getpid()}
    signs.end()
    assert {x.pid for x in read(tmp_path)} == {living}


def test_who_may_not_write_says_so_once_and_works_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    signs = Signs(Role.WORKER, tmp_path / "file")
    with capture_logs() as lines:
        signs.begin()
        signs._write()
        signs.end()
    (line,) = lines
    assert (line["event"], line["error"]) == ("health.unwritten", "EEXIST")


def test_a_folder_of_somebody_elses_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 1, 1)
    monkeypatch.setattr(os, "getuid", lambda: 2)
    signs = Signs(Role.WORKER, tmp_path)
    with capture_logs() as lines:
        signs._write()
    assert lines[0]["error"] == "EPERM"
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_shows_nothing_has_no_thread_and_no_file() -> None:
    signs = Signs()
    signs.begin()
    assert not signs._thread.is_alive()
    signs.end()


class Consumer:
    """As much of Celery's as is looked at."""

    def __init__(self, *, connected: bool, polls: object, room: bool) -> None:
        self.connection = object() if connected else None
        self.task_consumer = self
        self.channel = self
        self.qos = self
        self._in_poll = polls
        self.can_consume = lambda: room


@pytest.mark.parametrize(
    ("connected", "polls", "room", "takes"),
    [
        (True, object(), True, True),
        (True, None, False, True),
        (True, None, True, False),
        (True, False, True, False),
        (False, object(), True, False),
    ],
)
def test_a_loop_that_asks_for_no_messages_though_it_has_room_does_not_go_on(
    *, connected: bool, polls: object, room: bool, takes: bool
) -> None:
    consumer = Consumer(connected=connected, polls=polls, room=room)
    assert shown.takes_messages(consumer) is takes


def test_a_loop_that_is_always_just_given_a_message_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two of them Redis is not asked, and that may be whenever it is looked at."""
    monkeypatch.setattr(celery_state, "all_total_count", [0])
    clock = ManualClock()
    signs = Signs(clock=clock)
    consumer = Consumer(connected=True, polls=None, room=True)
    went_round = shown._Round(SimpleNamespace(consumer=consumer), lambda: signs)
    went_round()
    assert signs.vitals().consumer is None
    celery_state.all_total_count[0] += 1
    went_round()
    assert signs.vitals().consumer == clock.monotonic_ms()
    clock.sleep_ms(5_000)
    went_round()
    assert signs.vitals().consumer == clock.monotonic_ms() - 5_000

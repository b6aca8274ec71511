"""From events to a timeline: a call is one entry, and nothing that is strange breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import events
from orchestrator.engine.events import Event
from orchestrator.engine.state import Outcome, Result
from orchestrator.service.timeline import LOST, Entry, Then, What, timeline
from tests.fakes.bench import START, Bench
from tests.fakes.plans import charge_and_text, linear, plan, step, to
from tests.golden.histories import (
    HISTORIES,
    History,
    branches,
    call,
    died_while_texting,
    of_another_release,
    outage,
    paused_and_resumed,
    wait_over,
)

PHONE = "+15558675310"


def told(history: History) -> list[Entry]:
    return timeline(history.events, history.plan)


def of(found: list[Entry], what: What) -> list[Entry]:
    return [entry for entry in found if entry.what is what]


def test_a_call_is_one_entry_from_its_beginning_to_what_was_decided() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.UNKNOWN, code="api_error", status=503, delay=400)
    _, called = timeline(bench.events, bench.graph.plan)
    assert called == Entry(
        at=START, what=What.CALLED, step="charge", visit=1, attempt=1, result="unknown",
        code="api_error", status=503, took=120, then=Then.RETRY, until=START + 520,
    )  # fmt: skip


def test_a_call_under_way_has_no_result() -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.begin("a")
    (called,) = of(timeline(bench.events, bench.graph.plan), What.CALLED)
    assert (called.result, called.took, called.then) == ("", -1, "")


def test_a_retry_whose_time_has_come_is_no_lost_message() -> None:
    assert of(told(outage()), What.SENT_AGAIN) == []


def test_a_message_that_nobody_took_up_is_told_and_one_dropped_by_a_pause_is_not() -> None:
    again = of(told(paused_and_resumed()), What.SENT_AGAIN)
    assert [(entry.step, entry.took) for entry in again] == [("charge", 4_200), ("receipt", 4_100)]
    bench = Bench(linear("a"))
    bench.control("pause")
    bench.control("resume")
    bench.put("sent", {"s": "a", "n": 1, "x": 2})
    assert of(timeline(bench.events, bench.graph.plan), What.SENT_AGAIN) == []


def test_a_worker_that_died_in_its_call_is_told_from_one_that_died_before_it() -> None:
    found = told(died_while_texting())
    before, within = of(found, What.TAKEN_OVER)
    assert (before.by, before.result) == ("host-1-aa", "")
    assert (within.by, within.result, within.attempt) == ("host-2-bb", LOST, 1)
    (lost,) = [entry for entry in found if entry.what is What.CALLED and entry.step == "text"]
    assert lost.result == LOST
    (parked,) = of(found, What.NOT_CALLED)
    assert (parked.code, parked.then) == ("answer-lost", "unknown")


def test_a_join_says_who_came_and_who_may_still_come() -> None:
    (waits,) = of(told(branches()), What.JOIN_WAITS)
    # `second` has failed meanwhile: it cannot come any more.
    assert (waits.step, waits.arrived, waits.awaited) == ("receipt", ("first",), ("sorry",))
    (joined,) = of(told(branches()), What.JOINED)
    assert joined.arrived == ("first", "sorry")


def test_a_step_cancelled_in_a_wait_is_told_beside_the_call_before() -> None:
    bench = Bench(linear("a"))
    call(bench, "a", Result.TRANSIENT, code="http-429", status=429, delay=60_000)
    bench.control("cancel")
    rest = timeline(bench.events, bench.graph.plan)[1:]
    assert [(e.what, e.then) for e in rest] == [
        (What.CALLED, "retry"), (What.CONTROL, ""), (What.CLOSED, "cancelled"),
        (What.ENDED, "cancelled"),
    ]  # fmt: skip
    assert (rest[1].code, rest[1].by, rest[1].reason) == ("cancel", "ops", "test")


def test_what_was_given_back_before_it_was_sent_is_not_told() -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.control("pause")
    landed = Outcome(result=Result.WITHDRAWN)
    visit = bench.state.visits["a"]
    bench.put_event(events.outcome_landed(at=bench.now, step="a", visit=visit, outcome=landed))
    bench.decide()
    assert [e.what for e in timeline(bench.events, bench.graph.plan)] == [
        What.ACCEPTED,
        What.CONTROL,
    ]


def test_a_step_that_leads_to_itself_shows_each_visit() -> None:
    bench = Bench(plan(step("a", to("a"))))
    call(bench, "a")
    call(bench, "a")
    first, second = of(timeline(bench.events, bench.graph.plan), What.CALLED)[:2]
    assert (first.visit, first.then, first.next) == (1, "succeeded", (("a", 2),))
    assert second.visit == 2


@pytest.mark.parametrize("name", [n for n in HISTORIES if n != "of-another-release"])
def test_all_that_this_release_writes_is_known(name: str) -> None:
    assert of(told(HISTORIES[name]()), What.OTHER) == []


def test_what_is_not_known_is_told_plainly_and_shows_codes_only() -> None:
    found = told(of_another_release())
    others = of(found, What.OTHER)
    assert [(e.code, e.step, e.detail) for e in others] == [
        ("teleported", "b", "k=sideways"), ("teleport", "b", "1=7 2=quietly"),
        ("fold", "", "1=paper"), ("begun", "b", ""), ("outcome", "", ""),
    ]  # fmt: skip
    assert "5558675310" not in json.dumps([entry.as_json() for entry in found])
    (strange,) = [entry for entry in found if entry.result == "sideways"]
    assert strange.status == 299


def test_the_json_of_an_entry_has_its_six_keys_always_and_others_when_they_say_something() -> None:
    accepted, called, *_ = (entry.as_json() for entry in told(outage()))
    assert accepted == {
        "at": START, "what": "accepted", "step": None, "visit": None, "attempt": None,
        "status": None,
    }  # fmt: skip
    assert called == {
        "at": START, "what": "called", "step": "charge", "visit": 1, "attempt": 1, "status": 503,
        "result": "unknown", "code": "api_error", "took": 120, "then": "retry",
        "until": START + 520,
    }  # fmt: skip


def test_entries_come_in_order_of_time() -> None:
    for make in HISTORIES.values():
        times = [entry.at for entry in told(make())]
        assert times == sorted(times)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(PHONE) | st.sampled_from(["a", "b", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
NAMES = ["s", "n", "a", "k", "c", "h", "u", "f", "w", "d", "x", "v", "by", "starts", "z", "why"]
KINDS = [
    "accepted", "claimed", "begun", "looked", "limited", "outcome", "decided", "sent", "control",
    "settled", "folded",
]  # fmt: skip
CHANGES = ["enter", "again", "wait", "ready", "park", "close", "arrive", "joined", "ending", "end"]
CHANGE = st.tuples(st.sampled_from(CHANGES), st.just("a") | JSON, JSON, JSON)
EVENT = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    at=st.integers(0, 2**41),
    fields=st.dictionaries(st.sampled_from(NAMES), JSON)
    | st.fixed_dictionaries({"s": st.just("a"), "n": st.just(1)}, optional={"a": JSON, "k": JSON})
    | st.fixed_dictionaries({"d": st.lists(CHANGE | JSON, max_size=3)}),
)


@given(st.lists(EVENT, max_size=12))
def test_no_history_however_strange_breaks_the_timeline(strange: list[Event]) -> None:
    bench = Bench(linear("a", "b"))
    found = timeline([*bench.events, *strange], bench.graph.plan)
    json.dumps([entry.as_json() for entry in found])


def test_an_endless_wait_for_an_operator_is_one_entry_a_try() -> None:
    bench = Bench(linear("a"))
    for _ in range(3):
        call(bench, "a", Result.OPERATOR, code="credential-missing", detail="KEY", delay=30_000)
        wait_over(bench, "a")
    tries = of(timeline(bench.events, bench.graph.plan), What.CALLED)
    assert [entry.then for entry in tries] == [Then.PERSON] * 3

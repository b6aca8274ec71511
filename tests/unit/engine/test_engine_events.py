"""Events, and the state that they fold into: what the journal's texts must keep."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.events import Event, accepted, decided, fold
from orchestrator.engine.state import Outcome, Phase, Result, State, Visit
from orchestrator.errors import NewerRelease
from tests.fakes.bench import Bench
from tests.fakes.plans import again, linear, one_of, plan, step, to

_COUNT = st.integers(0, 2**40)
_NAME = st.from_regex(r"[A-Za-z0-9_.\-]{1,12}", fullmatch=True)
_TEXT = st.text(max_size=20)

VISITS = st.builds(
    Visit,
    number=st.integers(1, 1_000), phase=st.sampled_from(Phase), since=_COUNT,
    sends=st.integers(1, 99), fence=_COUNT, worker=_TEXT, until=_COUNT, attempts=_COUNT,
    turn=_COUNT, first=_COUNT, doubt=st.integers(0, 1), retried=_TEXT, result=_TEXT, code=_TEXT,
    detail=_TEXT, status=st.integers(0, 599), matched=_TEXT, delay=st.integers(-1, 2**40),
    next=_TEXT,
)  # fmt: skip

STATES = st.builds(
    State,
    plan=_NAME, name=_TEXT, lane=_NAME, accepted=_COUNT, seq=_COUNT,
    visits=st.dictionaries(_NAME, VISITS, max_size=3),
    arrivals=st.dictionaries(
        _NAME, st.lists(_NAME, min_size=1, unique=True).map(tuple), max_size=3
    ),
    paused=st.booleans(), ending=_TEXT, code=_TEXT, failed_step=_TEXT, end=_TEXT, ended=_COUNT,
    outbox=_TEXT,
)  # fmt: skip


@given(VISITS)
def test_a_visit_survives_its_text(visit: Visit) -> None:
    assert Visit.decode(visit.encode()) == visit


@given(VISITS)
def test_a_visit_is_a_flat_object_of_scalars_for_lua_must_not_reshape_it(visit: Visit) -> None:
    plain = json.loads(visit.encode())
    assert all(isinstance(value, str | int) for value in plain.values())


@given(STATES)
def test_a_state_survives_the_journals_hash(state: State) -> None:
    plain = state.encode()
    assert all(isinstance(value, str) for value in plain.values())
    assert State.decode(plain) == state


def test_a_visits_short_names_are_its_own() -> None:
    short = [field.metadata["as"] for field in fields(Visit)]
    assert len(set(short)) == len(short)


def test_a_visit_that_has_just_begun_is_a_short_text() -> None:
    assert Visit(number=1, phase=Phase.READY).encode() == '{"n":1,"p":"ready"}'


@given(
    st.builds(
        Outcome,
        result=st.sampled_from(Result), code=_TEXT, detail=_TEXT, status=st.integers(0, 599),
        matched=_TEXT, delay=st.integers(-1, 10**9),
    )
)  # fmt: skip
def test_an_outcome_reaches_the_fold_as_it_landed(outcome: Outcome) -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.begin("a")
    landed = bench.state.visits["a"].land(outcome)
    bench.land("a", outcome.result, matched=outcome.matched, code=outcome.code, delay=outcome.delay)
    seen = bench.state.visits["a"]
    assert (seen.result, seen.code, seen.matched, seen.delay, seen.doubt) == (
        landed.result, landed.code, landed.matched, landed.delay, landed.doubt
    )  # fmt: skip


def test_the_visits_that_a_decision_entered_are_read_back_whatever_their_name() -> None:
    visit = Visit(number=1, phase=Phase.FAILED, next="send.sms.2 b-1.10")
    assert visit.entered == (("send.sms", 2), ("b-1", 10))


def test_the_fold_of_a_runs_first_event_has_its_starts_ready() -> None:
    state = fold([accepted(at=5, plan="d", name="n", lane="l", starts=["a", "b"])])
    assert state == State(
        plan="d", name="n", lane="l", accepted=5, seq=1,
        visits={s: Visit(number=1, phase=Phase.READY, since=5) for s in ("a", "b")},
    )  # fmt: skip


def test_only_begun_and_settled_leave_seq_alone_for_no_decision_depends_on_them() -> None:
    bench = Bench(linear("a"))
    seq = bench.state.seq
    bench.claim("a")
    assert bench.state.seq == seq + 1
    bench.begin("a")
    assert bench.state.seq == seq + 1
    bench.land("a")
    assert bench.state.seq == seq + 2
    bench.decide()
    assert bench.state.seq == seq + 3
    bench.put("settled", {})
    assert bench.state.seq == seq + 3
    assert bench.state.outbox == ""


def test_limited_waits_for_its_turn_and_keeps_it() -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.put("limited", {"s": "a", "n": 1, "u": bench.now + 40, "v": bench.now + 40})
    visit = bench.state.visits["a"]
    assert (visit.phase, visit.until, visit.turn) == (Phase.WAITING, bench.now + 40, bench.now + 40)
    bench.claim("a")
    assert bench.state.visits["a"].turn == bench.now + 40
    bench.begin("a")
    assert bench.state.visits["a"].turn == 0, "used up"


def test_sent_again_makes_a_wait_ready_and_leaves_a_lease_alone() -> None:
    bench = Bench(linear("a"))
    bench.run("a", Result.TRANSIENT, delay=10)
    bench.put("sent", {"s": "a", "n": 1, "x": 2})
    visit = bench.state.visits["a"]
    assert (visit.phase, visit.sends, visit.since) == (Phase.READY, 2, bench.now)
    bench.claim("a")
    bench.put("sent", {"s": "a", "n": 1, "x": 3})
    assert (bench.state.visits["a"].phase, bench.state.visits["a"].sends) == (Phase.HELD, 3)


def test_the_first_call_of_a_visit_is_remembered_for_its_keys_window() -> None:
    bench = Bench(linear("a"))
    bench.run("a", Result.UNKNOWN, delay=10)
    first = bench.state.visits["a"].first
    bench.now += 60_000
    bench.run("a", Result.UNKNOWN, delay=10)
    assert bench.state.visits["a"].first == first
    assert bench.state.visits["a"].attempts == 2


def test_a_decision_is_one_event_and_folds_to_what_was_decided() -> None:
    bench = Bench(
        plan(step("a", to("b", "c"), [one_of(again(1))]), step("b"), step("c", awaits=("a",)))
    )
    bench.fail("a")
    bench.run("a")
    texts = [event.encode() for event in bench.events]
    assert fold(Event.decode(text) for text in texts) == bench.state


@pytest.mark.parametrize(
    "event",
    [
        Event(kind="teleported", at=1, fields={"s": "a"}),
        Event(kind="control", at=1, fields={"k": "explode"}),
        decided(at=1, changes=[("explode", "a")]),
        decided(at=1, changes=[("enter", "a", "one")]),
    ],
)
def test_an_event_of_another_release_is_refused_not_guessed(event: Event) -> None:
    bench = Bench(linear("a"))
    with pytest.raises(NewerRelease, match="not of this release"):
        bench.put_event(event)

"""The judge: every way in which the books and the runs can disagree, and none where they do not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from ops.chaos import books
from ops.chaos.journals import Story
from ops.chaos.recovery import percentiles, recoveries, standstills
from ops.chaos.schedule import Customer, Kind, Strike
from ops.chaos.storm import Struck
from ops.chaos.verdict import Court, Verdict
from ops.chaos.workflows import SENDER, WORKFLOWS
from orchestrator.clock import sortable_id
from orchestrator.engine.effects import Effect
from orchestrator.engine.events import Event, accepted, control
from orchestrator.engine.state import Phase, State, Visit
from orchestrator.service import Report, StepReport

FLOW = WORKFLOWS["charge-and-text"]
CHARGE, TEXT = FLOW.charges, FLOW.texts
ADA = Customer(number=1, at=0)
RUN = "01run"
DONE = {CHARGE: Phase.SUCCEEDED, TEXT: Phase.SUCCEEDED}


def charge(intent: str = "pi_1", **changes: Any) -> dict[str, Any]:
    row = {"payment_intent": intent, "amount": ADA.amount, "metadata": {"order": ADA.key}}
    return {**row, **changes}


def text(sid: str = "SM1", **changes: Any) -> dict[str, Any]:
    return {"sid": sid, "to": ADA.phone, "body": FLOW.words, **changes}


def asked(**changes: Any) -> dict[str, Any]:
    form = urlencode([("To", ADA.phone), ("From", SENDER), ("Body", FLOW.words)])
    row = {
        "method": "POST", "path": "/twilio/2010-04-01/Accounts/AC/Messages.json", "status": 201,
        "sha256": hashlib.sha256(form.encode()).hexdigest(), "fault": "latency", "executed": True,
        "at": 10.0,
    }  # fmt: skip
    return {**row, **changes}


def ledger(**kinds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"charges": [charge()], "messages": [text()], "requests": [asked()]}
    return {"duplicates": {"charges": 0, "messages": 0}, **good, **kinds}


def story(
    end: str = "succeeded",
    phases: Mapping[str, Phase] = DONE,
    *,
    customer: Customer = ADA,
    result: str = "SUCCESS",
    effects: Sequence[str] = ("pi_1", "SM1"),
    code: str = "",
    status: int = 200,
    attempts: int = 1,
    events: Sequence[Event] = (),
) -> Story:
    visits = {step: Visit(number=1, phase=phase) for step, phase in phases.items()}
    state = State(plan="p", name="n", lane="default", accepted=1, visits=visits, end=end)
    steps = [
        StepReport(step=s, state=p, visits=1, attempts=attempts, status=status, code=code)
        for s, p in phases.items()
    ]
    report = Report(
        run=RUN, workflow="n", state=state.status, outputs={}, steps=steps, error_code=code,
        error=steps[-1] if code else None,
        effects=[Effect(step="s", what="did", id=name) for name in effects],
    )  # fmt: skip
    return Story(
        customer=customer, run=RUN, state=state, report=report, events=events, result=result
    )


def judged(
    told: Story,
    said: Mapping[str, Any],
    *,
    struck: Sequence[Struck] = (),
    known: Sequence[str] = (RUN,),
    problems: Sequence[str] = (),
    **more: Any,
) -> Verdict:
    return Court(
        workflow=FLOW,
        books=books.read(said, [told.customer], FLOW),
        stories=[told],
        struck=struck,
        known=known,
        problems=problems,
        attempts={"stripe": 6},
        **more,
    ).verdict()


def codes(verdict: Verdict) -> set[str]:
    return {finding.code for finding in verdict.findings}


def test_a_run_that_did_what_it_says_is_accounted_for() -> None:
    verdict = judged(story(), ledger())
    assert (verdict.ok, verdict.charged, verdict.texted) == (True, 1, 1)
    assert verdict.states == {"succeeded": 1}


def test_what_the_books_hold_twice_is_found_even_if_they_do_not_say_so() -> None:
    charged = ledger(charges=[charge(), charge("pi_2")])
    assert "charged-twice" in codes(judged(story(), charged))
    texted = ledger(messages=[text(), text("SM2")])
    assert "texted-twice" in codes(judged(story(), texted))
    said = {**ledger(), "duplicates": {"charges": 1, "messages": 0}}
    assert codes(judged(story(), said)) == {"duplicate-charges"}


@pytest.mark.parametrize("kind", ["charges", "messages"])
def test_what_has_succeeded_and_is_not_in_the_books_is_found(kind: str) -> None:
    what = {"charges": "no-charge", "messages": "no-text"}[kind]
    assert what in codes(judged(story(), ledger(**{kind: []})))


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
def test_what_is_denied_and_is_in_the_books_is_found(phase: Phase) -> None:
    denied = story("cancelled", {CHARGE: phase}, result="REVOKED", effects=["pi_1"])
    books_of_it = ledger(messages=[], requests=[])
    assert codes(judged(denied, books_of_it)) == {"charge-denied"}
    never = story("cancelled", {CHARGE: Phase.SUCCEEDED}, result="REVOKED")
    assert codes(judged(never, ledger())) == {"text-denied"}


def test_a_cancelled_run_that_charged_and_says_so_is_accounted_for() -> None:
    told = story("cancelled", {CHARGE: Phase.SUCCEEDED}, result="REVOKED", effects=["pi_1"])
    assert judged(told, ledger(messages=[], requests=[])).ok
    silent = replace(told, report=replace(told.report, effects=()) if told.report else None)
    assert codes(judged(silent, ledger(messages=[], requests=[]))) == {"not-told"}
    boast = story(effects=["pi_1", "SM1", "SM2"])
    assert codes(judged(boast, ledger())) == {"told-falsely"}


def test_a_run_fails_by_a_declined_card_or_by_refusals_and_by_nothing_else() -> None:
    nothing = ledger(charges=[], messages=[], requests=[])
    broke = Customer(number=1, at=0, declined=True)
    failed = {CHARGE: Phase.FAILED}
    declined = story(
        "failed", failed, customer=broke, result="FAILURE", effects=(), code="card_declined"
    )
    assert judged(declined, nothing).ok
    limited = story("failed", failed, result="FAILURE", effects=(), code="rate_limit", status=429)
    assert judged(limited, nothing).ok
    other = story("failed", failed, result="FAILURE", effects=(), code="render-failed")
    assert codes(judged(other, nothing)) == {"failed-unrefused"}


def test_an_accepted_run_that_is_gone_or_stands_still_is_found() -> None:
    gone = replace(story(), state=None, report=None)
    assert "lost" in codes(judged(gone, ledger()))
    stuck = story("", {CHARGE: Phase.CALLING}, effects=())
    assert "unfinished" in codes(judged(stuck, ledger(messages=[], requests=[])))


def test_a_run_whose_events_do_not_come_to_its_state_is_found() -> None:
    assert codes(judged(replace(story(), folds=False), ledger())) == {"does-not-fold"}


def test_a_finished_run_that_no_client_hears_of_is_found() -> None:
    assert codes(judged(story(result="PENDING"), ledger())) == {"no-result"}


def test_what_belongs_to_nobody_is_found() -> None:
    strange = ledger(charges=[charge(), charge("pi_9", amount=1)])
    assert codes(judged(story(), strange)) == {"nobodys"}
    assert codes(judged(story(), ledger(requests=[asked(sha256="other")]))) == {"nobodys"}
    assert codes(judged(story(), ledger(), known=[RUN, "01other"])) == {"second-run"}
    assert codes(judged(story(), ledger(), problems=["KeyError"])) == {"submitting"}


def test_a_key_that_stands_for_another_run_and_a_run_that_is_unheard_of_are_found() -> None:
    assert codes(judged(story(), ledger(), others={"01other": 1})) == {"submitting"}
    assert codes(judged(story(), ledger(), unheard={RUN: 1})) == {"submitting"}
    both = judged(story(), ledger(), known=[RUN, "01other"], others={"01other": 1})
    assert codes(both) == {"submitting"}


def test_where_power_takes_what_was_accepted_a_second_run_under_its_key_is_no_finding() -> None:
    gone = replace(story(), state=None, report=None)
    twice = ledger(messages=[text(), text("SM2")], requests=[asked(), asked(at=20.0)])
    twice["duplicates"] = {"charges": 0, "messages": 1}
    more: dict[str, Any] = {"others": {"01other": 1}, "known": ["01other"]}
    assert not judged(gone, twice, **more).ok
    verdict = judged(gone, twice, forgetful=True, **more)
    assert verdict.ok
    excused = {found.code for found in verdict.excused}
    assert excused >= {"lost", "texted-twice", "sent-again", "submitting"}


@pytest.mark.parametrize(("before_the_kill", "excused"), [(2_000, True), (3_000, False)])
def test_what_redis_had_not_written_when_it_was_killed_excuses_what_was_just_accepted(
    before_the_kill: int, *, excused: bool
) -> None:
    killed = 1_700_000_000_000
    run = sortable_id(killed - before_the_kill, b"0123456789")
    gone = replace(story(), run=run, state=None, report=None)
    nothing = ledger(charges=[], messages=[], requests=[])
    verdict = judged(gone, nothing, known=[], unwritten=[killed])
    assert verdict.ok is excused
    assert not judged(gone, nothing, known=[]).ok


def test_a_text_sent_twice_for_a_run_that_is_known_is_found_whatever_power_took() -> None:
    twice = ledger(messages=[text(), text("SM2")])
    twice["duplicates"] = {"charges": 0, "messages": 1}
    found = codes(judged(story(effects=("pi_1", "SM1", "SM2")), twice, forgetful=True))
    assert found == {"texted-twice", "duplicate-messages"}


PARKED = {CHARGE: Phase.SUCCEEDED, TEXT: Phase.UNKNOWN}


def parked(events: Sequence[Event] = ()) -> Story:
    return story("", PARKED, events=events, effects=("pi_1",))


@pytest.mark.parametrize(
    "answer",
    [{"status": None, "fault": "drop_after"}, {"status": 503}, {"fault": "latency+drip"}],
)
def test_a_text_whose_answer_the_provider_lost_may_be_unknown(answer: dict[str, Any]) -> None:
    verdict = judged(parked(), ledger(requests=[asked(**answer)]))
    assert verdict.ok
    assert [unknown.books for unknown in verdict.unknowns] == ["done"]


def test_a_text_whose_answer_arrived_may_not_be_unknown() -> None:
    assert codes(judged(parked(), ledger())) == {"unknown-unexplained"}


def held(pid: int) -> list[Event]:
    """A call of a worker's that came to nothing."""
    fields = {"s": TEXT, "w": f"host-{pid}-ab", "u": 99_000, "f": 1, "n": 1}
    return [
        accepted(at=1_000, plan="p", name="n", lane="default", starts=[TEXT]),
        Event(kind="claimed", at=10_000, fields=fields),
        Event(kind="begun", at=10_010, fields={"s": TEXT, "a": 1, "u": 99_000, "n": 1}),
        Event(kind="sent", at=14_000, fields={"s": TEXT, "x": 2, "n": 1}),
        Event(kind="claimed", at=14_010, fields={**fields, "w": "host-80-cd", "d": 2}),
    ]


def blow(kind: Kind, at: int, *pids: int) -> Struck:
    return Struck(strike=Strike(at=1, what=kind), at=at, until=at, pids=frozenset(pids))


def test_a_text_is_unknown_when_who_sent_it_was_killed_in_the_call() -> None:
    told = parked(held(77))
    killed = judged(told, ledger(), struck=[blow(Kind.CHILD, 10_050, 77)])
    assert killed.ok
    assert [unknown.excuse for unknown in killed.unknowns] == ["kill-child"]
    assert judged(told, ledger(), struck=[blow(Kind.REDIS, 10_050)]).ok
    another = judged(told, ledger(), struck=[blow(Kind.CHILD, 10_050, 78)])
    assert codes(another) == {"unknown-unexplained"}
    later = judged(told, ledger(), struck=[blow(Kind.CHILD, 14_500, 77)])
    assert codes(later) == {"unknown-unexplained"}
    politely = judged(told, ledger(), struck=[blow(Kind.TERM, 10_050, 77)])
    assert codes(politely) == {"unknown-unexplained"}


def test_a_text_that_nobody_asked_for_is_listed_and_blamed_on_nobody() -> None:
    """Its doubt harms nobody; which trouble came between is not always to be told."""
    told, nothing = parked(held(77)), ledger(messages=[], requests=[])
    for kind, at in ((Kind.CHILD, 10_050), (Kind.STALL, 10_005), (Kind.REFUSE, 8_000)):
        found = judged(told, nothing, struck=[blow(kind, at, 77)])
        assert found.ok
        assert [unknown.books for unknown in found.unknowns] == ["never asked"]


def test_a_charge_is_unknown_only_when_its_key_was_tried_to_the_end() -> None:
    nothing = ledger(charges=[], messages=[], requests=[])
    early = story("", {CHARGE: Phase.UNKNOWN}, effects=(), attempts=2)
    assert codes(judged(early, nothing)) == {"unknown-unexplained"}
    late = story("", {CHARGE: Phase.UNKNOWN}, effects=(), attempts=6)
    assert judged(late, nothing).ok


def test_a_text_that_is_asked_for_again_is_found_though_it_did_nothing_the_first_time() -> None:
    lost = asked(status=None, executed=False, fault="drop_before")
    again = ledger(requests=[lost, asked(at=12.0)])
    assert codes(judged(story(), again)) == {"sent-again"}
    look = {"method": "GET", "path": "/Messages.json", "at": 11.0}
    assert judged(story(), ledger(requests=[lost, look, asked(at=12.0)])).ok
    limited = asked(status=429, executed=False)
    assert judged(story(), ledger(requests=[limited, asked(at=12.0)])).ok


def test_a_recovery_lasts_from_the_blow_to_the_next_event() -> None:
    told = parked(held(77))
    (found,) = recoveries([told], [blow(Kind.CHILD, 10_050, 77), blow(Kind.CHILD, 10_050, 78)])
    assert (found.kind, found.ms) == (Kind.CHILD, 3_950)
    assert recoveries([told], [blow(Kind.CHILD, 9_000, 77)]) == []
    never = parked(held(77)[:3])
    (stuck,) = recoveries([never], [blow(Kind.CHILD, 10_050, 77)])
    assert stuck.ms is None


def test_a_standstill_counts_no_time_that_was_to_be_waited() -> None:
    pause, resume = (
        control(at=at, kind=kind, by="x", reason="")
        for at, kind in ((2_000, "pause"), (9_000, "resume"))
    )
    start = accepted(at=1_000, plan="p", name="n", lane="default", starts=[TEXT])
    (gap,) = standstills([parked([start, pause, resume])])
    assert (gap.ms, gap.after) == (1_000, "accepted")


def test_percentiles_are_of_what_was_measured() -> None:
    assert percentiles([5]) == (5, 5, 5)
    assert percentiles(list(range(1, 101))) == (50, 95, 100)

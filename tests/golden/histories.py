"""Runs that were interesting, driven on the bench: what ``durazzo show`` has to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.engine import events
from orchestrator.engine.events import Event
from orchestrator.engine.state import Outcome, Result, State
from orchestrator.plan.model import Plan
from tests.fakes.bench import Bench
from tests.fakes.plans import (
    charge_and_text,
    fallback_loop,
    fork_and_join,
    linear,
    plan,
    retry_action,
    step,
    timed,
    to,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
#: Five minutes before midnight, 2023-11-14.
LATE_EVENING = 1_700_006_100_000


@dataclass(frozen=True, slots=True)
class History:
    plan: Plan
    events: list[Event]
    state: State
    now: int


def call(bench: Bench, name: str, result: Result = Result.SUCCEEDED, **outcome: Any) -> None:
    """A whole attempt that takes 120 ms."""
    bench.claim(name)
    bench.begin(name)
    bench.now += 120
    land(bench, name, result, **outcome)


def land(bench: Bench, name: str, result: Result = Result.SUCCEEDED, **outcome: Any) -> None:
    status = 200 if result is Result.SUCCEEDED else 0
    routes = bench._all(name, result)
    landed = Outcome(result=result, **{"status": status, "matched": routes, **outcome})
    visit = bench.state.visits[name]
    bench.put_event(events.outcome_landed(at=bench.now, step=name, visit=visit, outcome=landed))
    bench.decide()


def sent(bench: Bench, name: str) -> None:
    """The timekeeper sends a message again, or that of a wait which is over."""
    visit = bench.state.visits[name]
    bench.put("sent", {"s": name, "n": visit.number, "x": visit.sends + 1})


def wait_over(bench: Bench, name: str) -> None:
    bench.now = bench.state.visits[name].until
    sent(bench, name)


def finished(bench: Bench) -> History:
    return History(bench.graph.plan, bench.events, bench.state, bench.now + MINUTE)


def outage() -> History:
    """Two 503, a rate limit, an answer lost; then charged once."""
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.UNKNOWN, code="api_error", status=503, delay=400)
    wait_over(bench, "charge")
    call(bench, "charge", Result.UNKNOWN, code="reset", delay=1_300)
    wait_over(bench, "charge")
    bench.claim("charge")
    turn = bench.now + 2_500
    bench.put("limited", {"s": "charge", "n": 1, "u": turn, "v": turn})
    wait_over(bench, "charge")
    call(bench, "charge", Result.TRANSIENT, code="rate_limit", status=429, delay=90_000)
    wait_over(bench, "charge")
    call(bench, "charge")
    bench.claim("text")
    bench.begin("text")
    bench.now += 2_400
    land(bench, "text", status=201)
    return finished(bench)


def declined_again_and_again() -> History:
    """Seed 002's loop: a decline goes back to a new visit, until that is closed."""
    bench = Bench(fallback_loop(cap=3))
    for code in ("insufficient_funds", "do_not_honor", "lost_card", "expired_card"):
        if bench.state.end:
            break
        call(bench, "charge", Result.FINAL, code="card_declined", detail=code, status=402)
        if "remind" in bench.ready:
            call(bench, "remind", status=201)
    return finished(bench)


def died_while_texting() -> History:
    """A worker died before it sent anything, the next one in the call: nobody knows."""
    bench = Bench(charge_and_text())
    call(bench, "charge")
    bench.claim("text", "host-1-aa")
    bench.now += 3_000
    sent(bench, "text")
    bench.claim("text", "host-2-bb")
    bench.begin("text")
    bench.now += 5_000
    sent(bench, "text")
    bench.claim("text", "host-3-cc")
    land(bench, "text", Result.UNKNOWN, code="answer-lost")
    return finished(bench)


def branches() -> History:
    """Two charges side by side; one fails and falls back; the receipt waits for both."""
    bench = Bench(fork_and_join())
    bench.claim("first")
    bench.begin("first")
    bench.now += 40
    call(bench, "second", Result.FINAL, code="card_declined", status=402)
    bench.now += 1_800
    land(bench, "first")
    bench.now += 300
    call(bench, "sorry", status=201)
    call(bench, "receipt", status=201)
    return finished(bench)


def nobody_put_it_right() -> History:
    """A refused key, over midnight, until somebody cancels the run."""
    bench = Bench(charge_and_text())
    bench.events[0] = events.accepted(
        at=LATE_EVENING, plan="digest", name="charge-and-text", lane="l", starts=("charge",)
    )
    bench.state = events.fold(bench.events)
    bench.now = LATE_EVENING + 50
    for _ in range(40):
        call(bench, "charge", Result.OPERATOR, code="invalid_api_key", status=401, delay=30_000)
        wait_over(bench, "charge")
        bench.claim("charge")
        until = bench.now + 4_000
        bench.put("limited", {"s": "charge", "n": 1, "u": until})
        wait_over(bench, "charge")
    call(bench, "charge", Result.OPERATOR, code="invalid_api_key", status=401, delay=30_000)
    bench.now += 9_000
    bench.control("cancel")
    return finished(bench)


def paused_and_resumed() -> History:
    """A message lost, a pause in a call, a resume, a retry of the document's own."""
    bench = Bench(retry_action())
    bench.now += 4_200
    sent(bench, "charge")
    bench.now += 80
    bench.claim("charge")
    bench.begin("charge")
    bench.now += 60
    bench.control("pause")
    bench.now += 900
    land(bench, "charge", Result.FINAL, code="card_declined", status=402)
    bench.now += 3 * HOUR + 12 * MINUTE
    bench.control("resume")
    sent(bench, "charge")
    bench.now += 100
    call(bench, "charge")
    bench.now += 4_100
    sent(bench, "receipt")
    return History(bench.graph.plan, bench.events, bench.state, bench.now + 15_000)


def too_late() -> History:
    """A deadline that passes while one branch waits and the other calls."""
    bench = Bench(fork_and_join(), within=90_000)
    bench.claim("second")
    bench.begin("second")
    call(bench, "first", Result.TRANSIENT, code="rate_limit", status=429, delay=600_000)
    bench.now = bench.state.deadline
    bench.decide()
    bench.now += 2_000
    land(bench, "second", effect="charged pi_1 1999 usd")
    return finished(bench)


def out_of_time() -> History:
    """A provider that is away for longer than a step may take, and a fallback that is not."""
    bench = Bench(timed())
    call(bench, "charge", Result.TRANSIENT, code="connect-failed", delay=900)
    wait_over(bench, "charge")
    call(bench, "charge", Result.TRANSIENT, code="connect-failed", delay=1_400)
    bench.now += 4_000
    sent(bench, "charge")
    bench.claim("charge")
    land(bench, "charge", Result.FINAL, code="step-timeout", detail="connect-failed")
    call(bench, "sorry", status=201)
    return finished(bench)


def of_another_release() -> History:
    """Kinds, changes, results and controls that this release does not know."""
    bench = Bench(linear("a", "b"))
    call(bench, "a")
    strange: list[tuple[str, dict[str, Any]]] = [
        ("teleported", {"s": "b", "n": 1, "k": "sideways", "to": "+15558675310", "w": 15558675310}),
        ("decided", {"d": [["teleport", "b", 7, "quietly"], ["fold", "paper"], []]}),
        ("control", {"k": "rewind", "by": "sam", "why": "looked fine"}),
        ("begun", {"s": "b", "n": 1}),
        ("outcome", {"s": "b", "n": 1, "a": 1, "k": "sideways", "h": 299}),
        ("outcome", {}),
    ]
    found = [Event(kind=kind, at=bench.now, fields=fields) for kind, fields in strange]
    return History(bench.graph.plan, [*bench.events, *found], bench.state, bench.now + 1_000)


def looked_up() -> History:
    """A text whose answer was lost is looked up until the provider says what became of it."""
    bench = Bench(linear("text"))
    at = bench.now
    happened: list[tuple[str, int, dict[str, Any]]] = [
        ("claimed", 5, {"f": 1, "w": "host-1-aa", "u": at + 30_000}),
        ("begun", 6, {"a": 1, "u": at + 90_000}),
        ("outcome", 900, {"a": 1, "k": "unknown", "c": "reset", "z": 20_000}),
        ("decided", 900, {"d": [["park", "text", at + 20_900]]}),
        ("sent", 20_900, {"x": 2}),
        ("claimed", 20_905, {"f": 2, "w": "host-1-aa", "u": at + 50_000}),
        ("looked", 20_910, {"u": at + 60_000}),
        ("outcome", 21_000, {"a": 1, "k": "unknown", "c": "http-503", "h": 503, "z": 40_000}),
        ("decided", 21_000, {"d": [["park", "text", at + 61_000]]}),
        ("claimed", 61_000, {"f": 3, "w": "host-1-aa", "u": at + 90_000}),
        ("limited", 61_001, {"u": at + 63_000, "v": at + 63_000, "p": 1}),
        ("claimed", 63_005, {"f": 4, "w": "host-1-aa", "u": at + 90_000}),
        ("looked", 63_010, {"u": at + 90_000}),
        ("outcome", 63_100, {"a": 1, "k": "undone", "c": "gone", "l": 400}),
        ("decided", 63_100, {"d": [["wait", "text", at + 63_500]]}),
        ("claimed", 63_500, {"f": 5, "w": "host-1-aa", "u": at + 90_000}),
        ("begun", 63_501, {"a": 2, "u": at + 150_000}),
        ("outcome", 63_600, {"a": 2, "k": "pending", "c": "processing", "h": 200, "z": 60_000}),
        ("decided", 63_600, {"d": [["park", "text", at + 123_600]]}),
        ("claimed", 123_600, {"f": 6, "w": "host-1-aa", "u": at + 150_000}),
        ("looked", 123_601, {"u": at + 150_000}),
        ("outcome", 123_700, {"a": 2, "k": "succeeded", "h": 201}),
        ("decided", 123_700, {"d": [["close", "text", "succeeded", ""], ["end", "succeeded", ""]]}),
    ]
    found = [
        Event(kind=kind, at=at + after, fields={**fields, "s": "text", "n": 1})
        for kind, after, fields in happened
    ]
    return History(bench.graph.plan, [*bench.events, *found], bench.state, at + HOUR)


def rewound() -> History:
    """Redis lost writes: a text that may have been among them, and an alert that nobody knows."""
    bench = Bench(plan(step("text"), step("alert"), starts=("text", "alert")))
    at = bench.now
    lost = at + 7_000
    happened: list[tuple[str, str, int, dict[str, Any]]] = [
        ("text", "claimed", 4_000, {"f": 1, "w": "host-1-aa", "u": at + 34_000}),
        ("text", "limited", 4_001, {"u": at + 8_000, "g": 1}),
        ("text", "claimed", 8_010, {"f": 2, "w": "host-1-aa", "u": at + 38_000}),
        ("text", "rewound", 8_015, {"f": 1_002, "b": at, "u": at + 17_000, "r": lost}),
        ("alert", "claimed", 8_020, {"f": 1, "w": "host-1-aa", "u": at + 38_000}),
        ("alert", "rewound", 8_025, {"f": 1_001, "b": at, "u": at + 17_000, "r": lost}),
        ("text", "claimed", 17_010, {"f": 1_003, "w": "host-1-aa", "u": at + 47_000}),
        ("text", "outcome", 17_011, {"a": 0, "k": "unknown", "c": "redis-rewound", "z": 80_000}),
        ("text", "decided", 17_011, {"d": [["park", "text", at + 97_011]]}),
        ("alert", "claimed", 17_020, {"f": 1_002, "w": "host-1-aa", "u": at + 47_000}),
        ("alert", "outcome", 17_021, {"a": 0, "k": "unknown", "c": "redis-rewound"}),
        ("alert", "decided", 17_021, {"d": [["park", "alert", 0]]}),
        ("text", "claimed", 97_020, {"f": 1_004, "w": "host-1-aa", "u": at + 127_000}),
        ("text", "looked", 97_021, {"u": at + 130_000}),
        ("text", "outcome", 97_100, {"a": 0, "k": "undone", "c": "not-found", "l": 0}),
        ("text", "decided", 97_100, {"d": [["wait", "text", at + 97_100]]}),
        ("text", "claimed", 97_110, {"f": 1_005, "w": "host-1-aa", "u": at + 127_000}),
        ("text", "begun", 97_111, {"a": 1, "u": at + 187_000}),
        ("text", "outcome", 97_300, {"a": 1, "k": "succeeded", "h": 201, "fx": "texted SM1"}),
        ("text", "decided", 97_300, {"d": [["close", "text", "succeeded", ""]]}),
    ]
    found = [
        Event(kind=kind, at=at + after, fields={**fields, "s": name, "n": 1})
        for name, kind, after, fields in happened
    ]
    return History(bench.graph.plan, [*bench.events, *found], bench.state, at + HOUR)


def wanted_twice() -> History:
    """A text that is wanted twice rather than never, and one about which nobody can be asked."""
    text, alert = (replace(step(name), when_unknown="resend") for name in ("text", "alert"))
    bench = Bench(plan(text, alert, starts=("text", "alert")))
    at = bench.now
    happened: list[tuple[str, str, int, dict[str, Any]]] = [
        ("text", "claimed", 5, {"f": 1, "w": "host-1-aa", "u": at + 30_000}),
        ("text", "begun", 6, {"a": 1, "u": at + 90_000}),
        ("text", "outcome", 900, {"a": 1, "k": "unknown", "c": "reset", "z": 70_000}),
        ("text", "decided", 900, {"d": [["park", "text", at + 70_900]]}),
        ("alert", "claimed", 910, {"f": 1, "w": "host-1-aa", "u": at + 30_000}),
        ("alert", "begun", 911, {"a": 1, "u": at + 90_000}),
        ("alert", "outcome", 990, {"a": 1, "k": "unknown", "c": "reset", "l": 30_000, "r": 1}),
        ("alert", "decided", 990, {"d": [["wait", "alert", at + 30_990]]}),
        ("alert", "claimed", 30_990, {"f": 2, "w": "host-1-aa", "u": at + 60_000}),
        ("alert", "begun", 30_991, {"a": 2, "u": at + 120_000}),
        ("alert", "outcome", 31_090, {"a": 2, "k": "succeeded", "h": 201}),
        ("alert", "decided", 31_090, {"d": [["close", "alert", "succeeded", ""]]}),
        ("text", "claimed", 70_905, {"f": 2, "w": "host-1-aa", "u": at + 100_000}),
        ("text", "looked", 70_910, {"u": at + 160_000}),
        ("text", "outcome", 71_000, {"a": 1, "k": "unknown", "c": "not-found", "l": 600, "r": 1}),
        ("text", "decided", 71_000, {"d": [["wait", "text", at + 71_600]]}),
        ("text", "claimed", 71_600, {"f": 3, "w": "host-1-aa", "u": at + 100_000}),
        ("text", "begun", 71_601, {"a": 2, "u": at + 160_000}),
        ("text", "outcome", 71_700, {"a": 2, "k": "succeeded", "h": 201}),
        ("text", "decided", 71_700, {"d": [["close", "text", "succeeded", ""]]}),
        ("text", "decided", 71_700, {"d": [["end", "succeeded", ""]]}),
    ]
    found = [
        Event(kind=kind, at=at + after, fields={**fields, "s": name, "n": 1})
        for name, kind, after, fields in happened
    ]
    return History(bench.graph.plan, [*bench.events, *found], bench.state, at + HOUR)


def retried() -> History:
    """A run that failed is taken up again by a person, from the step that failed."""
    bench = Bench(linear("a", "b"))
    call(bench, "a", effect="charged pi_1")
    call(bench, "b", Result.FINAL, code="criteria-not-met", detail="criterion-1", status=409)
    at = bench.now + HOUR
    control = {"k": "retry", "by": "sam", "why": "the stock is there", "s": "b", "n": 2}
    happened: list[tuple[str, int, dict[str, Any]]] = [
        ("control", 0, control),
        ("claimed", 20, {"s": "b", "n": 2, "f": 2, "w": "host-3-cc", "u": at + 30_000}),
        ("begun", 21, {"s": "b", "n": 2, "a": 1, "u": at + 90_000}),
        ("outcome", 80, {"s": "b", "n": 2, "a": 1, "k": "succeeded", "h": 200, "fx": "texted SM1"}),
        ("decided", 80, {"d": [["close", "b", "succeeded", ""], ["end", "succeeded", "result"]]}),
    ]
    found = [Event(kind=kind, at=at + after, fields=fields) for kind, after, fields in happened]
    return History(bench.graph.plan, [*bench.events, *found], bench.state, at + MINUTE)


def resolved() -> History:
    """A person says that a text never went out, and of the next one that it did."""
    before = died_while_texting()
    at = before.events[-1].at + HOUR
    who = {"s": "text", "n": 1, "by": "sam", "why": "seen in the console"}
    happened: list[tuple[str, int, dict[str, Any]]] = [
        ("outcome", 0, {**who, "a": 1, "k": "undone", "c": "resolved", "l": 0}),
        ("decided", 0, {"d": [["wait", "text", at]]}),
        ("claimed", 20, {"s": "text", "n": 1, "f": 4, "w": "host-3-cc", "u": at + 30_000}),
        ("begun", 21, {"s": "text", "n": 1, "a": 2, "u": at + 90_000}),
        ("outcome", 80, {"s": "text", "n": 1, "a": 2, "k": "unknown", "c": "timeout"}),
        ("decided", 80, {"d": [["park", "text", 0]]}),
        ("outcome", MINUTE, {**who, "a": 2, "k": "succeeded"}),
        ("decided", MINUTE, {"d": [["close", "text", "succeeded", ""], ["end", "succeeded", ""]]}),
    ]
    found = [Event(kind=kind, at=at + after, fields=fields) for kind, after, fields in happened]
    return History(before.plan, [*before.events, *found], before.state, at + HOUR)


def hostile_names() -> History:
    """Names that would steer a terminal, or fill it."""
    long = "reconcile-" * 12
    steering = "pay\x1b[2J\r\nroot: granted"
    bench = Bench(plan(step(steering, to(long)), step(long), name="x\x1b]0;owned\x07"))
    call(bench, steering)
    call(bench, long, Result.FINAL, code="card_declined", status=402)
    bench.events.append(
        events.control(at=bench.now, kind="cancel", by="sam\x1b[31m", reason="a\nb " + "no " * 400)
    )
    return finished(bench)


HISTORIES: dict[str, Callable[[], History]] = {
    "outage": outage,
    "declined-again-and-again": declined_again_and_again,
    "died-while-texting": died_while_texting,
    "branches": branches,
    "nobody-put-it-right": nobody_put_it_right,
    "paused-and-resumed": paused_and_resumed,
    "looked-up": looked_up,
    "wanted-twice": wanted_twice,
    "rewound": rewound,
    "resolved": resolved,
    "retried": retried,
    "too-late": too_late,
    "out-of-time": out_of_time,
    "of-another-release": of_another_release,
    "hostile-names": hostile_names,
}

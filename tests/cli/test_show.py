"""What ``show`` and ``runs`` print: by hand-made histories, and by runs against the sandbox."""

from __future__ import annotations

import re
from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cli.standing import LATE, Standing
from ops.cli.telling import age, elapsed, marks
from ops.cli.terminal import ASCII, UNICODE
from ops.cli.timeline import MOST, lines, rows
from orchestrator.engine.events import Event
from orchestrator.engine.state import Phase, Result, Status
from orchestrator.service import Report
from orchestrator.service.inspect import StepReport
from orchestrator.service.timeline import timeline
from tests.cli.conftest import DECLINED, Done, Shell
from tests.fakes.bench import Bench
from tests.fakes.plans import charge_and_text, linear, plan, step, to
from tests.golden.histories import (
    HISTORIES,
    History,
    call,
    died_while_texting,
    finished,
    looked_up,
    nobody_put_it_right,
    of_another_release,
    outage,
    wait_over,
)
from tests.unit.test_timeline import EVENT

PLAIN = marks(UNICODE)


def shown(history: History, *, width: int = 100, ascii_only: bool = False) -> list[str]:
    chosen = marks(ASCII if ascii_only else UNICODE)
    found = rows(timeline(history.events, history.plan), chosen)
    told = lines(found, accepted=history.events[0].at, marks=chosen, width=width)
    return [click.unstyle(line) for line in told]


def standing(history: History, *, key: str | None = None, late: int = 0) -> Standing:
    """``late``: looked at so long after the last event. ms."""
    state = history.state
    steps = [
        StepReport(
            step=name, state=visit.phase, visits=visit.number, attempts=visit.attempts,
            status=visit.status, code=visit.code, detail=visit.detail,
        )
        for name, visit in state.visits.items()
    ]  # fmt: skip
    blamed = [s for s in steps if s.step == state.failed_step or s.state == Phase.UNKNOWN]
    code = state.code or (blamed[0].code if blamed else "")
    report = Report(
        run="run-1", workflow=state.name, state=state.status, outputs={}, steps=steps,
        error=blamed[0] if blamed else None, error_code=code, accepted=state.accepted,
        ended=state.ended, effects=state.effects,
    )  # fmt: skip
    return Standing(
        report=report, state=state, plan=history.plan, now=history.now + late, key=key,
        entries=timeline(history.events, history.plan),
    )  # fmt: skip


def advice(history: History, *, key: str | None = None, late: int = 0) -> str:
    return "\n".join(standing(history, key=key, late=late).advice())


def now(history: History, late: int = 0) -> list[str]:
    return [row.text for row in standing(history, late=late).rows(PLAIN)]


def test_a_run_that_was_cut_off_says_before_which_step_and_where_to_read_on() -> None:
    bench = Bench(linear("a", "b"), within=3_600_000)
    call(bench, "a")
    history = finished(bench)
    assert ", deadline in " in list(standing(history).head())[1]
    bench.now = bench.state.deadline
    bench.decide()
    told = advice(finished(bench))
    assert "deadline passed before step b was done: deadline-passed" in told
    assert "durazzo explain deadline-passed" in told
    assert "durazzo retry" in told


# The timeline.


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", HISTORIES)
def test_every_line_fits_its_width_and_steers_no_terminal(name: str, width: int) -> None:
    for line in shown(HISTORIES[name](), width=width):
        assert len(line) <= width
        assert line.isprintable()


@pytest.mark.parametrize("name", HISTORIES)
def test_where_symbols_cannot_be_written_everything_is_ascii(name: str) -> None:
    text = "\n".join(shown(HISTORIES[name](), ascii_only=True))
    assert text.replace("\ufffd", "").isascii()


def test_attempts_that_are_alike_are_told_as_one_with_the_last_of_them() -> None:
    bench = Bench(linear("a"))
    for _ in range(42):
        call(bench, "a", Result.TRANSIENT, code="timeout", delay=100)
        wait_over(bench, "a")
    call(bench, "a")
    told = shown(finished(bench))
    assert [re.sub(r" {2,}", " ", line[10:]).strip() for line in told] == [
        "accepted 2023-11-14 22:13:20 UTC",
        "↻ a called (attempt 1) → no answer: timeout, retry in 0.1 s",
        "… 40 more, all no answer: timeout",
        "↻ called (attempt 42) → no answer: timeout, retry in 0.1 s",
        "✓ called (attempt 43) → HTTP 200",
        "✓ succeeded",
    ]


def test_three_that_are_alike_are_all_told() -> None:
    bench = Bench(linear("a"))
    for _ in range(3):
        call(bench, "a", Result.TRANSIENT, code="timeout", delay=100)
        wait_over(bench, "a")
    assert len(shown(finished(bench))) == 4


def test_a_branch_in_between_does_not_hide_that_attempts_are_alike() -> None:
    bench = Bench(plan(step("a"), step("b"), starts=("a", "b")))
    for _ in range(20):
        for name in ("a", "b"):
            call(bench, name, Result.TRANSIENT, code="timeout", delay=100)
        for name in ("a", "b"):
            wait_over(bench, name)
    told = shown(finished(bench))
    assert sum("… 18 more, all no answer: timeout" in line for line in told) == 2
    assert len(told) == 7


def test_a_history_longer_than_a_screen_keeps_its_ends_and_says_how_to_see_the_rest() -> None:
    bench = Bench(plan(step("a", to("b")), step("b", to("a"))))
    for _ in range(9):
        call(bench, "a")
        call(bench, "b")
    many = shown(finished(bench))
    assert len(many) == 19
    for number in range(100):
        bench.now += 1
        bench.put("control", {"k": "pause", "by": "sam", "why": f"{number}"})
    cut = shown(finished(bench))
    assert len(cut) == MOST
    (rest,) = [line for line in cut if "--events" in line]
    assert "… 60 lines more: --events has all that the journal holds" in rest
    assert cut[0] == many[0]
    assert cut[-1].endswith("paused by sam: 99")


def test_a_name_stands_once_until_another_step_is_told_of() -> None:
    told = shown(outage())
    assert [n for n, line in enumerate(told) if " charge  " in line] == [1]
    assert [n for n, line in enumerate(told) if " text  " in line] == [6]


def test_the_day_is_said_when_it_changes() -> None:
    told = shown(nobody_put_it_right())
    days = [line.split("  ")[-1] for line in told if " UTC" in line]
    assert days == ["accepted 2023-11-14 23:55:00 UTC", "2023-11-15 00:17:44 UTC"]


def test_a_turn_of_less_than_a_second_is_not_worth_a_line() -> None:
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.put("limited", {"s": "a", "n": 1, "u": bench.now + 999, "v": bench.now + 999})
    assert len(shown(finished(bench))) == 1
    wait_over(bench, "a")
    bench.claim("a")
    bench.put("limited", {"s": "a", "n": 1, "u": bench.now + 1_000})
    assert shown(finished(bench))[1].endswith("a  waits 1.0 s: its provider is paused")


@given(st.lists(EVENT, max_size=8), st.integers(40, 120))
def test_nothing_strange_breaks_the_lines(strange: list[Event], width: int) -> None:
    history = of_another_release()
    told = shown(replace(history, events=[*history.events, *strange]), width=width)
    assert all(line.isprintable() for line in told)


@pytest.mark.parametrize(
    ("ms", "since", "ago"),
    [
        (-3, "0.0 s", "0 s"), (9_960, "9.9 s", "9 s"), (59_999, "59 s", "59 s"),
        (61_000, "1 min 01 s", "1 min"), (3_599_999, "59 min 59 s", "59 min"),
        (11_520_000, "3 h 12 min", "3 h 12 min"), (7_200_000, "2 h 00 min", "2 h"),
        (187_200_000, "2 d 04 h", "2 d 4 h"), (10**9, "11 d 13 h", "11 d"),
    ],
)  # fmt: skip
def test_times_are_cut_not_rounded(ms: int, since: str, ago: str) -> None:
    assert (elapsed(ms), age(ms)) == (since, ago)


# Where it stands.


def test_the_head_says_state_how_long_which_run_its_key_and_its_lane() -> None:
    assert [*standing(outage(), key="order-1042").head()] == [
        "succeeded after 2 min: charge-and-text, run run-1",
        "  accepted 2 min ago, lane l, run key order-1042",
    ]
    first = next(standing(died_while_texting(), late=3_600_000).head())
    assert first == "unknown for 1 h 1 min: charge-and-text, run run-1"


def test_unknown_says_what_to_look_for_where_and_that_nothing_is_sent() -> None:
    assert advice(died_while_texting()) == (
        "step text unknown: answer-lost (durazzo explain answer-lost)\n"
        "api.twilio.com may have done it. Nothing is sent again blindly, no fallback taken.\n"
        "Look there what became of the POST of 2023-11-14 22:13:23 UTC (step text); say succeeded,"
        " failed or resend:\n"
        "durazzo resolve run-1 text --as WHAT --reason WHY"
    )


def test_pending_says_that_money_may_still_move() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.PENDING, code="requires_action", status=200)
    told = advice(finished(bench))
    assert "api.stripe.com has it, and money may still move. Nothing is sent again." in told


def test_a_look_up_to_come_is_said_instead() -> None:
    bench = Bench(linear("text"))
    call(bench, "text", Result.UNKNOWN, code="reset")
    known = looked_up().events[:5]
    history = History(bench.graph.plan, known, bench.state, known[-1].at)
    assert "It is looked up there by itself, in 20 s: the GET of 2023-11-14" in advice(history)
    assert "It was to be looked up there 2 min ago: " in advice(history, late=140_000)


def test_a_failed_run_says_how_to_try_it_again() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.FINAL, code="card_declined", detail="lost_card", status=402)
    assert advice(finished(bench), key="k") == (
        "step charge failed: card_declined (lost_card), HTTP 402\n"
        "Nothing more is sent. To try it again: durazzo retry run-1, or a new run under another run"
        " key."
    )
    assert advice(finished(bench)).endswith("durazzo retry run-1, or a new run.")


def test_what_stands_all_the_same_comes_first() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", effect="charged pi_1 1999 usd")
    call(bench, "text", Result.FINAL, code="21211", status=400)
    assert advice(finished(bench)).splitlines()[0] == "but charged 19.99 USD pi_1 (charge)"
    assert shown(finished(bench))[1].endswith("called → HTTP 200, charged 19.99 USD pi_1")


def test_what_an_earlier_release_told_without_an_amount_stands_as_well() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", effect="charged pi_1")
    call(bench, "text", Result.FINAL, code="21211", status=400)
    assert advice(finished(bench)).splitlines()[0] == "but charged pi_1 (charge)"
    assert shown(finished(bench))[1].endswith("called → HTTP 200, charged pi_1")


def test_a_cancelled_run_says_by_whom_and_why() -> None:
    assert advice(nobody_put_it_right()) == "cancelled by ops: test"
    bench = Bench(linear("a"))
    bench.claim("a")
    bench.begin("a")
    bench.control("cancel")
    assert advice(finished(bench)) == (
        "cancelled by ops: test\nIt is to be cancelled once what is under way has landed."
    )


def test_a_run_that_needs_a_person_says_for_what() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.OPERATOR, code="invalid_api_key", status=401, delay=30_000)
    told = advice(finished(bench))
    assert told.startswith("step charge waits for a person: HTTP 401 invalid_api_key. Put right")
    bench = Bench(charge_and_text())
    call(
        bench,
        "charge",
        Result.OPERATOR,
        code="credential-missing",
        detail="KEY",
        delay=30_000,
        status=0,
    )
    assert "credential-missing (KEY) (durazzo explain credential-missing)" in advice(
        finished(bench)
    )


def test_a_paused_run_says_how_it_goes_on() -> None:
    bench = Bench(linear("a"))
    bench.control("pause")
    history = finished(bench)
    assert history.state.status is Status.PAUSED
    assert advice(history) == "Nothing more is begun until it is resumed: durazzo resume run-1"
    assert now(history) == ["waits for the run to be resumed"]


def test_what_it_waits_for_now_is_said_and_when_nobody_comes() -> None:
    bench = Bench(linear("a"))
    history = History(bench.graph.plan, bench.events, bench.state, bench.now)
    assert (now(history), advice(history)) == (["waits for a worker for 0 s"], "")
    assert "`durazzo worker` is one, `durazzo doctor`" in advice(history, late=LATE)
    call(bench, "a", Result.TRANSIENT, code="timeout", delay=30_000)
    history = History(bench.graph.plan, bench.events, bench.state, bench.now)
    assert now(history) == ["goes on in 30 s"]
    assert now(history, late=90_000) == ["was to go on 1 min ago"]
    wait_over(bench, "a")
    bench.claim("a", "host-1-aa")
    history = History(bench.graph.plan, bench.events, bench.state, bench.now)
    assert now(history) == ["worked on by host-1-aa"]


def test_a_finished_run_waits_for_nothing() -> None:
    assert now(outage()) == []
    assert advice(outage()) == ""


# Against the sandbox.


def told_words(done: Done) -> str:
    """Without how it is laid out, and without how slow a busy machine was."""
    return re.sub(r" after \d+(\.\d)? s\b", "", " ".join(done.out.split()))


@pytest.mark.process
def test_show_and_runs_tell_of_real_runs_without_a_value(durazzo: Shell) -> None:
    orders = [durazzo.order(), durazzo.order(paymentMethod=DECLINED)]
    failed = durazzo("run", *orders[1], "--json").json["run"]
    paused = durazzo("start", *durazzo.order()).out.strip()
    durazzo("pause", paused, "--reason", "the shop asked")
    charges = "POST /stripe/v1/payment_intents"
    durazzo.sandbox.faults({"match": charges, "do": "status", "status": 503})
    durazzo.sandbox.faults({"match": "POST /twilio/*", "do": "drop_after"})
    # The last one: no worker is there any more that would look it up.
    unknown = durazzo("run", *orders[0], "--json", "--key", "order-7").json["run"]

    told = durazzo("show", unknown)
    words = told_words(told)
    assert words.startswith("unknown for ")
    assert "run key order-7" in words
    assert "called (attempt 1) → HTTP 503 api_error, retry in" in words
    assert "called → no answer: reset; unknown whether the provider did it" in words
    assert "api.twilio.com may have done it." in words
    (charge,) = durazzo.sandbox.ledger()["charges"]
    assert charge["amount"] == 2000
    assert f"but charged 20.00 USD {charge['payment_intent']} (create-payment)" in words
    assert "claimed" not in words
    declined = told_words(durazzo("show", failed))
    assert "called → HTTP 402 card_declined (insufficient_funds); failed" in declined
    assert ": the shop asked" in told_words(durazzo("show", paused))

    everything = durazzo("show", unknown, "--json", "--events", "--outputs")
    called = [e for e in everything.json["timeline"] if e["what"] == "called"]
    assert [e["status"] for e in called] == [503, 200, None]
    documented = {"run", "workflow", "state", "outputs", "steps", "error", "diagnostics", "key"}
    assert documented | {"timeline", "events"} <= set(everything.json)
    narrow = durazzo("show", unknown, COLUMNS="70", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert narrow.out.isascii()
    # The first line is left whole: the run's id is there to be copied.
    assert max(map(len, narrow.out.splitlines()[1:])) <= 70

    listed = durazzo("runs", "--failed", "--json").json
    assert ([r["run"] for r in listed["runs"]], listed["looked_at"]) == ([failed], 3)
    both = durazzo("runs", "--unknown", "--state", "paused", "--workflow", "charge-and-sms-confirm")
    assert [line.split()[0] for line in both.out.splitlines()[1:]] == [unknown, paused]
    assert [line.split("  ")[-1].strip() for line in both.out.splitlines()[:2]] == [
        "STANDS", "charged 20.00 USD",
    ]  # fmt: skip
    effect = {
        "step": "create-payment", "what": "charged", "id": charge["payment_intent"],
        "amount": charge["amount"], "currency": "usd",
    }  # fmt: skip
    assert everything.json["effects"] == [effect]
    assert [e["effect"] for e in everything.json["timeline"] if "effect" in e] == [effect]
    rows = durazzo("runs", "--json").json["runs"]
    assert {row["run"]: row["effects"] for row in rows} == {
        unknown: [effect],
        paused: [],
        failed: [],
    }
    assert "of the latest 3 runs" in both.err
    doubted = durazzo("runs", "--unknown")
    assert [line.split()[0] for line in doubted.out.splitlines()[1:]] == [unknown]
    assert "latest" not in doubted.err, "all that are unknown were looked at"
    assert "no such runs" in durazzo("runs", "--workflow", "other").err
    for order in orders:
        assert durazzo.phone(order) not in told.out + everything.out + narrow.out + both.out

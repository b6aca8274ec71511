"""A plan as a Mermaid flowchart: every way is there, and no text of a stranger's is markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.expressions.nodes import Compare, Constant, Input, StatusCode
from orchestrator.plan.model import Choice, End, Goto, HttpCall, Plan, Route, Step
from orchestrator.service.draw import LABEL, mermaid
from tests.fakes.plans import (
    again,
    fallback_loop,
    fork_and_join,
    goto,
    linear,
    one_of,
    plan,
    retry_action,
    step,
    to,
)

#: A line of the drawing with a label, whose text may hold no quotation mark of its own.
BOX = re.compile(r'  \w+(?:\(\["[^"]*"\]\)|\["[^"]*"\]|\[\["[^"]*"\]\])(?::::\w+)?')
WAY = re.compile(r'  \w+ (?:-->|-\.->)(?:\|"[^"]*"\|)? \w+')
OTHER = re.compile(
    r"%%\{init: [^\n]*\}%%|flowchart TD|  classDef [\w :#,-]+|  linkStyle [\d,]+ opacity:0\.4"
)
PAID = Compare("==", StatusCode(), Constant(200))
LATE = Compare("==", StatusCode(), Constant(503))


def ways(flow: Plan) -> list[str]:
    return [line.strip() for line in mermaid(flow).splitlines() if WAY.fullmatch(line)]


def box(found: Step) -> str:
    return next(line for line in mermaid(plan(found)).splitlines() if line.startswith("  s1["))


def test_a_step_says_its_request_its_host_and_its_provider() -> None:
    call = HttpCall(
        provider="stripe",
        method="POST",
        server="https://user:secret@api.stripe.com/v1",
        path=(Constant("/payment_intents/"), Input("intent"), Constant("/confirm")),
    )
    assert box(step("confirm", call=call)) == (
        '  s1["<b>confirm</b><br/>POST /v1/payment_intents/{$inputs.intent}/confirm'
        '<br/>api.stripe.com (stripe)"]'
    )


def test_a_success_is_solid_and_a_failure_dashed() -> None:
    assert ways(fallback_loop()) == [
        "start --> s1",
        "s1 --> s3",
        "s1 -.-> s2",
        's2 -->|"at most 3 visits"| s1',
        "s2 -.-> failed",
        "s3 --> succeeded",
        "s3 -.-> failed",
    ]


def test_a_failure_of_which_the_document_says_nothing_is_faint() -> None:
    drawn = mermaid(linear("a", "b"))
    assert drawn.splitlines()[-1] == "  linkStyle 2,4 opacity:0.4"
    assert ways(linear("a", "b"))[2] == "s1 -.-> failed"
    handled = plan(step("a", failure=(one_of(End()),)))
    assert "linkStyle" not in mermaid(handled)


def test_conditions_are_labels_in_the_order_in_which_they_are_asked() -> None:
    routes = (
        Route(then=goto("b"), when=(PAID, LATE)),
        Route(then=goto("c"), when=(LATE,)),
        Route(then=End()),
    )
    flow = plan(step("a", (Choice(routes=routes),)), step("b"), step("c"))
    assert ways(flow)[1:4] == [
        's1 -->|"if $statusCode == 200 and $statusCode == 503"| s2',
        's1 -->|"else if $statusCode == 503"| s3',
        's1 -->|"else"| succeeded',
    ]


def test_when_no_condition_holds_the_way_ends_and_that_is_drawn() -> None:
    """A success that leads nowhere is one; a failure that nothing handles fails the run."""
    only = (Choice(routes=(Route(then=goto("b"), when=(PAID,)),)),)
    assert 's1 -->|"else"| succeeded' in ways(plan(step("a", success=only), step("b")))
    assert 's1 -.->|"else"| failed' in ways(plan(step("a", failure=only), step("b")))


def test_a_way_back_that_is_not_always_taken_says_so() -> None:
    back = Choice(routes=(Route(then=Goto(step="a", cap=3, redo=True)),))
    assert ways(plan(step("a", to("b")), step("b", failure=(back,))))[-2:] == [
        's2 -.->|"unless it can only fail again<br/>at most 3 visits"| s1',
        's2 -.->|"else"| failed',
    ]


def test_a_retry_is_a_loop_with_its_limit_and_delay() -> None:
    assert ways(retry_action())[1:4] == [
        's1 -.->|"retry 2 times, 1 s later"| s1',
        "s1 --> s3",
        's1 -.->|"else"| s2',
    ]


@pytest.mark.parametrize(
    ("ms", "said"),
    [(250, "0.25 s"), (1_500, "1.5 s"), (90_000, "90 s"), (120_000, "2 min"), (86_400_000, "1 d")],
)
def test_a_delay_is_said_as_a_person_would(ms: int, said: str) -> None:
    assert f"retry 1 time, {said} later" in mermaid(plan(step("a", (), (one_of(again(1, ms)),))))


def test_several_loops_of_a_step_stand_in_its_box() -> None:
    """Mermaid draws their labels over each other."""
    routes = (Route(then=again(2), when=(LATE,)), Route(then=again(1)), Route(then=goto("a", 5)))
    flow = step("a", failure=(Choice(routes=routes),))
    assert box(flow).endswith(
        "<br/>if $statusCode == 503, retry 2 times, 1 s later"
        '<br/>else, retry 1 time, 1 s later<br/>else, again, at most 5 visits"]'
    )
    assert "s1 -.-> s1" in ways(plan(flow))


def test_a_join_is_marked_and_says_what_it_waits_for() -> None:
    drawn = mermaid(fork_and_join())
    assert re.search(r's4\[\[".*<br/>joins first, second, sorry"\]\]:::join', drawn)


def test_a_long_text_is_shortened() -> None:
    drawn = box(step("x" * 500))
    assert f"<b>{'x' * (LABEL - 1)}…</b>" in drawn
    assert "x" * LABEL not in drawn


HOSTILE = (
    "end",
    '"]; click s1 href "javascript:alert(1)"',
    "<img src=x onerror=alert(1)>",
    "a\n  s1 --> s9\n",
    '%%{init: {"securityLevel": "loose"}}%%',
    "`**bold** _it_ [l](http://x.y)`",
    "#quot;] --> x[#quot;",
    "style a:#f;",
    "\u202eevil\x00\x1b[31m",
    "|x|",
)


@given(name=st.text(max_size=80))
@example(name=HOSTILE[0])
@example(name=HOSTILE[1])
@example(name=HOSTILE[2])
@example(name=HOSTILE[3])
@example(name=HOSTILE[4])
@example(name=HOSTILE[5])
@example(name=HOSTILE[6])
@example(name=HOSTILE[7])
@example(name=HOSTILE[8])
@example(name=HOSTILE[9])
def test_no_text_ends_its_label_or_is_markup(name: str) -> None:
    when = Compare("==", Input(name), Constant(name))
    routes = (Route(then=goto(name), when=(when,)),)
    flow = plan(step(name, (Choice(routes=routes),)), name=name)
    lines = mermaid(flow).splitlines()
    assert all(BOX.fullmatch(x) or WAY.fullmatch(x) or OTHER.fullmatch(x) for x in lines)
    for line in lines[2:]:
        # Behind the drawing's own markup there is none.
        own = re.sub(r"<br/>|</?b>|-->|-\.->|:::|classDef .*|linkStyle .*|#\d+;", "", line)
        assert not re.search(r"[<>&#%`*:;\\]|\$\$", own)
        assert own.isprintable()


@pytest.mark.parametrize("name", ["$$x^2$$", "fa:fa-car", "fab:fa-x"])
def test_a_formula_or_an_icon_is_parted_for_mermaid_draws_it_however_it_is_written(
    name: str,
) -> None:
    drawn = box(step(name))
    assert "#8203;" in drawn
    assert "$$" not in drawn
    assert "#58;fa-" not in drawn


def test_the_same_plan_gives_the_same_text() -> None:
    assert mermaid(fork_and_join()) == mermaid(fork_and_join())


def test_steps_that_lead_nowhere_and_wide_plans_are_drawn() -> None:
    flow = plan(step("hub", to(*(f"s{n}" for n in range(30)))), *(step(f"s{n}") for n in range(30)))
    assert len(ways(flow)) == 1 + 30 + 1 + 2 * 30


def test_a_step_that_is_sent_again_in_doubt_says_so() -> None:
    assert "when unknown" not in box(step("text"))
    assert "when unknown" in box(replace(step("text"), when_unknown="resend"))

"""What a person reads while a run goes on."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ops.cli.terminal import ASCII, UNICODE, plain, span, symbols
from ops.cli.ticks import Ticks
from orchestrator.engine.events import Event


def _event(kind: str, at: int = 0, **fields: Any) -> Event:
    return Event(kind=kind, at=at, fields=fields)


def _lines(*events: Event) -> list[str]:
    ticks = Ticks(UNICODE)
    return [line for event in events for line in ticks.lines(event)]


def test_a_step_that_succeeded() -> None:
    assert _lines(_event("outcome", s="pay", k="succeeded", h=200)) == ["✓ pay (HTTP 200)"]


def test_a_step_that_failed_names_code_detail_and_status() -> None:
    landed = _event("outcome", s="pay", k="final", c="card_declined", d="insufficient_funds", h=402)
    closed = _event("decided", d=[["close", "pay", "failed", ""], ["end", "failed", "result"]])
    assert _lines(landed, closed) == ["✗ pay failed: card_declined (insufficient_funds), HTTP 402"]


@pytest.mark.parametrize("kind", ["transient", "unknown"])
def test_a_retry_says_when_and_why(kind: str) -> None:
    landed = _event("outcome", s="pay", k=kind, c="http-503", h=503, l=2_000)
    assert _lines(landed, _event("decided", at=1_000, d=[["wait", "pay", 3_000]])) == [
        "↻ pay: retry in 2.0 s: http-503"
    ]


def test_retries_exhausted_are_a_failure() -> None:
    landed = _event("outcome", s="pay", k="transient", c="http-429", h=429)
    closed = _event("decided", d=[["close", "pay", "failed", ""]])
    assert _lines(landed, closed) == ["✗ pay failed: http-429, HTTP 429"]


def test_the_documents_own_retry() -> None:
    landed = _event("outcome", s="pay", k="final", c="x", h=400)
    again = _event("decided", d=[["again", "pay", 2, 90_000, "0.0:1"]])
    assert _lines(landed, again)[1] == "↻ pay: tried anew in 2 min (onFailure)"


def test_operator_trouble_is_told_once_however_long_it_lasts() -> None:
    landed = _event("outcome", s="pay", k="operator", c="credential-missing", d="KEY", l=30_000)
    waits = _event("decided", d=[["wait", "pay", 30_000]])
    assert _lines(landed, waits, landed, waits) == [
        "⏸ pay: waiting for a person: credential-missing (KEY); tried again every 30 s"
    ]


def test_unknown_says_that_nobody_knows() -> None:
    landed = _event("outcome", s="text", k="unknown", c="answer-lost")
    (line,) = _lines(landed, _event("decided", d=[["close", "text", "unknown", ""]]))
    assert line == (
        "? text: unknown: answer-lost; nobody knows whether the provider did it:"
        " durazzo resolve says what became of it"
    )


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("unknown", "nobody knows whether the provider did it"),
        ("pending", "the provider has not decided yet"),
    ],
)
def test_what_is_parked_says_when_it_is_looked_up(kind: str, why: str) -> None:
    landed = _event("outcome", s="text", k=kind, c="x")
    (line,) = _lines(landed, _event("decided", d=[["park", "text", 60_000]]))
    assert line == f"? text: unknown: x; {why}: it is looked up in 1 min"


def test_a_short_turn_is_not_worth_a_line() -> None:
    assert _lines(_event("limited", s="pay", n=1, u=40)) == []
    assert _lines(_event("limited", s="pay", n=1, u=4_000)) == ["⏸ pay: waiting 4.0 s: limited"]


def test_a_call_taken_over_and_a_control_are_said() -> None:
    assert _lines(_event("claimed", s="pay", d=1)) == [
        "↻ pay: taken over from a worker that died in its call"
    ]
    assert _lines(_event("claimed", s="pay")) == []
    assert _lines(_event("control", k="pause", by="sam", why="asked")) == ["⏸ paused by sam: asked"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert _lines(_event("outcome", s="a\x1b[2J", k="succeeded", h=200)) == [
        "✓ a\ufffd[2J (HTTP 200)"
    ]
    assert plain("a\r\nb\x9b") == "a\ufffd\nb\ufffd"


def test_symbols_are_those_that_the_stream_can_write() -> None:
    assert symbols(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == UNICODE
    assert symbols(io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == ASCII
    assert symbols(io.TextIOWrapper(io.BytesIO(), encoding="latin-1")) == ASCII


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0.0 s"),
        (300, "0.3 s"),
        (42_400, "42 s"),
        (300_000, "5 min"),
        (10**7, "3 h"),
        (10**9, "12 d"),
    ],
)
def test_a_span_is_said_as_a_person_says_it(ms: int, text: str) -> None:
    assert span(ms) == text


def test_what_redis_may_have_lost_is_told_with_what_comes_of_it() -> None:
    waits = _event("limited", s="text", n=1, u=4_000, g=1)
    parked = _event("rewound", s="text", n=1, f=1_001, b=1, u=10_000, r=1)
    landed = _event("outcome", s="text", k="undone", c="not-found", l=0)
    assert _lines(waits, parked, landed, _event("decided", d=[["wait", "text", 0]])) == [
        "⏸ text: waiting 4.0 s: redis-restarted",
        "? text: redis-rewound; Redis lost writes: looked up before it is sent",
        "↻ text: not done (not-found), so it is sent",
    ]

"""Filter: which runs are meant."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Phase, Status, Visit
from orchestrator.engine.state import State as Run
from orchestrator.service import Filter
from orchestrator.service.many import (
    begins_more,
    ended_badly,
    goes_on,
    in_doubt_at,
    is_paused,
    where,
)


def run(
    *, ending: str = "", end: str = "", code: str = "", failed: str = "", paused: bool = False,
    **visits: Visit,
) -> Run:  # fmt: skip
    return Run(
        plan="p", name="charge", lane="l", accepted=1_000, visits=visits, ending=ending, end=end,
        code=code, failed_step=failed, paused=paused,
    )  # fmt: skip


def at(phase: Phase, code: str = "") -> Visit:
    return Visit(number=1, phase=phase, code=code)


WAITING = run(pay=at(Phase.SUCCEEDED), text=at(Phase.WAITING, "http-503"))
FAILED = run(
    end="failed", ending="failed", code="card_declined", failed="pay",
    pay=at(Phase.FAILED, "card_declined"),
)  # fmt: skip
UNKNOWN = run(pay=at(Phase.FAILED, "card_declined"), text=at(Phase.UNKNOWN, "answer-lost"))
CANCELLED = run(end="cancelled", ending="cancelled", code="cancelled", pay=at(Phase.CANCELLED))
ALL = {"waiting": WAITING, "failed": FAILED, "unknown": UNKNOWN, "cancelled": CANCELLED}


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        (Filter(), set(ALL)),
        (Filter(statuses=frozenset({Status.WAITING})), {"waiting"}),
        (Filter(statuses=frozenset({Status.FAILED, Status.UNKNOWN})), {"failed", "unknown"}),
        (Filter(workflow="charge"), set(ALL)),
        (Filter(workflow="charg"), set()),
        (Filter(since=1_000), set(ALL)),
        (Filter(since=1_001), set()),
        (Filter(step="text"), {"waiting", "unknown"}),
        (Filter(step="pay"), {"failed"}),
        (Filter(code="http-503"), {"waiting"}),
        (Filter(code="card_declined"), {"failed", "unknown"}),
        (Filter(code="cancelled"), {"cancelled"}),
        (Filter(code="card_declined", step="pay"), {"failed"}),
        (Filter(code="card_declined", step="text"), set()),
        (Filter(code="answer-lost", step="text"), {"unknown"}),
        (Filter(code="answer-lost", statuses=frozenset({Status.FAILED})), set()),
    ],
)
def test_all_that_is_said_must_fit(wanted: Filter, fitting: set[str]) -> None:
    assert {name for name, state in ALL.items() if wanted.fits(state)} == fitting


def test_a_filter_that_says_nothing_is_empty() -> None:
    assert Filter().empty
    assert not Filter(since=1).empty


def test_a_command_is_meant_for_what_it_can_be_done_to() -> None:
    paused = run(paused=True, pay=at(Phase.READY))
    ending = run(ending="cancelled", code="cancelled", pay=at(Phase.CALLING))
    states = {**ALL, "paused": paused, "ending": ending}

    def meant(*names: str) -> set[str]:
        return set(names)

    assert {n for n, s in states.items() if goes_on(s)} == meant("waiting", "unknown", "paused")
    assert {n for n, s in states.items() if begins_more(s)} == meant("waiting", "unknown")
    assert {n for n, s in states.items() if is_paused(s)} == meant("paused")
    assert {n for n, s in states.items() if ended_badly(s)} == meant("failed", "cancelled")
    assert {n for n, s in states.items() if in_doubt_at("text")(s)} == meant("unknown")
    assert {n for n, s in states.items() if in_doubt_at("pay")(s)} == set()


def test_a_run_stands_where_it_failed_or_where_it_has_not_ended() -> None:
    assert where(FAILED) == ["pay"]
    assert where(UNKNOWN) == ["text"]
    assert where(CANCELLED) == []

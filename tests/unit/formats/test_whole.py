"""A plan that lost a part of its document is an error, whatever lost it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.formats.diagnostics import Report
from orchestrator.formats.whole import check_whole
from orchestrator.plan.model import Plan
from tests.unit.formats.loading import arazzo, loaded

STEPS = """
      - {stepId: a, operationId: createOrder}
      - {stepId: b, operationId: createOrder}
"""
WHOLE = loaded(arazzo(STEPS)).plan


def found(plan: Plan, written: int) -> int:
    report = Report(file="f", text="")
    check_whole(plan, written, report)
    assert {d.code for d in report.diagnostics} <= {"bug"}
    return report.errors


def test_a_whole_plan_is_taken() -> None:
    assert found(WHOLE, 2) == 0


@pytest.mark.parametrize(
    ("plan", "problems"),
    [
        # the step that a leads to, and the count
        (replace(WHOLE, steps=WHOLE.steps[:1]), 2),
        # the step that the run begins with, and the count
        (replace(WHOLE, steps=WHOLE.steps[1:]), 2),
        (replace(WHOLE, steps=(), starts=()), 1),
        (replace(WHOLE, steps=(WHOLE.steps[0], replace(WHOLE.steps[1], awaits=("c",)))), 1),
    ],
)
def test_what_was_lost_without_a_word_is_told(plan: Plan, problems: int) -> None:
    assert found(plan, 2) == problems


def test_where_errors_were_found_nothing_is_said_of_what_is_left_out() -> None:
    report = Report(file="f", text="")
    report.error("e", "")
    check_whole(replace(WHOLE, steps=()), 2, report)
    assert report.errors == 1

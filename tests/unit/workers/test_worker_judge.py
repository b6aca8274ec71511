"""judge: what a step makes of an answer that may still change."""

from __future__ import annotations

import pytest

from orchestrator.engine.state import Result
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import Compare, Constant, Node, ResponseBody, StatusCode
from orchestrator.policy.outcomes import Answer, Kind, Verdict
from tests.fakes import plans
from workers.judge import judge
from workers.render import FrozenRequest

OK = Compare("==", StatusCode(), Constant(200))
ACTION = Compare("==", ResponseBody("/status"), Constant("requires_action"))
DONE = Compare("==", ResponseBody("/status"), Constant("succeeded"))


@pytest.mark.parametrize(
    ("criteria", "result"),
    [
        ((), Result.PENDING),
        ((OK,), Result.PENDING),
        ((OK, DONE), Result.PENDING),
        ((OK, ACTION), Result.SUCCEEDED),
    ],
)
def test_what_is_pending_is_a_success_only_to_criteria_that_look_at_it(
    criteria: tuple[Node, ...], result: Result
) -> None:
    """A status of 200 says nothing about money that may still move."""
    request = FrozenRequest(
        method="POST", url="https://api.stripe.com/v1/payment_intents", headers=(), body=None,
        key="k", provider="stripe",
    )  # fmt: skip
    answer = Answer(status=200, headers={}, body={"status": "requires_action"})
    verdict = Verdict(kind=Kind.PENDING, code="requires_action")
    step = plans.step("pay", criteria=criteria)
    assert judge(step, Context(), request, answer, verdict).outcome.result is result

"""judge: what a step makes of an answer that may still change."""

from __future__ import annotations

import pytest

from orchestrator.engine.advance import UNANSWERED
from orchestrator.engine.state import Result
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import (
    Cel,
    Compare,
    Constant,
    Node,
    Output,
    ResponseBody,
    StatusCode,
)
from orchestrator.plan.model import Choice, Goto, Route
from orchestrator.policy.outcomes import Answer, Kind, Verdict
from tests.fakes import plans
from workers.judge import judge
from workers.render import FrozenRequest

OK = Compare("==", StatusCode(), Constant(200))
ACTION = Compare("==", ResponseBody("/status"), Constant("requires_action"))
DONE = Compare("==", ResponseBody("/status"), Constant("succeeded"))
REQUEST = FrozenRequest(
    method="POST", url="https://api.stripe.com/v1/payment_intents", headers=(), body=None,
    key="k", provider="stripe",
)  # fmt: skip


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
    answer = Answer(status=200, headers={}, body={"status": "requires_action"})
    verdict = Verdict(kind=Kind.PENDING, code="requires_action")
    step = plans.step("pay", criteria=criteria)
    assert judge(step, Context(), REQUEST, answer, verdict).outcome.result is result


def test_a_success_whose_way_on_nobody_can_tell_is_a_success_with_a_code() -> None:
    """The call was made: a condition's error must not make a failure, and a fallback, of it."""
    when = Cel("outputs.pay.state == 'paid'", (Output("pay", "state"),))
    way = Choice(routes=(Route(then=plans.goto("b"), when=(when,)),))
    step = plans.step("pay", [way], outputs=[("state", ResponseBody("/state"))])
    answer = Answer(status=200, headers={}, body={"id": "pi_1"})
    found = judge(step, Context(), REQUEST, answer, Verdict(kind=Kind.ANSWERED, code=""))
    assert found.outcome.result is Result.SUCCEEDED
    assert found.outcome.matched == UNANSWERED
    assert (found.outcome.code, found.outcome.detail) == ("condition-failed", "not-found")


@pytest.mark.parametrize(("lasting", "matched"), [(False, "0;0"), (True, ";0")])
def test_a_refusal_that_lasts_takes_no_way_back_but_every_way_on(
    lasting: bool, matched: str
) -> None:
    back = Choice(routes=(Route(then=Goto(step="create", cap=3, redo=True)),))
    step = plans.step("pay", (), [back, *plans.to("tell")])
    answer = Answer(status=402, headers={}, body={"error": {"code": "expired_card"}})
    verdict = Verdict(kind=Kind.FINAL, code="expired_card", lasting=lasting)
    assert judge(step, Context(), REQUEST, answer, verdict).outcome.matched == matched

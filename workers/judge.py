"""From an answer to an outcome: classify, criteria, outputs, routes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from orchestrator.engine.advance import UNANSWERED
from orchestrator.engine.changed import changed
from orchestrator.engine.routes import matched as matched_routes
from orchestrator.engine.state import Outcome, Result
from orchestrator.errors import ConditionFailed
from orchestrator.expressions.evaluate import Context, Request, Response, evaluate, holds
from orchestrator.expressions.nodes import MISSING, Json, Missing, Node, ResponseBody, walk
from orchestrator.plan.model import Step
from orchestrator.policy.outcomes import Answer, Kind, NoAnswer, Verdict
from orchestrator.policy.outcomes import Result as Reply
from workers.render import FrozenRequest

#: A step's outputs together, as JSON. A larger one is dropped: nothing that follows sees it.
MAX_OUTPUTS: Final = 64 * 1024
CRITERIA_NOT_MET: Final = "criteria-not-met"
STEP_TIMEOUT: Final = "step-timeout"
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    outcome: Outcome
    #: None when nothing that follows may read them.
    outputs: Mapping[str, Json] | None = None
    #: As ``Settlement.effect``.
    effect: str = ""
    #: As ``Settlement.pause``, and ``refused``.
    pause: tuple[str, int] | None = None
    refused: bool = False


def judge(
    step: Step, context: Context, request: FrozenRequest, reply: Reply, verdict: Verdict
) -> Judgement:
    """What the step makes of the reply. The outcome's delay is policy's, not set here."""
    status = reply.status if isinstance(reply, Answer) else 0
    outcome = Outcome(
        result=Result.UNKNOWN, code=verdict.code, detail=verdict.detail, status=status
    )
    match verdict.kind:
        case Kind.TRANSIENT | Kind.UNKNOWN | Kind.OPERATOR:
            return Judgement(outcome=changed(outcome, result=Result(verdict.kind.value)))
        case Kind.FINAL if isinstance(reply, NoAnswer):
            return _failed(step, context, outcome, lasting=verdict.lasting)
        case _ if isinstance(reply, NoAnswer):
            return Judgement(outcome=outcome)
        case _:
            return _judge_answer(step, _seen(context, request, reply), outcome, verdict)


def turned_away(
    step: Step, context: Context, last: Outcome, request: FrozenRequest, reply: Reply
) -> Judgement:
    """Every attempt did nothing, and there is none to come: the step's ways on from a failure."""
    if isinstance(reply, Answer):
        context = _seen(context, request, reply)
    judgement = _failed(step, context, last, lasting=False)
    return replace(judgement, outcome=changed(judgement.outcome, result=last.result))


def timed_out(
    step: Step,
    context: Context,
    last: Outcome,
    request: FrozenRequest | None = None,
    reply: Reply | None = None,
) -> Judgement:
    """The step's time is up, and nothing of it can have been done: its ways on from a failure.

    ``last``: what its latest attempt came to; ``reply``: to the request, if there is one.
    """
    if request is not None and isinstance(reply, Answer):
        context = _seen(context, request, reply)
    outcome = changed(last, code=STEP_TIMEOUT, detail=last.code, delay=-1)
    return _failed(step, context, outcome, lasting=False)


def _judge_answer(step: Step, context: Context, outcome: Outcome, verdict: Verdict) -> Judgement:
    kind = verdict.kind
    broken = _broken(step, context, outcome.status)
    if kind is Kind.PENDING and (broken is not None or not _look_inside(step.criteria)):
        # Money may still move: neither a success nor a failure yet.
        return Judgement(outcome=changed(outcome, result=Result.PENDING))
    if broken is None:
        return _succeeded(step, context, outcome)
    if kind is Kind.ANSWERED:
        outcome = changed(outcome, code=CRITERIA_NOT_MET, detail=broken)
    return _failed(step, context, outcome, lasting=verdict.lasting)


def _broken(step: Step, context: Context, status: int) -> str | None:
    """The first criterion that does not hold; without criteria a 2xx status is asked for."""
    if not step.criteria:
        return None if status in _SUCCESS else "status"
    rows = enumerate(step.criteria, 1)
    return next((f"criterion-{n}" for n, node in rows if not holds(node, context)), None)


def _look_inside(criteria: tuple[Node, ...]) -> bool:
    """Criteria that never look at the body cannot tell what is pending from what is done."""
    return any(isinstance(part, ResponseBody) for node in criteria for part in walk(node))


def _succeeded(step: Step, context: Context, outcome: Outcome) -> Judgement:
    outputs = _outputs(step, context)
    # A success has no error code, whatever the provider's table reads from its body.
    code = detail = ""
    try:
        matched = matched_routes(step.success, _with(context, step, outputs))
    except ConditionFailed as problem:
        matched, code, detail = UNANSWERED, problem.code, problem.message
    landed = changed(outcome, result=Result.SUCCEEDED, code=code, detail=detail, matched=matched)
    return Judgement(outcome=landed, outputs=outputs)


def _failed(step: Step, context: Context, outcome: Outcome, *, lasting: bool) -> Judgement:
    outputs = _outputs(step, context)
    try:
        matched = matched_routes(step.failure, _with(context, step, outputs), lasting=lasting)
    except ConditionFailed:
        matched = UNANSWERED
    landed = changed(outcome, result=Result.FINAL, matched=matched)
    # Steps that the run goes on to may read what the failed answer held.
    goes_on = bool(matched.strip(";")) and matched != UNANSWERED
    return Judgement(outcome=landed, outputs=outputs if goes_on else None)


def _outputs(step: Step, context: Context) -> dict[str, Json]:
    found: dict[str, Json] = {}
    size = 0
    for name, node in step.outputs:
        value = evaluate(node, context)
        if isinstance(value, Missing):
            continue
        size += len(json.dumps(value))
        if size <= MAX_OUTPUTS:
            found[name] = value
    return found


def _with(context: Context, step: Step, outputs: Mapping[str, Json]) -> Context:
    return replace(context, outputs={**context.outputs, step.id: outputs})


def _seen(context: Context, request: FrozenRequest, reply: Answer) -> Context:
    """What criteria and outputs can see: the answer, and the request without its secrets."""
    headers = {
        name.lower(): "".join(part for part in parts if isinstance(part, str))
        for name, parts in request.headers
    }
    query = urlsplit(request.url).query
    return replace(
        context,
        response=Response(status=reply.status, headers=reply.headers, body=reply.body),
        request=Request(
            method=request.method,
            url=request.url,
            headers=headers,
            query=dict(parse_qsl(query)) if query else {},
            body=_json(request.body),
        ),
    )


def _json(body: bytes | None) -> Json | Missing:
    try:
        value: Json = json.loads(body or b"")
    except ValueError:
        return MISSING
    return value

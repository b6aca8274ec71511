"""Submit: from here on, accepted is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import jsonschema_rs

from orchestrator.canvas.messages import TaskId
from orchestrator.clock import sortable_id
from orchestrator.engine import events
from orchestrator.errors import InputsRefused, JournalUnavailable, RunKeyConflict, RunRemoved
from orchestrator.expressions.nodes import Input, Json, walk
from orchestrator.formats.duration import LONGEST
from orchestrator.journal.port import Acceptance, NewRun
from orchestrator.plan import codec
from orchestrator.plan.model import Plan, Step
from orchestrator.service.core import Core
from orchestrator.service.inspect import Run
from orchestrator.settings import DEFAULT_LANE

#: A run's inputs as JSON. Bytes.
MAX_INPUTS = 256 * 1024
#: A run key, and the name of its scope. Characters.
MAX_KEY: Final = 256
#: The scope of run keys that are given none: the workflow's own.
WORKFLOW: Final = "workflow"
_DIFFERS: Final = {"plan": "another document", "inputs": "other inputs"}


def submit(
    core: Core,
    plan: Plan,
    inputs: Mapping[str, Json],
    *,
    key: str | None = None,
    key_scope: str = WORKFLOW,
    lane: str = DEFAULT_LANE,
    deadline: timedelta | datetime | None = None,
) -> Run:
    """Accept a run and send its first segment.

    ``key``: a run key: submitted again with the same plan and inputs it gives the same run, and
    nothing runs twice. It counts within its ``key_scope``: the workflow, or a name of the
    caller's own, e.g. "global", under which workflows and batches share their keys. It holds
    for DURAZZO_KEY_LIFE after its last use, whatever became of the run.

    ``deadline``: a span from the acceptance, or a time that knows its zone; the document's own
    counts if it is earlier. From then on nothing is begun: what is under way lands, what is in
    doubt is looked up, and the run has failed (deadline-passed) unless all was done. A run that a
    key stands for keeps the deadline that it was accepted with.

    Raises InputsRefused before anything is stored, RunKeyConflict when the key stands for
    another plan or other inputs, RunRemoved when its run is not there any more,
    JournalUnavailable when Redis cannot be asked. A run whose first message could not be sent
    is accepted all the same: the timekeeper sends it.
    """
    given = check_inputs(plan, inputs)
    last, within = _deadline(core, plan, deadline, keyed=key is not None)
    data = codec.encode(plan)
    run = sortable_id(core.clock.unix_ms(), core.entropy.token(10))
    new = NewRun(
        run=run,
        plan=data,
        digest=codec.digest(data),
        name=plan.name,
        lane=lane,
        starts=plan.starts,
        reads={step.id: _reads(step) for step in plan.steps},
        inputs=given,
        key=None if key is None else (_scope(plan, key, key_scope), key),
        deadline=last,
        within=within,
    )
    accepted = core.journal.accept(new)
    _check_known(accepted)
    if accepted.new:
        _send_first(core, new, accepted.at)
    return Run(core, accepted.run, known=not accepted.new)


def _deadline(
    core: Core, plan: Plan, given: timedelta | datetime | None, *, keyed: bool
) -> tuple[int, int]:
    """As ``NewRun`` has it. Raises InputsRefused."""
    if isinstance(given, timedelta):
        span = round(given / timedelta(milliseconds=1))
        if not 0 < span <= LONGEST:
            raise InputsRefused(["a deadline is more than nothing, and at most 366 days, away"])
        return 0, min(span, plan.timeout_ms or span)
    if given is None:
        return 0, plan.timeout_ms
    if given.tzinfo is None:
        raise InputsRefused(["a deadline that is a time needs its zone, e.g. +00:00"])
    at, now = round(given.timestamp() * 1000), core.clock.unix_ms()
    # Under a key, it may be the submit of a run that is there already.
    if at <= now and not keyed:
        raise InputsRefused(["the deadline has passed already"])
    if at - now > LONGEST:
        raise InputsRefused(["a deadline is at most 366 days away"])
    return max(at, 1), plan.timeout_ms


def _scope(plan: Plan, key: str, scope: str) -> str:
    for what, text in (("run key", key), ("scope of the run key", scope)):
        if not text.strip() or len(text) > MAX_KEY:
            raise InputsRefused([f"the {what} must have 1 to {MAX_KEY} characters"])
    # No workflow's id has a colon in it.
    return plan.name if scope == WORKFLOW else f"scope:{scope}"


def _check_known(accepted: Acceptance) -> None:
    """Raises for a key whose run is not the one that is asked for, or is not there."""
    day = f"{datetime.fromtimestamp(accepted.at / 1000, UTC):%Y-%m-%d}"
    if accepted.conflict:
        what = " and ".join(_DIFFERS[name] for name in accepted.differs)
        raise RunKeyConflict(
            f"the run key was used on {day} for run {accepted.run} with {what}:"
            " use another key, or submit exactly what was submitted then"
        )
    if accepted.gone:
        raise RunRemoved(
            f"this was submitted on {day} as run {accepted.run}, whose journal has been removed:"
            " it is not accepted again; use another key if it is to run once more"
        )


def check_inputs(plan: Plan, inputs: Mapping[str, Json]) -> dict[str, Json]:
    """The inputs with their defaults. Raises InputsRefused with all that is wrong."""
    defaults = {name: json.loads(text) for name, text in plan.inputs.defaults}
    given = {**defaults, **inputs}
    if len(json.dumps(given)) > MAX_INPUTS:
        raise InputsRefused([f"the inputs are larger than {MAX_INPUTS // 1024} KiB"])
    problems = [
        f"input {name!r} is missing: a request or a criterion needs it"
        for name in plan.inputs.referenced
        if given.get(name) is None
    ]
    validator = jsonschema_rs.validator_for(
        json.loads(plan.inputs.schema), mask="the value", retriever=_no_retrieval
    )
    missing = {name for name in plan.inputs.referenced if given.get(name) is None}
    for error in validator.iter_errors(given):
        where = "/".join(str(part) for part in error.instance_path)
        if not (error.kind.name == "required" and error.kind.property in missing):  # type: ignore[attr-defined]
            problems.append(f"input {where!r}: {error.message}" if where else error.message)
    if problems:
        raise InputsRefused(problems)
    return given


def _no_retrieval(uri: str) -> None:
    raise ValueError(f"a schema may not refer to {uri}")


def _reads(step: Step) -> list[str]:
    """Data fields that the step's expressions need, as the journal names them."""
    reads_inputs = any(isinstance(n, Input) for node in step.nodes() for n in walk(node))
    return (["inputs"] if reads_inputs else []) + [f"o:{other}" for other in step.reads()]


def _send_first(core: Core, new: NewRun, at: int) -> None:
    event = events.accepted(at=at, plan=new.digest, name=new.name, lane=new.lane, starts=new.starts)
    state = events.begin(event)
    try:
        for step, visit in state.visits.items():
            core.driver.send(TaskId(new.run, step, visit.number), state)
    except JournalUnavailable:
        # Accepted and in the due-set: the timekeeper sends what this process could not.
        return

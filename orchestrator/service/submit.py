"""Submit: from here on, accepted is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping

import jsonschema_rs

from orchestrator.canvas.messages import TaskId
from orchestrator.clock import sortable_id
from orchestrator.engine import events
from orchestrator.errors import InputsRefused, JournalUnavailable, RunKeyConflict
from orchestrator.expressions.nodes import Input, Json, walk
from orchestrator.journal.port import NewRun
from orchestrator.plan import codec
from orchestrator.plan.model import Plan, Step
from orchestrator.service.core import Core
from orchestrator.service.inspect import Run
from orchestrator.settings import DEFAULT_LANE

#: A run's inputs as JSON. Bytes.
MAX_INPUTS = 256 * 1024


def submit(
    core: Core,
    plan: Plan,
    inputs: Mapping[str, Json],
    *,
    key: str | None = None,
    lane: str = DEFAULT_LANE,
) -> Run:
    """Accept a run and send its first segment.

    ``key``: a run key, scoped to the workflow: submitted again with the same plan and inputs
    it gives the same run, and nothing runs twice.

    Raises InputsRefused before anything is stored, RunKeyConflict when the key stands for
    another plan or other inputs, JournalUnavailable when Redis cannot be asked. A run whose
    first message could not be sent is accepted all the same: the timekeeper sends it.
    """
    given = check_inputs(plan, inputs)
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
        key=(plan.name, key) if key is not None else None,
    )
    accepted = core.journal.accept(new)
    if accepted.conflict:
        raise RunKeyConflict(
            f"the run key was used for run {accepted.run} with another document or other inputs:"
            " use another key, or submit exactly what was submitted then"
        )
    if accepted.new:
        _send_first(core, new, accepted.at)
    return Run(core, accepted.run, known=not accepted.new)


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

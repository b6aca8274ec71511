"""Submit: from here on, accepted is finished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator.canvas.messages import TaskId
from orchestrator.clock import sortable_id
from orchestrator.engine import events
from orchestrator.errors import InputsRefused, JournalUnavailable, RunKeyConflict, RunRemoved
from orchestrator.expressions.nodes import Input, Json, walk
from orchestrator.formats.duration import LONGEST
from orchestrator.journal.port import Acceptance, NewRun
from orchestrator.plan import codec
from orchestrator.plan.checker import MAX_KEY, checker
from orchestrator.plan.model import Plan, Step
from orchestrator.service.accounts import check_accounts
from orchestrator.service.core import Core
from orchestrator.service.inspect import Run

#: The scope of run keys that are given none: the workflow's own.
WORKFLOW: Final = "workflow"
_DIFFERS: Final = {
    "plan": "another document", "account": "another account", "inputs": "other inputs",
}  # fmt: skip
_NONE: Final[Mapping[str, str]] = {}


def submit(
    core: Core,
    plan: Plan,
    inputs: Mapping[str, Json],
    *,
    key: str | None = None,
    key_scope: str = WORKFLOW,
    lane: str | None = None,
    deadline: timedelta | datetime | None = None,
    accounts: Mapping[str, str] = _NONE,
) -> Run:
    """Accept a run and send its first segment.

    ``key``: a run key: submitted again with the same plan and inputs it gives the same run, and
    nothing runs twice. It counts within its ``key_scope``: the workflow, or a name of the
    caller's own, e.g. "global", under which workflows and batches share their keys. It holds
    for DURAZZO_KEY_LIFE after its last use, whatever became of the run.

    ``lane``: the queue that the run stands in, named by letters, digits, dots, dashes and
    underscores; without it that of its workflow, by DURAZZO_LANES.

    ``deadline``: a span from the acceptance, or a time that knows its zone; the document's own
    counts if it is earlier. From then on nothing is begun: what is under way lands, what is in
    doubt is looked up, and the run has failed (deadline-passed) unless all was done. A run that a
    key stands for keeps the deadline that it was accepted with.

    ``accounts``: provider → label: every call of that provider which durazzo authorizes is made
    with the secrets of that label, e.g. STRIPE_SECRET_KEY__EU for ``{"stripe": "eu"}``, and with no
    others. A document's own credentials stay as they are written.

    Raises InputsRefused and UnknownProvider before anything is stored, RunKeyConflict when the key
    stands for another plan, account or other inputs, RunRemoved when its run is not there any more,
    JournalUnavailable when Redis cannot be asked. A run whose first message could not be sent
    is accepted all the same: the timekeeper sends it.
    """
    given = check_inputs(plan, inputs)
    named = check_accounts(plan, accounts, core.profiles)
    last, within = _deadline(core, plan, deadline, keyed=key is not None)
    data = codec.encode(plan)
    run = sortable_id(core.clock.unix_ms(), core.entropy.token(10))
    new = NewRun(
        run=run,
        plan=data,
        digest=codec.digest(data),
        name=plan.name,
        lane=core.lane(plan.name, lane),
        starts=plan.starts,
        reads={step.id: reads_of(step) for step in plan.steps},
        inputs=given,
        key=None if key is None else _named(plan, key, key_scope),
        deadline=last,
        within=within,
        accounts=named,
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


def _named(plan: Plan, key: str, scope: str) -> tuple[str, str]:
    _check_length("run key", key)
    return scope_of(plan, scope), key


def scope_of(plan: Plan, scope: str) -> str:
    """As the journal knows it. Raises InputsRefused."""
    _check_length("scope of the run key", scope)
    return plan.name if scope == WORKFLOW else scope_named(scope)


def scope_named(scope: str) -> str:
    """Of a caller's own scope."""
    # No workflow's id has a colon in it.
    return f"scope:{scope}"


def _check_length(what: str, text: str) -> None:
    if not text.strip() or len(text) > MAX_KEY:
        raise InputsRefused([f"the {what} must have 1 to {MAX_KEY} characters"])


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
    return checker(plan.inputs).check(inputs)


def reads_of(step: Step) -> list[str]:
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

"""Looking at runs: status, report, waiting. Nothing here changes a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.engine.advance import DEADLINE_PASSED
from orchestrator.engine.effects import Effect
from orchestrator.engine.events import Event
from orchestrator.engine.state import Phase, State, Status, Visit
from orchestrator.errors import Diagnostic, NewerRelease, UnknownRun
from orchestrator.expressions.evaluate import Context, evaluate
from orchestrator.expressions.nodes import Json, Missing
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import output_steps
from orchestrator.plan.secrets import secret_outputs
from orchestrator.policy.accounts import read as read_accounts
from orchestrator.service.core import Core

#: States in which a run changes no more by itself.
SETTLED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.UNKNOWN})
_GOES_ON: Final = frozenset({Status.PENDING, Status.RUNNING, Status.WAITING})
#: What stands in place of a secret.
HIDDEN: Final = "[secret]"
#: No id begins so: their alphabet has no L.
LAST: Final = "last"
#: Runs among which the beginning of an id is looked for.
_SEARCHED: Final = 100_000
#: Runs that are looked at to count the unfinished ones: others wait for a person.
_LOOKED: Final = 1_000
#: Of them, so many in one round trip.
_PAGE: Final = 200
_POLL_MIN: Final = 20
_POLL_MAX: Final = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    step: str
    state: str
    visits: int
    #: Calls made over all visits.
    attempts: int
    #: HTTP status of the last answer, 0 when there was none.
    status: int
    code: str = ""
    detail: str = ""

    def as_json(self) -> dict[str, Json]:
        plain: dict[str, Json] = {
            "step": self.step,
            "state": self.state,
            "visits": self.visits,
            "attempts": self.attempts,
            "status": self.status or None,
        }
        plain |= {"code": self.code} if self.code else {}
        return plain | ({"detail": self.detail} if self.detail else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    run: str
    workflow: str
    state: str
    #: By name, secrets included: for the application, not to be shown.
    outputs: Mapping[str, Json]
    steps: Sequence[StepReport]
    #: Those of the outputs that are secrets, e.g. an access token.
    secrets: frozenset[str] = frozenset()
    error: StepReport | None = None
    error_code: str = ""
    #: What stands at the providers, whatever became of the run.
    effects: Sequence[Effect] = ()
    #: ms since the epoch, Redis' clock; 0 for a run that has not ended.
    accepted: int = 0
    ended: int = 0
    #: When its values were erased for good, outputs among them; 0 for never. ms, as above.
    forgotten: int = 0
    #: Provider → label of the account that it was called by.
    accounts: Mapping[str, str] = field(default_factory=dict)
    diagnostics: Sequence[Diagnostic] = field(default=())

    def shown_outputs(self, *, reveal: bool = False) -> dict[str, Json]:
        """``reveal``: secrets as they are, instead of a mask."""
        hidden = frozenset() if reveal else self.secrets
        return {name: HIDDEN if name in hidden else v for name, v in self.outputs.items()}

    def as_json(self, *, reveal: bool = False) -> dict[str, Json]:
        """The documented shape of ``--json``."""
        more: dict[str, Json] = {"erased_at": self.forgotten} if self.forgotten else {}
        more |= {"accounts": dict(self.accounts)} if self.accounts else {}
        return {
            "run": self.run,
            "workflow": self.workflow,
            "state": self.state,
            "outputs": self.shown_outputs(reveal=reveal),
            "steps": [step.as_json() for step in self.steps],
            "effects": [effect.as_json() for effect in self.effects],
            "error": self._error(),
            "diagnostics": [d.as_json() for d in self.diagnostics],  # type: ignore[misc]
            **more,
        }

    def _error(self) -> Json:
        if not self.error_code:
            return None
        plain: dict[str, Json] = {"code": self.error_code, "message": self.explain()}
        if self.error is not None:
            plain |= {"step": self.error.step, "status": self.error.status or None}
            plain |= {"detail": self.error.detail} if self.error.detail else {}
        return plain

    def stands(self) -> str:
        """Of a run that did not succeed: what it did all the same; "" for nothing known."""
        if self.state == Status.SUCCEEDED or not self.effects:
            return ""
        done = ", ".join(f"{effect.told} ({effect.step})" for effect in self.effects)
        return f"but {done}"

    def explain(self) -> str:
        """One sentence, codes only."""
        if self.error_code == DEADLINE_PASSED:
            before = f" before step {self.error.step} was done" if self.error else ""
            return f"the run's deadline passed{before}: {self.error_code}"
        if self.error is None:
            return f"the run was {self.state}: {self.error_code}"
        detail = f" ({self.error.detail})" if self.error.detail else ""
        status = f", HTTP {self.error.status}" if self.error.status else ""
        step = f"step {self.error.step} {self.error.state}"
        # A step that succeeded is to blame when nobody could tell the way on from it.
        where = f"after {step}" if self.error.state == Phase.SUCCEEDED else step
        return f"{where}: {self.error_code}{detail}{status}"


class Run:
    """A run that was accepted."""

    def __init__(self, core: Core, run: str, *, known: bool = False) -> None:
        self._core = core
        self.id = run
        #: True when the run key had this run already: nothing new was started.
        self.known = known

    def state(self) -> State:
        """Raises UnknownRun."""
        state = self._core.journal.read(self.id)
        if state is None:
            raise UnknownRun(f"no run {self.id!r} in this journal")
        return state

    def status(self) -> Status:
        return self.state().status

    def wait(self, timeout: float | None = None) -> Status:
        """The status once the run ended or is unknown, or as it is after ``timeout`` seconds."""
        clock, pause = self._core.clock, _POLL_MIN
        ends = None if timeout is None else clock.monotonic_ms() + timeout * 1000
        while (status := self.status()) not in SETTLED:
            if ends is not None and clock.monotonic_ms() >= ends:
                break
            clock.sleep_ms(pause)
            pause = min(pause * 2, _POLL_MAX)
        return status

    def report(self) -> Report:
        state = self.state()
        graph = self._core.plans.graph(state.plan)
        steps = [step.id for step in graph.plan.steps if step.id in state.visits]
        return replace(
            report_of(self.id, state, self.history(), steps),
            outputs=self._outputs(graph),
            secrets=secret_outputs(graph.plan),
        )

    def key(self) -> str | None:
        """The run key that it was submitted with."""
        return self._core.journal.key_of(self.id)

    def history(self, *, reasons: bool = False) -> list[Event]:
        """``reasons``: with why people did what they did, which may name somebody."""
        return self._core.journal.history(self.id, reasons=reasons)

    def _outputs(self, graph: Graph) -> dict[str, Json]:
        nodes = graph.plan.outputs
        needed = output_steps(node for _, node in nodes)
        context = Context(
            inputs=self._core.journal.inputs(self.id),
            outputs=self._core.journal.outputs(self.id, needed),
        )
        values = {name: evaluate(node, context) for name, node in nodes}
        return {name: value for name, value in values.items() if not isinstance(value, Missing)}


def report_of(run: str, state: State, history: Iterable[Event], steps: Iterable[str]) -> Report:
    """What needs no key: all but the outputs. ``steps``: those that were entered, in order."""
    calls = Counter(event.fields["s"] for event in history if event.kind == "begun")
    told = [_step_report(step, state.visits[step], calls[step]) for step in steps]
    blamed = _blamed(state, told)
    return Report(
        run=run,
        workflow=state.name,
        state=state.status,
        outputs={},
        steps=told,
        error=blamed,
        error_code=state.code or (blamed.code or blamed.state if blamed else ""),
        effects=state.effects,
        accepted=state.accepted,
        ended=state.ended,
        forgotten=state.forgotten,
        accounts=read_accounts(state.accounts),
    )


def recent(core: Core, limit: int = 20, newer: list[str] | None = None) -> list[tuple[str, State]]:
    """The latest runs, newest first.

    Those that only a newer release can read are left out; ``newer`` is given their ids.
    """
    found: list[tuple[str, State]] = []
    left = newer if newer is not None else []
    for run in core.journal.recent(limit):
        try:
            state = core.journal.read(run)
        except NewerRelease:
            left.append(run)
            continue
        if state is not None:
            found.append((run, state))
    return found


def in_doubt(core: Core, limit: int = 1_000) -> list[tuple[str, State]]:
    """Runs that are unknown, newest first: of ``limit`` that are in doubt for the longest."""
    found = [(one.run, one.state) for one in core.journal.doubted(limit)]
    unknown = [(run, s) for run, s in found if s is not None and s.status is Status.UNKNOWN]
    return sorted(unknown, key=lambda one: one[1].accepted, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What goes on as soon as a worker is there."""

    #: Runs, as far as they were counted.
    count: int
    #: Whether there may be more of them.
    more: bool
    #: That any unfinished run stands in, or rows of a batch that are no runs yet: all of them.
    lanes: frozenset[str]

    @property
    def told(self) -> str:
        """As "1 unfinished run", "100 or more unfinished runs"; "" for none."""
        if not self.count:
            return ""
        more = " or more" if self.more else ""
        return f"{self.count}{more} unfinished run{'s' if more or self.count > 1 else ''}"


def unfinished(core: Core, limit: int = 100) -> Unfinished:
    """``limit``: runs that are counted at most."""
    count, first, more = 0, 0, True
    while more and count < limit and first < _LOOKED:
        page = core.journal.unended(first, _PAGE)
        count += sum(one.state is not None and one.state.status in _GOES_ON for one in page)
        first, more = first + _PAGE, len(page) == _PAGE
    return Unfinished(
        count=min(count, limit), more=more or count > limit, lanes=core.journal.lanes()
    )


def find(core: Core, name: str) -> Run:
    """A run by its id, by the beginning of one, or the ``last`` one. Raises UnknownRun."""
    if core.journal.read(name) is not None:
        return Run(core, name)
    if name == LAST and (latest := core.journal.recent(1)):
        return Run(core, latest[0])
    found = [run for run in core.journal.recent(_SEARCHED) if run.startswith(name)] if name else []
    if len(found) > 1:
        raise UnknownRun(f"{len(found)} runs begin with {name!r}: give more of the id")
    if not found:
        raise UnknownRun(f"no run {name!r} in this journal: durazzo runs lists them")
    return Run(core, found[0])


def _step_report(step: str, visit: Visit, attempts: int) -> StepReport:
    return StepReport(
        step=step,
        state=visit.phase.value,
        visits=visit.number,
        # Of a history that was not read, those of the latest visit at least.
        attempts=max(attempts, visit.attempts),
        status=visit.status,
        code=visit.code,
        detail=visit.detail,
    )


def _blamed(state: State, steps: Sequence[StepReport]) -> StepReport | None:
    """The step that failed the run, or the one that it is unknown by."""
    by_id = {step.step: step for step in steps}
    if step := state.failed_step:
        # The deadline cuts off what was never entered, too.
        never = StepReport(step=step, state=Phase.CANCELLED, visits=0, attempts=0, status=0)
        return by_id.get(step, never)
    return next((step for step in steps if step.state == Phase.UNKNOWN), None)

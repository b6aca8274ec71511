"""What ``durazzo flower`` shows of runs: as ``durazzo show`` and ``runs`` tell them, without a key.

Nothing that is sealed is opened: not the plan, so a provider may have no name here, and no reason
that a person gave. Amounts are left to ``show``: a browser keeps what it saw.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import click

from ops.cli import telling, timeline
from ops.cli.standing import NOT_GOOD, Standing
from ops.cli.telling import age, safe, utc
from ops.cli.terminal import UNICODE
from ops.flower.views import RunRow, RunsView, RunView, StepRow, Table
from orchestrator.engine.effects import Effect, Totals
from orchestrator.engine.events import Event
from orchestrator.engine.state import Phase, Result, State, Status
from orchestrator.errors import JournalUnavailable, UnknownRun
from orchestrator.journal.port import Listed, Stop
from orchestrator.plan.model import HttpCall, Plan, Step
from orchestrator.service import Core, StepReport, in_doubt, report_of, stops
from orchestrator.service.many import where
from orchestrator.service.timeline import PROVIDER_STOPPED, Entry, What
from orchestrator.service.timeline import timeline as timeline_of

#: Changes of a run from which on its story is not read: that would be megabytes.
_LONG: Final = 20_000
#: Runs that are looked at, the latest ones and those that have not ended; of these, in one answer.
_LOOKED_AT: Final = 1_000
_PAGE: Final = 200
#: Rows of a table.
_SHOWN: Final = 50
_WIDTH: Final = 120
#: Whose name is sealed with the plan.
_SOMEBODY: Final = "the provider"
_STUCK: Final = frozenset({Phase.UNKNOWN, Phase.WAITING})
#: A run's id, or that of a batch's row.
_ID: Final = re.compile(r"[0-9a-z]{26}|.+-[0-9]+")


_UNKNOWN: Final = (
    "Unknown",
    "A call was made, or not: money may have moved. Each run says what is looked up, and what not.",
)
_WAITING: Final = (
    "Waiting for a person",
    "A credential or an account has to be put right; then they go on by themselves.",
)
_FAILED: Final = ("Failed", "The latest ones. Each run says why, and whether to try it again.")


class JournalViews:
    """See ``ops.flower.views.Views``."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def run(self, run: str) -> RunView:
        state = self._read(run)
        if state is None:
            raise UnknownRun(
                f"no run {safe(run)!r} in this journal: it was never accepted here, or its time is"
                " over (DURAZZO_RETENTION). Tasks outlive their run in Flower; durazzo runs lists"
                " the runs that are there, and durazzo batch export the rows of a batch"
            )
        history = self._core.journal.history(run) if state.seq < _LONG else []
        stopped = stops(self._core)
        standing = _standing(run, state, history, stopped, now=self._core.journal.now())
        return _view(standing)

    def _read(self, run: str) -> State | None:
        try:
            return self._core.journal.read(run)
        except JournalUnavailable:
            # What Flower's user of Redis may read is named by the form of an id.
            if _ID.fullmatch(run):
                raise
            return None

    def runs(self) -> RunsView:
        now = self._core.journal.now()
        latest, unended = self._latest(now), self._unended()
        states = [(one.run, one.state) for one in unended if one.state and not one.state.end]
        unknown = in_doubt(self._core, _LOOKED_AT)
        persons = [(run, s) for run, s in states if _for_a_person(s)]
        failed = [
            (one.run, one.state) for one in latest if one.state and one.state.end == Status.FAILED
        ]
        lanes = Counter((s.lane, s.status.value) for _, s in states)
        more = " or more" if len(unended) == _LOOKED_AT else ""
        return RunsView(
            stops=[_stopped(stop) for stop in stops(self._core)],
            tables=[
                _table(_UNKNOWN, unknown, now),
                _table(_WAITING, persons, now),
                _table(_FAILED, failed, now),
            ],
            lanes=[(lane, state, number) for (lane, state), number in sorted(lanes.items())],
            looked_at=(
                f"Looked at: {len(unended)}{more} that have not ended, and the latest"
                f" {len(latest)} of all. durazzo runs and durazzo batch list know more."
            ),
        )

    def _latest(self, now: int) -> list[Listed]:
        found: list[Listed] = []
        until, after = now, ""
        while len(found) < _LOOKED_AT:
            page = self._core.journal.page(until=until, since=0, limit=_PAGE, after=after)
            found += page
            if len(page) < _PAGE:
                break
            until, after = page[-1].accepted, page[-1].run
        return found

    def _unended(self) -> list[Listed]:
        found: list[Listed] = []
        for first in range(0, _LOOKED_AT, _PAGE):
            page = self._core.journal.unended(first, _PAGE)
            found += page
            if len(page) < _PAGE:
                break
        return found


# A run.


def _standing(
    run: str, state: State, history: Sequence[Event], stopped: Sequence[Stop], *, now: int
) -> Standing:
    plan = _stand_in(state)
    entries = [_without_amount(entry) for entry in timeline_of(history, plan)]
    if len(stopped) == 1:
        plan = _stand_in(state, stopped[0].provider, _at_a_stop(state, entries))
    told = report_of(run, state, history, [step for step, _ in state.in_order])
    return Standing(
        report=replace(told, effects=_untold(state.effects)),
        state=state,
        plan=plan,
        entries=entries,
        now=now,
        stops=stopped,
    )


def _stand_in(state: State, provider: str = "", steps: Collection[str] = ()) -> Plan:
    """For the plan, which is sealed: the steps that were entered, and nothing about them.

    But that ``steps`` call this ``provider``.
    """
    calls = {step: provider if step in steps else _SOMEBODY for step in state.visits}
    return Plan(
        name=state.name,
        steps=tuple(
            Step(id=step, call=HttpCall(provider=name, method="call", server="", path=()))
            for step, name in calls.items()
        ),
        starts=(),
    )


def _at_a_stop(state: State, entries: Sequence[Entry]) -> set[str]:
    """Steps that wait for a provider that somebody stopped."""
    waits = {entry.step: entry.code for entry in entries if entry.what is What.WAITS}
    return {
        step
        for step, visit in state.visits.items()
        if visit.phase is Phase.WAITING and waits.get(step) == PROVIDER_STOPPED
    }


def _view(standing: Standing) -> RunView:
    state, report = standing.state, standing.report
    first, *head = standing.head()
    # What stands has a place of its own.
    advice = [line for line in standing.advice() if line != safe(report.stands())]
    advice += _further(standing)
    marks = telling.marks(UNICODE)
    rows = [*timeline.rows(standing.entries, marks), *standing.rows(marks)]
    story = timeline.lines(rows, accepted=report.accepted, marks=marks, width=_WIDTH)
    return RunView(
        run=report.run,
        workflow=safe(report.workflow),
        state=report.state,
        # Of "failed after 3 s: workflow, run" the rest stands elsewhere.
        since=first.partition(":")[0].partition(" ")[2],
        head=[_sentence(line) for line in head],
        advice=[_sentence(line) for line in advice if not _is_command(line)],
        commands=[*filter(_is_command, advice), *_commands(report.run, state)],
        steps=[_row(step) for step in report.steps],
        effects=[safe(f"{effect.told} ({effect.step})") for effect in report.effects],
        story=[click.unstyle(line) for line in story],
    )


def _further(standing: Standing) -> Iterator[str]:
    """What a stand-in for the plan does not tell."""
    if standing.state.seq >= _LONG:
        yield "What happened is too long to be shown here: durazzo show has it."
    if len(standing.stops) > 1 and _at_a_stop(standing.state, standing.entries):
        yield from map(_stopped, standing.stops)


def _is_command(line: str) -> bool:
    return line.startswith("durazzo ")


def _sentence(line: str) -> str:
    text = line.strip()
    return text[:1].upper() + text[1:]


def _commands(run: str, state: State) -> Iterator[str]:
    if state.end == Status.FAILED and not state.forgotten:
        yield f"durazzo retry {safe(run)}"
    elif state.paused and not state.end:
        yield f"durazzo resume {safe(run)}"
    yield f"durazzo show {safe(run)}"
    if state.batch:
        yield f"durazzo batch show {safe(state.batch)}"


def _row(step: StepReport) -> StepRow:
    code = f"{step.code} ({step.detail})" if step.detail else step.code
    return StepRow(
        step=safe(step.step),
        state=step.state,
        visits=step.visits,
        calls=step.attempts,
        status=step.status,
        code=safe(code),
    )


def _stopped(stop: Stop) -> str:
    name = safe(stop.provider)
    return f"{name} is stopped by {safe(stop.by)} since {utc(stop.at)}: durazzo go-on {name}"


def _untold(effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Without amounts."""
    return tuple(replace(effect, amount=None, currency="") for effect in effects)


def _without_amount(entry: Entry) -> Entry:
    return replace(entry, effect=_untold([entry.effect])[0]) if entry.effect else entry


# Runs.


def _table(words: tuple[str, str], found: Sequence[tuple[str, State]], now: int) -> Table:
    title, advice = words
    newest = sorted(found, key=lambda one: one[1].accepted, reverse=True)
    rows = [_listed(run, state, now) for run, state in newest[:_SHOWN]]
    return Table(title=title, advice=advice, rows=rows, found=len(found))


def _listed(run: str, state: State, now: int) -> RunRow:
    stands = Totals.of(_untold(state.effects)).told if state.status in NOT_GOOD else ""
    codes = dict.fromkeys(v.code for v in state.visits.values() if v.phase in _STUCK and v.code)
    return RunRow(
        run=run,
        workflow=safe(state.name),
        code=safe(state.code or ", ".join(codes)),
        steps=safe(", ".join(where(state))),
        age=age(now - state.accepted),
        stands=safe(stands),
    )


def _for_a_person(state: State) -> bool:
    return not state.end and any(
        visit.phase is Phase.WAITING and visit.result == Result.OPERATOR
        for visit in state.visits.values()
    )


__all__ = ["JournalViews"]

"""A whole storm: the stage is set, it rages, and the judge reads what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.chaos import books
from ops.chaos.clerk import Clerk
from ops.chaos.journals import stories
from ops.chaos.recovery import recoveries, standstills
from ops.chaos.report import Outcome
from ops.chaos.schedule import Schedule
from ops.chaos.stage import Stage, staged
from ops.chaos.storm import Aftermath, Storm
from ops.chaos.submitter import Submitter
from ops.chaos.tally import Tally, tallied
from ops.chaos.verdict import Court
from ops.chaos.workflows import WORKFLOWS
from orchestrator.wiring import load_profiles

#: Runs that the journal may hold beyond those that were asked for, and are found.
_MORE: Final = 1_000


@contextmanager
def passed(schedule: Schedule) -> Iterator[tuple[Outcome, Path]]:
    """What came of it, and the folder of its logs; all is gone after the context.

    Raises ChaosBroken.
    """
    with staged(schedule.options) as stage:
        stage.wait_ready()
        party = _clerk(stage, schedule) if schedule.options.batch else _submitter(stage, schedule)
        aftermath = Storm(stage, schedule, party).rage()
        tally = tallied(stage.judge.core, party) if isinstance(party, Clerk) else None
        yield judged(stage, aftermath, tally), stage.folder


def _submitter(stage: Stage, schedule: Schedule) -> Submitter:
    workflow = WORKFLOWS[schedule.options.workflow]
    return Submitter(stage.desk.core, workflow.plan(), schedule.customers, workflow.inputs)


def _clerk(stage: Stage, schedule: Schedule) -> Clerk:
    return Clerk(
        stage.desk.core,
        stage.judge.core,
        WORKFLOWS[schedule.options.workflow],
        schedule,
        kept=stage.keep,
    )


def judged(stage: Stage, aftermath: Aftermath, tally: Tally | None) -> Outcome:
    options, customers = aftermath.schedule.options, aftermath.schedule.customers
    workflow = WORKFLOWS[options.workflow]
    told = stories(stage.judge, customers, aftermath.runs)
    court = Court(
        workflow=workflow,
        books=books.read(aftermath.ledger, customers, workflow),
        stories=told,
        struck=aftermath.struck,
        known=stage.judge.core.journal.recent(options.runs + _MORE),
        problems=aftermath.problems,
        others=aftermath.others,
        unheard=aftermath.unheard,
        forgetful=options.forgetful,
        unwritten=() if options.barrier else aftermath.unwritten,
        tally=tally,
        attempts={name: p.retry.max_attempts for name, p in load_profiles().items()},
    )
    return Outcome(
        aftermath=aftermath,
        stories=told,
        recoveries=recoveries(told, aftermath.struck),
        standstills=standstills(told),
        verdict=court.verdict(),
        tally=tally,
    )

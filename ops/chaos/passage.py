"""A whole storm: the stage is set, it rages, and the judge reads what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.chaos import books
from ops.chaos.journals import stories
from ops.chaos.recovery import recoveries, standstills
from ops.chaos.report import Outcome
from ops.chaos.schedule import Schedule
from ops.chaos.stage import Stage, staged
from ops.chaos.storm import Aftermath, Storm
from ops.chaos.submitter import Submitter
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
        workflow = WORKFLOWS[schedule.options.workflow]
        submitter = Submitter(stage.desk.core, workflow.plan(), schedule.customers, workflow.inputs)
        aftermath = Storm(stage, schedule, submitter).rage()
        yield judged(stage, aftermath), stage.folder


def judged(stage: Stage, aftermath: Aftermath) -> Outcome:
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
        forgetful=options.power_cuts and not options.barrier,
        attempts={name: p.retry.max_attempts for name, p in load_profiles().items()},
    )
    return Outcome(
        aftermath=aftermath,
        stories=told,
        recoveries=recoveries(told, aftermath.struck),
        standstills=standstills(told),
        verdict=court.verdict(),
    )

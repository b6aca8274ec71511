"""The last line of defence: a plan without errors is the whole document.

Whatever a front-end leaves out must have been reported. Where it was not, a step would be
dropped in silence and a run that waits for it could never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.formats.diagnostics import Report
from orchestrator.plan.model import Plan

#: Steps of a workflow, nodes of an OSOP document. The widest published ones have some dozens.
MAX_STEPS: Final = 1000


def check_whole(plan: Plan, written: int, report: Report) -> None:
    """``written``: how many steps the document has, as a plain count of its list."""
    if report.refused:
        return
    for problem in _missing(plan, written):
        report.error("bug", f"{problem}: this is a mistake of durazzo's; please report it")


def _missing(plan: Plan, written: int) -> Iterator[str]:
    ids = {step.id for step in plan.steps}
    if len(ids) != written:
        yield f"of the document's {written} steps, {len(ids)} could be planned"
    for start in plan.starts:
        if start not in ids:
            yield f"the run would begin with the step '{start}', which was not planned"
    for step in plan.steps:
        for other in (*step.targets(), *step.awaits):
            if other not in ids:
                yield f"the step '{step.id}' depends on '{other}', which was not planned"

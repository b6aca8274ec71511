"""The public interface for applications that queue runs themselves.

>>> from orchestrator.service import submit        # doctest: +SKIP
>>> run = submit(core, plan, inputs, key="order-1042")   # doctest: +SKIP
>>> run.wait(30)                                   # doctest: +SKIP
"""

from __future__ import annotations

from orchestrator.service.accounts import check_accounts
from orchestrator.service.control import cancel, pause, resume
from orchestrator.service.core import Core
from orchestrator.service.inspect import (
    Report,
    Run,
    StepReport,
    find,
    in_doubt,
    recent,
    report_of,
    unfinished,
)
from orchestrator.service.many import Filter, each, select
from orchestrator.service.resolve import resolve
from orchestrator.service.retry import retry
from orchestrator.service.stop import go_on, house, stop_all, stops
from orchestrator.service.submit import check_inputs, submit
from orchestrator.service.validate import Loaded, validate

__all__ = [
    "Core", "Filter", "Loaded", "Report", "Run", "StepReport", "cancel", "check_accounts",
    "check_inputs", "each",
    "find", "go_on", "house", "in_doubt", "pause", "recent", "report_of", "resolve", "resume",
    "retry", "select",
    "stop_all", "stops", "submit", "unfinished", "validate",
]  # fmt: skip

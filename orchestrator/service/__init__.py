"""The public interface for applications that queue runs themselves.

>>> from orchestrator.service import submit        # doctest: +SKIP
>>> run = submit(core, plan, inputs, key="order-1042")   # doctest: +SKIP
>>> run.wait(30)                                   # doctest: +SKIP
"""

from __future__ import annotations

from orchestrator.service.control import cancel, pause, resume
from orchestrator.service.core import Core
from orchestrator.service.inspect import Report, Run, StepReport, recent
from orchestrator.service.submit import check_inputs, submit

__all__ = [
    "Core", "Report", "Run", "StepReport", "cancel", "check_inputs", "pause", "recent", "resume",
    "submit",
]  # fmt: skip

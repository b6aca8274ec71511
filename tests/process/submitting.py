"""A process that submits one order again and again under its key, and prints each run it gets.

Started as ``python -m tests.process.submitting TIMES``, with the order's inputs on stdin as JSON.
"""

from __future__ import annotations

import json
import sys

from orchestrator.service import submit
from orchestrator.settings import from_environ
from orchestrator.wiring import wire
from tests.process.house import CHARGE_AND_TEXT, plan_of


def main(times: int) -> None:
    core = wire(from_environ()).core
    plan, inputs = plan_of(CHARGE_AND_TEXT), json.load(sys.stdin)
    for _ in range(times):
        sys.stdout.write(f"{submit(core, plan, inputs, key='order-1042').id}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))

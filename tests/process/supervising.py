"""A supervisor of any command: ``python -m tests.process.supervising NUMBER WORDS…``.

One works when the file of ``ARRIVED`` is there. Its result, or its error's code, is its last line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ops.cli.supervisor import Supervisor
from orchestrator.errors import NoWorker


def main() -> None:
    _, number, *words = sys.argv
    arrived = Path(os.environ["ARRIVED"]).exists
    supervisor = Supervisor(
        words, int(number), grace=0, arrived=arrived, first_pause=0.01, last=0.5
    )
    try:
        print(supervisor.run())
    except NoWorker as error:
        print(error.code)


if __name__ == "__main__":
    main()

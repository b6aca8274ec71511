"""The storm's workers: durazzo's own, slow where they could die. ``celery -A ops.chaos.worker``

``DURAZZO_CHAOS_BREAK`` names a mutation that they run with.
"""

from __future__ import annotations

import os
import time
from typing import Final

from ops.chaos import mutations
from orchestrator.journal.port import Ref
from workers.held import Checkpoint
from workers.worker import create

#: At every place to die, so that troubles find it. s.
_LINGERS: Final = 0.02


def linger(_point: Checkpoint, _ref: Ref) -> None:
    time.sleep(_LINGERS)


if name := os.environ.get("DURAZZO_CHAOS_BREAK"):
    mutations.MUTATIONS[name].apply()
app = create(reached=linger)

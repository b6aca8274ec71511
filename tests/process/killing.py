"""A worker that is killed, for real, at one checkpoint: ``celery -A tests.process.killing worker``.

``KILL`` is ``checkpoint:step:who``; it happens once, and ``KILL_MARK`` says that it did.
"""

from __future__ import annotations

import os
import signal

from orchestrator.journal.port import Ref
from workers.held import Checkpoint
from workers.worker import create

CHECKPOINT, STEP, WHO = os.environ.get("KILL", "::").split(":")


def kill(point: Checkpoint, ref: Ref) -> None:
    if point != CHECKPOINT or ref.step != STEP:
        return
    try:
        os.close(os.open(os.environ["KILL_MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if WHO == "worker":
        # The worker's process group: its main process and every child.
        os.killpg(os.getpgid(0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


app = create(reached=kill)

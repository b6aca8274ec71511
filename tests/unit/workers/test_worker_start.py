"""A worker with settings that cannot work says so and ends, instead of taking runs up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ops.lab import CHECKOUT


@pytest.mark.process
@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "settings-refused: no Redis is named: set DURAZZO_REDIS_URL"),
        (
            {"DURAZZO_REDIS_URL": "redis://127.0.0.1:1/0"},
            "settings-refused: no sealing key is set: set DURAZZO_KEYS",
        ),
    ],
)
def test_a_worker_that_cannot_work_ends_with_what_to_do(environ: dict[str, str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-c", "1"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr

"""A worker with settings that cannot work says so and ends, instead of taking runs up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lab import CHECKOUT, valkey
from orchestrator.wiring import connect


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


@pytest.mark.process
@pytest.mark.parametrize(
    "command", [["celery", "-A", "workers.app", "worker", "-c", "1"], ["ops.cli.main", "worker"]]
)
def test_a_worker_on_a_redis_that_throws_runs_away_ends_with_what_to_set(
    command: list[str], tmp_path: Path
) -> None:
    with valkey(tmp_path) as url, connect(url) as client:
        client.config_set("maxmemory", 1 << 28)
        client.config_set("maxmemory-policy", "allkeys-lru")
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "DURAZZO_REDIS_URL": url,
                "DURAZZO_SEAL": "off",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 4
    assert "error: redis-unfit: maxmemory-policy allkeys-lru" in done.stderr
    assert "set maxmemory-policy noeviction" in done.stderr
    assert "Traceback" not in done.stderr

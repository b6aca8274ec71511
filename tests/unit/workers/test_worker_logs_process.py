"""Real workers on a Redis with a password: what they write, from their start to its loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ops.lab import CHECKOUT, base_environ, free_port, valkey, wait_for
from orchestrator.wiring import connect

PASSWORD: Final = "tr0ub4dor"
#: A machine may be busy. s.
LIMIT: Final = 60
COMMANDS: Final = {
    "durazzo": ["ops.cli.main", "worker", "--processes", "2", "--concurrency", "1"],
    "celery": ["celery", "-A", "workers.app", "worker", "-c", "1", "-l", "INFO"],
}


def _said(command: list[str], form: str, folder: Path) -> str:
    """All that it writes: it starts, works, loses Redis, and looks for it."""
    file = folder / "worker.log"
    with valkey(folder) as url, connect(url) as client, file.open("wb") as out:
        port = free_port()
        client.config_set("port", port)
        client.config_set("requirepass", PASSWORD)
        environ = {
            **base_environ(),
            "PYTHONPATH": str(CHECKOUT),
            "DURAZZO_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
            "DURAZZO_SEAL": "off",
            "DURAZZO_LOG": form,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            several = command.count("2") + 1
            wait_for(lambda: file.read_text().count(" ready.") == several, "them", seconds=LIMIT)
            client.shutdown(nosave=True)
            wait_for(lambda: "broker.missed" in file.read_text(), "the outage", seconds=LIMIT)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return file.read_text()


@pytest.mark.process
@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_all_that_a_worker_writes_is_lines_of_the_log_without_redis_password(
    command: list[str], form: str, tmp_path: Path
) -> None:
    text = _said(command, form, tmp_path)
    assert PASSWORD not in text
    assert "[config]" not in text
    assert "SecurityWarning" not in text
    assert "Connection to broker lost" in text
    assert "Connected to redis://127.0.0.1:" in text
    # The last one may have been cut off by the end.
    lines = text.splitlines()[:-1]
    if form == "json":
        processes = {json.loads(line)["process"] for line in lines}
    else:
        assert [line for line in lines if line[12:14] != "Z "] == []
        processes = {int(line.split()[2]) for line in lines}
    assert len(processes) >= command.count("2") + 1

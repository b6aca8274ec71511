"""A short storm over real processes, one that must be caught, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.lab import CHECKOUT, wait_for

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(280)]

SHORT = ("--seed", "1", "--look-ups", "0", "--minutes", "2")


@pytest.fixture
def temporary() -> Iterator[Path]:
    # Short: sockets have their place there.
    with tempfile.TemporaryDirectory(prefix="dz-", dir="/tmp") as folder:
        yield Path(folder)


def begun(temporary: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ops.chaos", *SHORT, *words],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_every_run_of_a_short_storm_is_accounted_for(temporary: Path, tmp_path: Path) -> None:
    words = ("--runs", "60", "--kills", "8", "--redis-kills", "1", "--cuts", "1")
    storm = begun(temporary, *words, "--heartbeat", "5", "--keep", str(tmp_path))
    # A call's lease may last 85 s when its outcome finds no Redis.
    said, _ = storm.communicate(timeout=260)
    assert storm.returncode == 0, said
    assert "seed 1: every run is accounted for" in said
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert sum(verdict["states"].values()) == 60
    assert verdict["charged"] > 30
    assert verdict["struck"]["kill-worker"] > 0
    assert verdict["restarts"] > 0
    assert left(temporary) == []


def test_every_row_of_a_short_storm_over_a_batch_is_accounted_for(
    temporary: Path, tmp_path: Path
) -> None:
    words = ("--batch", "--runs", "40", "--window", "8", "--kills", "4", "--redis-kills", "1")
    storm = begun(
        temporary, *words, "--cuts", "1", "--no-429", "--heartbeat", "5", "--storm", "8",
        "--keep", str(tmp_path),
    )  # fmt: skip
    said, _ = storm.communicate(timeout=260)
    assert storm.returncode == 0, said
    batch = json.loads((tmp_path / "verdict.json").read_text())["batch"]
    assert sum(batch["rows"].values()) == 40
    assert batch["rows"]["succeeded"] > 20
    assert 0 < batch["fullest"] <= 8
    assert left(temporary) == []


def test_a_worker_that_sends_lost_texts_again_is_caught_by_the_books(
    temporary: Path, tmp_path: Path
) -> None:
    words = ("--break", "resend-blindly", "--dropped-after", "0.2", "--keep", str(tmp_path))
    storm = begun(temporary, *words, "--runs", "60")
    said, _ = storm.communicate(timeout=160)
    assert storm.returncode == 1, said
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    found = [finding for finding in verdict["findings"] if finding["code"] == "texted-twice"]
    assert found, said
    assert (tmp_path / "runs" / f"{found[0]['run']}.jsonl").exists()
    assert left(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_process_and_no_file(
    temporary: Path, number: signal.Signals
) -> None:
    storm = begun(temporary, "--runs", "500")
    # Sweeper, Valkey, sandbox, two workers and their children.
    wait_for(lambda: len(below(storm.pid)) >= 9, "the stage", seconds=60)
    seen = below(storm.pid)
    storm.send_signal(number)
    storm.communicate(timeout=30)
    assert storm.returncode == 130
    assert seen.isdisjoint(living())
    assert left(temporary) == []


def left(temporary: Path) -> list[Path]:
    return list(temporary.iterdir())


def living() -> dict[int, int]:
    """Every process that runs, and its parent."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def below(pid: int) -> set[int]:
    found, table = {pid}, living()
    while more := {child for child, parent in table.items() if parent in found} - found:
        found |= more
    return found - {pid}

"""docker-compose.yml by Docker's own Compose, which holds it against the specification's schema."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.lab import CHECKOUT
from tests.foreign import installed

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(900)]

COMPOSE = CHECKOUT / "docker-compose.yml"


def _config(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(installed.compose()), "-f", str(file), "--profile", "demo", "--profile", "tools"]
    return subprocess.run([*command, "config", *words], capture_output=True, text=True, check=False)


def test_compose_takes_every_service() -> None:
    done = _config(COMPOSE, "--services")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 8


@pytest.mark.parametrize(
    ("word", "slip"), [("pids_limit", "pid_limit"), ("read_only: true", "read_only: perhaps")]
)
def test_it_would_not_take_a_slip(tmp_path: Path, word: str, slip: str) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(COMPOSE.read_text().replace(word, slip))
    assert _config(file, "--quiet").returncode != 0

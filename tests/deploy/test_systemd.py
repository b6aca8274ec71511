"""The units, by systemd's own reading where there is one, and against the compose file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ops.lab import CHECKOUT
from tests.deploy.test_compose import SERVICES

UNITS: Final = CHECKOUT / "ops" / "deploy" / "systemd"
NAMES: Final = sorted(path.name for path in UNITS.glob("*.service"))


def _said(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def test_there_is_a_unit_for_each_service() -> None:
    assert NAMES == [
        "durazzo-flower.service", "durazzo-metrics.service", "durazzo-timekeeper.service",
        "durazzo-worker@.service",
    ]  # fmt: skip
    wanted = " ".join(_said("durazzo.target", "Wants")).split()
    of_target = {re.sub(r"@.*\.", "@.", name) for name in wanted}
    assert of_target == set(NAMES)


@pytest.mark.parametrize("unit", NAMES)
def test_a_unit_does_what_the_compose_service_does(unit: str) -> None:
    (command,) = _said(unit, "ExecStart")
    words = command.replace("%i", "default").split()[1:]
    service = SERVICES[words[0]]
    inside = [*service["command"]]
    if "--host" in inside:
        # Outside a container its own default, loopback and the same port, is meant.
        inside = inside[:1]
    assert words == inside
    grace = service["stop_grace_period"].removesuffix("s")
    assert _said(unit, "TimeoutStopSec") == [grace]
    assert _said(unit, "MemoryMax") == [service["mem_limit"].upper()]
    assert _said(unit, "TasksMax") == [str(service["pids_limit"])]


@pytest.mark.parametrize("unit", NAMES)
def test_a_unit_has_the_secrets_of_the_compose_service_and_no_other(unit: str) -> None:
    (command,) = _said(unit, "ExecStart")
    loaded = [line.partition(":")[0] for line in _said(unit, "LoadCredential")]
    assert loaded == SERVICES[command.split()[1]]["secrets"]
    told = " ".join(_said(unit, "Environment"))
    assert re.findall(r"_FILE=%d/(\w+)", told) == loaded


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_takes_them(tmp_path: Path) -> None:
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    here = str(Path(sys.executable).parent / "durazzo")
    for file in tmp_path.glob("*.service"):
        file.write_text(file.read_text().replace("/opt/durazzo/.venv/bin/durazzo", here))
    instances = [str(tmp_path / name.replace("@.", "@default.")) for name in NAMES]
    shutil.copy(tmp_path / "durazzo-worker@.service", tmp_path / "durazzo-worker@default.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", *instances],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    # It says much of the machine's own units.
    assert "durazzo" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr

"""The compose file's services, checked by parsing and by running their commands natively."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ops import lab
from ops.lab import CHECKOUT, wait_for
from tests.process.house import CHARGE_AND_TEXT, House, plan_of

COMPOSE: Any = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: Any = COMPOSE["services"]


def test_redis_persists_evicts_nothing_and_is_not_published() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert "ports" not in SERVICES["redis"]


def test_what_is_published_is_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_flower_has_a_login_and_only_reads() -> None:
    flower = SERVICES["flower"]
    assert "FLOWER_BASIC_AUTH" in flower["environment"]
    assert not {"--no-login", "--allow-control"} & set(flower["command"])


def test_no_service_starts_without_a_sealing_key() -> None:
    for name in ("worker", "timekeeper", "flower"):
        assert ":?" in SERVICES[name]["environment"]["DURAZZO_KEYS"]


def native(home: House, name: str, **words: str) -> subprocess.Popen[bytes]:
    """A service's own command, with ports of the test's own."""
    service = SERVICES[name]
    entry = service.get("entrypoint", ["durazzo"])
    command = [words.get(word, word) for word in [*entry, *service["command"]]]
    command[0] = str(Path(sys.executable).parent / command[0])
    with (home.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={
                **home.environ,
                "DURAZZO_HOME": str(home.folder / "home"),
                "FLOWER_BASIC_AUTH": "ops:a-password",
            },
            cwd=CHECKOUT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    home.workers.append(process)
    return process


@pytest.mark.process
def test_every_service_runs_a_charge_through_and_stops_in_order(at_home: House) -> None:
    worker = native(at_home, "worker")
    timekeeper = native(at_home, "timekeeper")
    port = str(lab.free_port())
    flower = native(at_home, "flower", **{"5555": port, "0.0.0.0": "127.0.0.1"})
    own = str(lab.free_port())
    sandbox = native(at_home, "sandbox", **{"8099": own, "0.0.0.0": "127.0.0.1"})

    run = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert run.wait(30) == "succeeded"
    url = f"http://127.0.0.1:{port}/tasks"
    wait_for(lambda: _status(url) == 401, "Flower to refuse a stranger")
    assert _status(url, ("ops", "a-password")) == 200
    wait_for(lambda: _status(f"http://127.0.0.1:{own}/healthz") == 200, "the sandbox")

    for process in (worker, timekeeper, flower, sandbox):
        os.kill(process.pid, signal.SIGTERM)
    for process in (worker, timekeeper, flower, sandbox):
        assert process.wait(30) == 0


def _status(url: str, auth: tuple[str, str] | None = None) -> int:
    try:
        return httpx.get(url, auth=auth, timeout=5).status_code
    except httpx.TransportError:
        return 0

"""What docker-compose.yml and the Dockerfile say. That the services work so shows test_services."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ops.lab import CHECKOUT

COMPOSE: Final[Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
OURS: Final = sorted(SERVICES.keys() - {"redis"})
#: Options of redis-server that come with a value.
REDIS: Final = dict(
    zip(SERVICES["redis"]["command"][1::2], SERVICES["redis"]["command"][2::2], strict=True)
)


def test_redis_persists_and_evicts_nothing_and_knows_no_user_without_a_password() -> None:
    assert REDIS["--appendonly"] == "yes"
    assert REDIS["--maxmemory-policy"] == "noeviction"
    assert REDIS["--aclfile"] == "/run/secrets/redis_users"
    assert "/data" in SERVICES["redis"]["volumes"][0]


def test_redis_stands_where_nothing_leads_out_and_nobody_from_outside_comes_in() -> None:
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert "ports" not in SERVICES["redis"]


def test_what_is_published_is_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_only_workers_are_in_the_network_for_calls() -> None:
    out = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert out == {"worker", "worker-dunning", "cli"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "mem_limit", "pids_limit", "healthcheck", "stop_grace_period"} <= service.keys()
    assert service["logging"]["options"]["max-size"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_no_secret_is_in_an_environment(name: str) -> None:
    environ = SERVICES[name]["environment"]
    secret = re.compile(r"KEY|TOKEN|PASSWORD|AUTH|REDIS_URL")
    assert all(key.endswith("_FILE") for key in environ if secret.search(key)), environ.keys()
    named = {value for key, value in environ.items() if key.endswith("_FILE")}
    assert named == {f"/run/secrets/{secret}" for secret in SERVICES[name]["secrets"]}


def test_flower_and_metrics_cannot_open_what_is_sealed() -> None:
    for name in ("flower", "metrics"):
        assert "durazzo_keys" not in SERVICES[name]["secrets"]
        assert "redis_url" not in SERVICES[name]["secrets"]


def test_flower_only_reads_and_every_page_has_a_login() -> None:
    told = {word for name in ("flower", "metrics") for word in SERVICES[name]["command"]}
    assert not {"--no-login", "--allow-control"} & told


def test_a_worker_has_longer_than_its_grace() -> None:
    for name in ("worker", "worker-dunning"):
        assert SERVICES[name]["stop_grace_period"] == "60s"
        assert "--grace" not in SERVICES[name]["command"]


def test_every_lane_that_a_workflow_is_sent_to_has_workers() -> None:
    lanes = {service["command"][2] for name, service in SERVICES.items() if "worker" in name}
    assert lanes == {"default", "dunning"}
    for name in ("worker", "cli", "metrics"):
        routes = json.loads(SERVICES[name]["environment"]["DURAZZO_LANES"])
        assert set(routes.values()) <= lanes


def test_the_image_runs_as_nobody_special_and_takes_only_what_was_hashed() -> None:
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    assert "USER durazzo" in lines
    assert 'ENTRYPOINT ["durazzo"]' in lines
    installs = [line for line in lines if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_what_the_image_copies_is_let_through() -> None:
    let = (CHECKOUT / ".dockerignore").read_text().splitlines()
    copied = [line.split()[1:-1] for line in (CHECKOUT / "Dockerfile").read_text().splitlines()
              if line.startswith("COPY ") and "--from" not in line]  # fmt: skip
    roots = {Path(path).parts[0] for paths in copied for path in paths}
    assert let[1] == "*"
    assert roots == {line[1:] for line in let if line.startswith("!")}


def _pins(path: Path) -> dict[str, str]:
    pairs = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-").replace(".", "-"): version for name, version in pairs}


def test_the_image_has_the_versions_that_the_tests_passed_with() -> None:
    tested = _pins(CHECKOUT / "constraints.txt")
    installed = _pins(CHECKOUT / "ops" / "deploy" / "requirements.txt")
    # For another system, or an older Python.
    elsewhere = {"tzdata", "async-timeout"}
    assert {name: version for name, version in installed.items() if name not in elsewhere} == {
        name: tested.get(name) for name in installed.keys() - elsewhere
    }


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_each_file_that_is_installed_has_a_hash(name: str) -> None:
    text = (CHECKOUT / "ops" / "deploy" / name).read_text()
    blocks = re.split(r"\n(?=[a-z])", text)[1:]
    assert len(blocks) >= 5
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose on the PATH")
def test_docker_compose_takes_it(tmp_path: Path) -> None:
    """Debian's, whose schema is the specification's; a word that it does not know is refused."""
    compose = (CHECKOUT / "docker-compose.yml").read_text()
    for text, code in ((compose, 0), (compose.replace("pids_limit", "pid_limit"), 1)):
        file = tmp_path / "docker-compose.yml"
        file.write_text(text)
        done = subprocess.run(
            ["docker-compose", "-f", str(file), "--profile", "demo", "config", "--quiet"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr

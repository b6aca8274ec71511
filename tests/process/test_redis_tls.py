"""Redis over TLS: runs go through it, and who cannot show who they are does not come in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.lab import CHECKOUT, base_environ, valkey, wait_for
from ops.sandbox.server import BackgroundSandbox
from orchestrator.journal.seal import new_key
from orchestrator.service import submit
from orchestrator.settings import from_environ
from orchestrator.wiring import wire
from tests.process.house import CHARGE_AND_TEXT, House, plan_of
from tests.process.tls import Authority, Papers, door, url

pytestmark = pytest.mark.process


@dataclass(frozen=True, slots=True)
class Gate:
    port: int
    authority: Authority
    client: Papers

    def url(self, **options: str) -> str:
        return url(self.port, self.authority.file, self.client, **options)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    (tmp_path / "data").mkdir()
    authority = Authority(tmp_path, "authority")
    client, server = authority.papers("client"), authority.papers("server")
    with valkey(tmp_path / "data") as at:
        socket = Path(at.removeprefix("unix://"))
        with door(socket, server, authority.file) as port:
            yield Gate(port, authority, client)


@pytest.mark.parametrize("asked", ["required", "CERT_REQUIRED"])
def test_a_run_goes_through_over_tls(tmp_path: Path, gate: Gate, asked: str) -> None:
    with BackgroundSandbox() as sandbox:
        environ = {
            **base_environ(), **sandbox.env,
            "DURAZZO_REDIS_URL": gate.url(ssl_cert_reqs=asked), "DURAZZO_KEYS": new_key(),
            "DURAZZO_HEARTBEAT": "1", "DURAZZO_HOME": str(tmp_path / "home"),
        }  # fmt: skip
        at = House(
            folder=tmp_path, sandbox=sandbox, environ=environ, wiring=wire(from_environ(environ))
        )
        try:
            at.worker()
            core = at.wiring.core
            run = submit(core, plan_of(CHARGE_AND_TEXT), at.charge_inputs()).id

            def over() -> bool:
                state = core.journal.read(run)
                return state is not None and state.end == "succeeded"

            wait_for(over, "the run", seconds=60)
            # The broker and the results are behind the same door.
            assert at.wiring.app.AsyncResult(run).get(timeout=60)["state"] == "succeeded"
            assert at.wiring.canvas.backlog("default") == 0
        finally:
            at.stop()
            at.wiring.app.close()


def _runs(tmp_path: Path, redis_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "runs"],
        env={
            **base_environ(), "DURAZZO_REDIS_URL": redis_url, "DURAZZO_KEYS": new_key(),
            "DURAZZO_HOME": str(tmp_path / "home"),
        },
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip


def test_who_trusts_it_and_is_known_comes_in(tmp_path: Path, gate: Gate) -> None:
    done = _runs(tmp_path, gate.url())
    assert done.returncode == 0, done.stderr


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, gate: Gate) -> None:
    other = Authority(tmp_path, "other")
    _is_refused(_runs(tmp_path, url(gate.port, other.file, gate.client)))


def test_who_has_no_certificate_is_not_let_in(tmp_path: Path, gate: Gate) -> None:
    _is_refused(_runs(tmp_path, url(gate.port, gate.authority.file, None)))


def test_without_a_word_of_it_the_server_is_verified(tmp_path: Path, gate: Gate) -> None:
    """The system's own authorities do not know this one."""
    _is_refused(_runs(tmp_path, f"rediss://127.0.0.1:{gate.port}/0"))


def test_a_file_that_is_no_authority_is_told(tmp_path: Path, gate: Gate) -> None:
    (tmp_path / "empty.pem").write_text("")
    _is_refused(_runs(tmp_path, url(gate.port, tmp_path / "empty.pem", gate.client)))


def _is_refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.startswith("error: redis-unavailable: Redis cannot be used: ")
    assert "TLS" in done.stderr
    assert "Traceback" not in done.stderr

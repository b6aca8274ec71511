"""``durazzo flower`` says what is wrong before it opens a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ops.cli.main import invoke
from ops.flower.login import Login, is_loopback, login
from ops.flower.serve import require_own, tidy
from orchestrator.errors import SettingsRefused


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DURAZZO_REDIS_URL", raising=False)
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)


@pytest.mark.parametrize(
    ("words", "auth", "told"),
    [
        ([], "", "Flower needs a login: set FLOWER_BASIC_AUTH=user:password"),
        (["--no-login", "--host", "0.0.0.0"], "", "--no-login is for this machine alone"),
        (["--no-login", "--host", "::"], "", "--no-login is for this machine alone"),
        (["--no-login"], "ops:hush-hush", "FLOWER_BASIC_AUTH is set: unset it"),
        (["--no-login", "--allow-control"], "", "--allow-control needs a login"),
        (["--host", ""], "ops:hush-hush", "--host needs an address"),
        ([], "hush-hush", "FLOWER_BASIC_AUTH must be user:password"),
        ([], "ops:hush-hush,", "FLOWER_BASIC_AUTH must be user:password"),
        ([], "ops:", "FLOWER_BASIC_AUTH must be user:password"),
        ([], ":hush-hush", "FLOWER_BASIC_AUTH must be user:password"),
        ([], "ops:hush-hush-é", "FLOWER_BASIC_AUTH must be user:password"),
        ([], f"ops:hush-hush{'h' * 300}", "FLOWER_BASIC_AUTH must be user:password"),
        ([], ",".join(["ops:hush-hush"] * 101), "FLOWER_BASIC_AUTH must be user:password"),
    ],
)
def test_nobody_looks_without_a_login_by_mistake(
    words: list[str],
    auth: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if auth:
        monkeypatch.setenv("FLOWER_BASIC_AUTH", auth)
    assert invoke(["flower", *words]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert "hush" not in said.err + said.out


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("127.1", False),
    ],
)  # fmt: skip
def test_a_loopback_address_is_told_from_one_that_looks_like_it(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_login_is_not_printed() -> None:
    assert "hush" not in repr(login("ops:hush-hush", wanted=True, host="0.0.0.0"))
    assert Login(pairs=("ops:hush-hush",)).admits("Basic b3BzOmh1c2gtaHVzaA==", "anywhere")


def test_what_others_can_write_is_not_unpickled(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    require_own(folder / "tasks")
    (folder / "tasks.dat").touch()
    (folder / "tasks.dat").chmod(0o622)
    with pytest.raises(SettingsRefused, match="others can write there"):
        require_own(folder / "tasks")
    (folder / "tasks.dat").chmod(0o600)
    require_own(folder / "tasks")
    folder.chmod(0o777)
    with pytest.raises(SettingsRefused, match="others can write there"):
        require_own(folder / "tasks")


def test_a_file_that_cannot_be_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsRefused, match="give --db a file in a folder"):
        require_own(tmp_path / "file" / "tasks")


@pytest.mark.process
def test_a_port_that_is_taken_is_an_error_of_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "flower", "--port", str(port)],
            env={**os.environ, "FLOWER_BASIC_AUTH": "ops:hush-hush"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"settings-refused: Flower cannot listen on 127.0.0.1:{port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@dataclass
class Counting:
    """As much of a Flower as is tidied."""

    counter: dict[str, Counter[str]]
    workers: dict[str, Any]
    purged: int = 0
    events: Any = field(init=False)
    inspector: Any = field(init=False)
    state: Any = field(init=False)

    def __post_init__(self) -> None:
        self.events = self
        self.state = self
        self.inspector = type("Inspected", (), {"workers": {"gone": {}, "here": {}}})()

    def purge_offline_worker_metrics(self) -> None:
        self.purged += 1


def test_workers_that_are_listed_no_more_are_counted_no_more() -> None:
    flower = Counting(counter={"gone": Counter(), "here": Counter()}, workers={"here": object()})
    tidy(flower)
    assert (set(flower.counter), set(flower.inspector.workers)) == ({"here"}, {"here"})
    assert flower.purged == 1


def test_the_login_may_come_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(tmp_path / "login"))
    assert invoke(["flower"]) == 2
    assert "FLOWER_BASIC_AUTH_FILE: " in capsys.readouterr().err
    (tmp_path / "login").write_text("ops:hush-hush\n")
    # The login is read and held against the options; nothing is served.
    assert invoke(["flower", "--no-login"]) == 2
    said = capsys.readouterr().err
    assert "FLOWER_BASIC_AUTH is set" in said
    assert "hush" not in said

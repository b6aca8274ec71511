"""The README's blocks do what they say, run as a newcomer would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lab import CHECKOUT
from orchestrator.settings import NAMES
from tests.docs import console
from tests.process.house import House

README = CHECKOUT / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.process
def test_the_readmes_commands_print_what_the_readme_shows(tmp_path: Path) -> None:
    console.check(README, tmp_path)


@pytest.mark.process
def test_the_python_example_runs(at_home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("python")
    for name, value in at_home.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(CHECKOUT)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    at_home.worker()
    confirm = names["confirm"]
    inputs = at_home.charge_inputs()
    assert callable(confirm)
    run = confirm("order-1042", inputs)
    assert confirm("order-1042", inputs) == run
    app = at_home.wiring.app
    assert app.AsyncResult(run).get(timeout=20)["state"] == "succeeded"
    assert len(at_home.ledger()["charges"]) == 1


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(README.read_text().splitlines()) < 150
    assert len((CHECKOUT / "ARCHITECTURE.md").read_text().splitlines()) < 80


def test_every_command_is_in_the_readme() -> None:
    help_text = subprocess.run(
        [str(Path(sys.executable).parent / "durazzo"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    ).stdout
    listed = re.findall(r"^  ([\w-]+) {2,}", help_text.partition("Commands:")[2], re.MULTILINE)
    assert len(listed) >= 10
    readme = README.read_text()
    assert [name for name in listed if name not in readme] == []


def test_every_setting_is_on_the_settings_page() -> None:
    page = (CHECKOUT / "ops" / "docs" / "settings.md").read_text()
    told = set(re.findall(r"`(DURAZZO_[A-Z_]+)`", page))
    developers = {"DURAZZO_CHAOS_BREAK", "DURAZZO_PUBLISHED_OPENAPI", "DURAZZO_REWRITE_GOLDEN"}
    assert told == NAMES - developers

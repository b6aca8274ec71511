"""The README's blocks do what they say, run as a newcomer would run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lab import CHECKOUT, wait_for
from tests.process.house import House

README = CHECKOUT / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def plain(text: str) -> list[str]:
    """Without what differs from run to run: ids and durations."""
    for pattern, word in (
        (r"pi_\w+", "pi_…"),
        (r"SM[0-9a-f]{32}", "SM…"),
        (r"\b[0-9a-z]{26}\b", "RUN"),
        (r"\d+\.\d s", "N s"),
    ):
        text = re.sub(pattern, word, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def expected() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return plain("\n".join(line for line in lines if not line.startswith("$ ")))


def commands() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@pytest.mark.process
def test_the_readmes_commands_print_what_the_readme_shows(tmp_path: Path) -> None:
    serve, source, *runs = commands()
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
    }
    # A free port and a folder of the test's own; everything else as it is printed.
    serve = serve.replace("--port 8099", "--port 0")
    script = "\n".join([
        f"cp -r {CHECKOUT}/specs . ",
        serve.removesuffix("&") + " >/dev/null 2>&1 &",
        "while [ ! -s sandbox.env ]; do sleep 0.05; done",
        source,
        "exec 2>&1",
        *runs,
    ])
    with (tmp_path / "printed").open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=environ, stdout=out, start_new_session=True
        )
    try:
        wait_for(lambda: shell.poll() is not None, "the README's commands", seconds=60)
    finally:
        # The sandbox goes on in the background, as a newcomer's would.
        os.killpg(shell.pid, signal.SIGKILL)
    assert plain((tmp_path / "printed").read_text()) == expected()


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
    listed = re.findall(r"^  (\w+) {2,}", help_text.partition("Commands:")[2], re.MULTILINE)
    assert len(listed) >= 10
    readme = README.read_text()
    assert [name for name in listed if name not in readme] == []

"""``durazzo completion``: a shell completes durazzo's words, and no server is started for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from ops.cli import words
from ops.cli.main import COMMANDS, invoke
from ops.embedded import serving
from ops.lab import free_port
from orchestrator.settings import from_environ
from orchestrator.wiring import wire
from tests.fakes import plans

DURAZZO = Path(sys.executable).with_name("durazzo")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DURAZZO_REDIS_URL", raising=False)
    monkeypatch.delenv("DURAZZO_KEYS", raising=False)


def completed(folder: Path, line: str) -> list[str]:
    """What a real bash offers for the last word of the line."""
    typed = line.split(" ")
    script = f"""
        source <(durazzo completion bash)
        COMP_WORDS=({" ".join(word or "''" for word in typed)})
        COMP_CWORD={len(typed) - 1}
        compopt() {{ echo "compopt" "$@"; }}
        _durazzo_completion durazzo
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{DURAZZO.parent}:{os.environ['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_bash_completes_the_commands(tmp_path: Path) -> None:
    assert completed(tmp_path, "durazzo ") == list(COMMANDS)
    assert completed(tmp_path, "durazzo va") == ["validate"]


def test_bash_completes_the_options_of_a_command(tmp_path: Path) -> None:
    offered = completed(tmp_path, "durazzo run --")
    assert {"--workflow", "--json", "--help"} <= set(offered)
    assert completed(tmp_path, "durazzo worker --pool p") == ["prefork"]
    assert completed(tmp_path, "durazzo completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("command", ["run", "validate", "graph", "doctor"])
def test_bash_completes_files_where_a_document_stands(tmp_path: Path, command: str) -> None:
    assert completed(tmp_path, f"durazzo {command} ") == ["compopt -o default", ""]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_theirs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert f"_DURAZZO_COMPLETE={shell}_complete" in out
    if binary := shutil.which(shell):
        subprocess.run([binary, "-n"], input=out, text=True, check=True)


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err


def _workflows(file: object, incomplete: str = "") -> list[str]:
    ctx = click.Context(click.Command("run"))
    ctx.params = {"file": file}
    return words.workflows(ctx, click.Option(["--workflow"]), incomplete)


def _runs(incomplete: str = "") -> list[str]:
    return words.runs(click.Context(click.Command("show")), click.Argument(["run"]), incomplete)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (
            "arazzo: 1.0.1\nworkflows: [{workflowId: pay}, {workflowId: pay-back}]\n",
            ["pay", "pay-back"],
        ),
        ("osop_version: '1.0'\nid: pay\nnodes: []\n", ["pay"]),
        ("workflows: [{workflowId: 'a b'}, {workflowId: '$(x)'}, {workflowId: '*'}, 1]\n", []),
        ("workflows: {a: b}\n", []),
        ("- [\n", []),
        ("a\n", []),
    ],
)
def test_workflows_are_those_of_the_document(tmp_path: Path, text: str, ids: list[str]) -> None:
    """But none that a shell would take apart or expand."""
    file = tmp_path / "flow.yaml"
    file.write_text(text)
    assert _workflows(file) == ids


def test_workflows_of_no_document_are_none(tmp_path: Path) -> None:
    assert _workflows(None) == _workflows(tmp_path / "nowhere") == _workflows(tmp_path) == []


def test_runs_are_the_latest_of_a_server_that_is_there() -> None:
    with serving(from_environ()) as at:
        wiring = wire(at)
        for run in ("run-1", "run-2", "other"):
            wiring.core.journal.accept(plans.new_run(plans.linear("a"), run))
        wiring.app.close()
        assert sorted(_runs("run")) == ["run-1", "run-2"]


def test_no_server_is_started_for_a_word(tmp_path: Path) -> None:
    assert _runs() == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis://h:port", "http://h"])
def test_a_server_that_cannot_be_asked_gives_no_words(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DURAZZO_REDIS_URL", url.format(port=free_port()))
    assert _runs() == []


def test_an_option_offers_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As click asks for them: the document stands before the option."""
    (tmp_path / "flow.yaml").write_text("workflows: [{workflowId: pay}, {workflowId: refund}]\n")
    monkeypatch.chdir(tmp_path)

    @click.command()
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--workflow", shell_complete=words.workflows)
    def run(**_: Any) -> None:
        raise AssertionError

    from click.shell_completion import ShellComplete  # noqa: PLC0415  click imports it so late too

    shell = ShellComplete(run, {}, "run", "_RUN_COMPLETE")
    offered = shell.get_completions(["flow.yaml", "--workflow"], "re")
    assert [item.value for item in offered] == ["refund"]

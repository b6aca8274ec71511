"""Parsing, refusals and help, without a server."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ops.cli.batch.group import COMMANDS as BATCH
from ops.cli.batch.group import batch
from ops.cli.commands import Command, LazyGroup
from ops.cli.main import BUG, COMMANDS, cli, invoke
from ops.lab import free_port
from tests.cli.conftest import CHARGE_AND_TEXT


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DURAZZO_REDIS_URL", raising=False)
    monkeypatch.delenv("DURAZZO_SERVERS", raising=False)


def _command(name: str, group: click.Group = cli) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", BATCH)
def test_every_command_of_batches_has_help_and_an_example_that_parses(name: str) -> None:
    command = _command(name, batch)
    assert isinstance(command, Command)
    line = command.example.splitlines()[-1]
    assert line.startswith(f"durazzo batch {name}")
    group = click.Context(cli, **cli.context_settings)
    command.make_context(name, shlex.split(line)[3:], parent=group)
    result = CliRunner().invoke(cli, ["batch", name, "-h"])
    assert result.exit_code == 0
    assert line in result.output
    own = (command.help or "").split("\n\n")[0].replace("\n", " ")
    assert BATCH[name][1].rstrip(".") in own


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_that_parses(name: str) -> None:
    """And the group's line, written there so that listing imports nothing, is its own."""
    command = _command(name)
    assert isinstance(command, (Command, LazyGroup))
    line = next(x for x in command.example.splitlines() if x.startswith(f"durazzo {name}"))
    words = shlex.split(line.rstrip("&"))[2:]
    command.make_context(name, words, parent=click.Context(cli, **cli.context_settings))
    result = CliRunner().invoke(cli, [name, "-h"])
    assert result.exit_code == 0
    assert command.example.splitlines()[0] in result.output
    own = (command.help or "").split("\n\n")[0].replace("\n", " ")
    assert COMMANDS[name][1].rstrip(".") in own


def test_the_list_of_commands_imports_none_of_them() -> None:
    """`durazzo --help` is there at once: no Celery, no Redis, no HTTP client."""
    script = (
        "import sys; from ops.cli.main import invoke; code = invoke(['--help']);"
        "print(sorted({'celery', 'redis', 'httpx', 'aiohttp', 'yaml'} & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--version"]) == 0
    assert capsys.readouterr().out.startswith("durazzo 0.")


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "x.yaml", "--wat"],
        ["wat"],
        ["run", "x.yaml", "-i", "toPhone"],
        ["run", "x.yaml", "--server", "stripeApi=localhost"],
        ["run", "x.yaml", "--source", "stripeApi"],
        ["run", "x.yaml", "--lane", "a,b"],
        ["run", "x.yaml", "--key", ""],
        ["start", "x.yaml", "--key", " "],
        ["start", "x.yaml", "--key-scope", "global"],
        ["start", "x.yaml", "--key", "k", "--key-scope", ""],
        ["run", "x.yaml", "--timeout", "nan"],
        ["run", "x.yaml", "--deadline", "soon"],
        ["run", "x.yaml", "--deadline", "0s"],
        ["run", "x.yaml", "--deadline", "-5m"],
        ["run", "x.yaml", "--deadline", "1000d"],
        ["start", "x.yaml", "--deadline", ""],
        ["worker", "--pool", "gevent"],
        ["worker", "--lane", "a b"],
        ["runs", "--limit", "0"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(words) == 2
    assert "Error: " in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURAZZO_REDIS_URL", "http://example.com")
    assert invoke(["runs"]) == 2
    assert "error: settings-refused: DURAZZO_REDIS_URL must begin with" in capsys.readouterr().err


def test_a_misspelt_command_is_said_with_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["shwo"]) == 2
    assert "Did you mean 'show'?" in capsys.readouterr().err


def test_a_redis_that_cannot_be_reached_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURAZZO_REDIS_URL", f"redis://ops:hunter2@127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("DURAZZO_SEAL", "off")
    assert invoke(["runs"]) == 4
    said = capsys.readouterr().err
    assert "error: redis-unavailable: " in said
    assert "DURAZZO_REDIS_URL names 127.0.0.1:" in said
    assert "hunter2" not in said


def test_bad_yaml_is_shown_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3 with file:line:column and a caret; with --json one object as well."""
    file = tmp_path / "bad.yaml"
    file.write_text("arazzo: 1.0.1\ninfo: [\n")
    assert invoke(["run", str(file), "--json"]) == 3
    said = capsys.readouterr()
    assert f"{file}:" in said.err
    assert "error: document-refused: the document has 1 error" in said.err
    found = json.loads(said.out)
    assert (found["run"], found["error"]["code"]) == (None, "document-refused")
    assert found["diagnostics"][0]["line"] >= 2
    assert found["diagnostics"][0]["column"] >= 1


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", "/nowhere/order.yaml"]) == 3
    said = capsys.readouterr().err
    assert "/nowhere/order.yaml:1:1: error document-unreadable: No such file" in said


def test_a_document_too_large_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    assert invoke(["validate", str(file)]) == 3
    assert "a document has at most 1024 KiB" in capsys.readouterr().err


def test_validate_gives_diagnostics_and_the_workflows(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", str(CHARGE_AND_TEXT), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is True
    assert found["workflows"] == ["charge-and-sms-confirm"]
    assert [d["line"] for d in found["diagnostics"]] == [52]


def test_strict_refuses_a_leniency(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", str(CHARGE_AND_TEXT), "--strict"]) == 3
    assert "error arazzo-double-quoted-string" in capsys.readouterr().err


def test_a_misspelt_input_is_said_with_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    """And no value is repeated."""
    assert invoke(["run", str(CHARGE_AND_TEXT), "-i", "toPone=+15558675310", "-i", "amount=x"]) == 3
    said = capsys.readouterr().err
    assert "the workflow has no input 'toPone'; did you mean 'toPhone'?" in said
    assert "input 'amount': the value is not of type integer" in said
    assert "867" not in said


def test_a_bug_is_one_line_without_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message may hold an input; DURAZZO_DEBUG=1 shows the traceback."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("+15558675310")

    monkeypatch.setattr(cli, "main", broken)
    monkeypatch.delenv("DURAZZO_DEBUG", raising=False)
    assert invoke(["runs"]) == BUG
    said = capsys.readouterr().err
    assert said.startswith("error: bug: unexpected RuntimeError at test_command_line.py:")
    assert said.endswith("set DURAZZO_DEBUG=1 for the traceback\n")
    assert "867" not in said
    monkeypatch.setenv("DURAZZO_DEBUG", "1")
    invoke(["runs"])
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_before_anything_was_accepted_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert invoke(["runs"]) == 130
    assert capsys.readouterr().err == "interrupted\n"

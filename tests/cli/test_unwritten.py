"""A result that cannot be written is neither a failed run nor a bug: real pipes, real files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ops.cli.main import PIPE_CLOSED
from ops.cli.terminal import OutputLost
from tests.cli.conftest import CHARGE_AND_TEXT, DECLINED, Shell

pytestmark = pytest.mark.process

LOST = OutputLost.exit_code
VALIDATE = ("validate", str(CHARGE_AND_TEXT))


def shell(durazzo: Shell, words: tuple[str, ...], where: str) -> tuple[int, str]:
    """The command's own exit code, and what it said on stderr."""
    script = f'"$@" {where}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script, "-", sys.executable, "-m", "ops.cli.main", *words],
        env=durazzo.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("where", ["2>&1 | head -n 1", "2>&1 | true"])
def test_a_run_is_followed_to_its_end_after_its_reader_left(durazzo: Shell, where: str) -> None:
    """Its ticks are lost and not the text that follows the charge."""
    assert shell(durazzo, ("run", *durazzo.order()), where) == (PIPE_CLOSED, "")
    assert durazzo.effects() == (1, 1)


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_a_run_whose_result_cannot_be_written_is_no_bug(
    durazzo: Shell, where: str, json: tuple[str, ...]
) -> None:
    code, said = shell(durazzo, ("run", *durazzo.order(), *json), where)
    assert code == LOST, said
    assert said.splitlines()[-1].startswith("error: output-lost: the result cannot be written (")
    assert "send-confirmation (HTTP 201)" in said
    assert durazzo.effects() == (1, 1)


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2>&- <&-"])
def test_the_code_is_the_runs_when_only_its_ticks_are_lost(durazzo: Shell, where: str) -> None:
    assert shell(durazzo, ("run", *durazzo.order()), where) == (0, "")
    failing = durazzo.order(paymentMethod=DECLINED)
    assert shell(durazzo, ("run", *failing), where) == (1, "")
    assert durazzo.effects() == (1, 1)


@pytest.mark.parametrize(
    ("words", "where", "code"),
    [
        (VALIDATE, "2>&1 | true", PIPE_CLOSED),
        (VALIDATE, ">/dev/full", LOST),
        (VALIDATE, ">&-", LOST),
        (("graph", str(CHARGE_AND_TEXT)), ">/dev/full", LOST),
        (("completion", "bash"), ">/dev/full", LOST),
        (("--help",), "| true", PIPE_CLOSED),
        (("run", "--help"), ">/dev/full", LOST),
        (("wat",), "2>/dev/full", 2),
        (("wat",), "2>&1 | true", 2),
        (("validate", "/nowhere.yaml"), "2>/dev/full", 3),
        (("run", str(CHARGE_AND_TEXT), "--inputs", "-"), "<&-", 3),
    ],
)
def test_every_command_says_it_with_one_code(
    durazzo: Shell, words: tuple[str, ...], where: str, code: int
) -> None:
    found, said = shell(durazzo, words, where)
    assert found == code, said
    assert "bug" not in said
    assert "Exception ignored" not in said

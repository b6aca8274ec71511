"""``durazzo explain``: pages as a terminal shows them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest

from ops.cli.explain import COMMANDS, FAMILIES, STEPS, pages, shown
from ops.cli.main import invoke


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert invoke(["explain", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_a_page_is_shown_without_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "yaml-duplicate-key").splitlines()
    assert lines[0] == "yaml-duplicate-key"
    assert {"EXAMPLE", "WHAT DURAZZO SAYS", "FIX"} <= set(lines)
    assert "    arazzo: 1.0.1" in lines
    assert not any(mark in line for line in lines for mark in ("```", "`", "##", "**"))


def test_every_page_keeps_its_words_and_blocks() -> None:
    for page in pages().values():
        lines = [click.unstyle(line) for line in shown(page.text, width=60)]
        assert lines[0] == page.code
        own = [x for x in page.text.splitlines() if x and x[0] not in "#`" and " " not in x[:1]]
        words = " ".join("\n".join(own).replace("`", "").split())
        assert set(words.split()) <= set(" ".join(lines).split()) | {"-"}


def test_prose_is_as_wide_as_the_terminal_and_blocks_are_as_they_were() -> None:
    text = "# c\n\n" + "word " * 40 + "\n\n```yaml\na: " + "x" * 90 + "\n```\n"
    lines = list(shown(text, width=40))
    assert max(len(line) for line in lines if line.startswith("word")) <= 40
    assert "    a: " + "x" * 90 in lines


def test_nothing_is_coloured_where_nobody_sees_colours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "\x1b" not in said(capsys, "yaml-duplicate-key")
    assert "\x1b" not in said(capsys)


def test_without_a_code_all_are_listed_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys).splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads == [family.upper() for family in FAMILIES]
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(pages())
    assert len(listed) == len(set(listed))


def test_json_has_the_page_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "no-worker", "--json"))
    page = pages()["no-worker"]
    assert found == {"code": "no-worker", "title": page.title, "page": page.text}


def test_json_without_a_code_has_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "--json"))["codes"]
    assert [entry["code"] for entry in found] == list(pages())
    families = {entry["code"]: entry["family"] for entry in found}
    assert (families["no-worker"], families["timeout"]) == (COMMANDS, STEPS)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("arazzo-unknwon-operation", "did you mean 'arazzo-unknown-operation'?"),
        ("card_declined", "the provider's own"),
        ("../../cli/main", "the provider's own"),
        ("README", "the provider's own"),
        ("\x1b[2J", "the provider's own"),
    ],
)
def test_a_code_without_a_page_gets_a_hint_and_exit_code_2(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["explain", "--", word]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert hint in printed.err
    assert "\x1b" not in printed.err


@pytest.mark.parametrize("terminal", [True, False])
def test_a_refused_document_points_to_the_first_errors_page_on_a_terminal(
    terminal: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert invoke(["validate", str(file)]) == 3
    err = capsys.readouterr().err
    assert ("durazzo explain unknown-format tells more" in err) is terminal

"""``durazzo explain``: the page of a code, for a terminal.

The pages are Markdown, one a code, in ``ops/docs/codes``. What kind of code a page is about
is seen from its headings: those of documents have an example, those of commands an exit code.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import click

from ops.cli import terminal
from ops.cli.commands import Command
from orchestrator.formats.diagnostics import close_to

_DOCUMENTS: Final = (
    ("Any document", ("document-unreadable", "unknown-format", "more-findings")),
    ("YAML and JSON", ("yaml-",)),
    ("Arazzo", ("arazzo-",)),
    ("OSOP", ("osop-",)),
    ("OpenAPI descriptions", ("openapi-",)),
    ("Where descriptions and servers are", ("source-", "server-")),
    ("Overlays", ("overlay-",)),
)
COMMANDS: Final = "Commands"
STEPS: Final = "Steps and runs"
FAMILIES: Final = (*(family for family, _ in _DOCUMENTS), COMMANDS, STEPS)

#: Codes that are told with a number in them → their page.
_NUMBERED: Final = (
    (re.compile(r"http-[1-5][0-9]{2}"), "http-NNN"),
    (re.compile(r"criterion-[0-9]+"), "criteria-not-met"),
)
#: A line is no longer than this, however wide the terminal.
_WIDEST: Final = 100
_INDENT: Final = "    "
_COLOURS: Final = {"-": "red", "+": "green"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    code: str
    #: Markdown.
    text: str

    @property
    def title(self) -> str:
        """Its first sentence."""
        words = " ".join(self.text.split("\n\n", 2)[1].split())
        return re.split(r"(?<=\.) (?=[A-Z`'])", words, maxsplit=1)[0]

    @property
    def family(self) -> str:
        for family, beginnings in _DOCUMENTS:
            if self.code.startswith(beginnings):
                return family
        return COMMANDS if "\n## Exit code\n" in self.text else STEPS


def folder() -> Traversable:
    return resources.files("ops") / "docs" / "codes"


@cache
def pages() -> dict[str, Page]:
    """By code, in the order of the alphabet."""
    files = (file for file in folder().iterdir() if file.name.endswith(".md"))
    named = {file.name.removesuffix(".md"): file for file in files}
    del named["README"]
    return {code: Page(code=code, text=named[code].read_text("utf-8")) for code in sorted(named)}


def find(code: str) -> Page | None:
    numbered = (page for pattern, page in _NUMBERED if pattern.fullmatch(code))
    return pages().get(next(numbered, code))


@click.command(cls=Command, example="durazzo explain arazzo-unknown-operation")
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print {code, title, page}, or {codes}.")
def explain(code: str | None, *, as_json: bool) -> None:
    """Say what a code means, with an example and what to do. Without CODE, list all."""
    if code is None:
        _list(as_json=as_json)
        return
    page = find(code)
    if page is None:
        raise click.BadParameter(_unknown(code), param_hint="CODE")
    if as_json:
        terminal.put_json({"code": page.code, "title": page.title, "page": page.text})
        return
    for line in shown(page.text, width=_width()):
        terminal.out(line)


def _unknown(code: str) -> str:
    close = close_to(code, pages())
    hint = (
        f"did you mean '{close}'?"
        if close
        else "durazzo explain lists all; a code that is none of them is the provider's own"
    )
    return terminal.plain(f"there is no page '{code}'; {hint}")


def _list(*, as_json: bool) -> None:
    if as_json:
        found = [{"code": p.code, "title": p.title, "family": p.family} for p in pages().values()]
        terminal.put_json({"codes": found})
        return
    longest = max(map(len, pages()))
    for family in FAMILIES:
        terminal.out(click.style(family.upper(), bold=True))
        for page in pages().values():
            if page.family == family:
                terminal.out(f"  {page.code.ljust(longest)}  {_prose(page.title)}")
        terminal.out()


def shown(markdown: str, *, width: int) -> Iterator[str]:
    """Lines for a terminal: headings stand out, blocks are indented, prose is wrapped."""
    language: str | None = None
    prose: list[str] = []
    for line in markdown.splitlines():
        if line.startswith("```"):
            yield from _wrapped(prose, width)
            prose = []
            language = line[3:] if language is None else None
        elif language is not None:
            yield _block_line(line, language)
        elif line.startswith("#"):
            yield click.style(line.lstrip("# ") if line[1] == " " else _heading(line), bold=True)
        elif line:
            prose.append(line)
        else:
            yield from _wrapped(prose, width)
            prose = []
            yield ""
    yield from _wrapped(prose, width)


def _heading(line: str) -> str:
    return line.lstrip("# ").upper()


def _block_line(line: str, language: str) -> str:
    colour = _COLOURS.get(line[:1]) if language == "diff" else None
    return f"{_INDENT}{click.style(line, fg=colour) if colour else line}".rstrip()


def _wrapped(lines: list[str], width: int) -> list[str]:
    """A list's items stay apart; what is bold in Markdown is plain here."""
    text = "\n".join(lines)
    items = re.split(r"\n(?=- )", text)
    return [
        line
        for item in items
        for line in textwrap.wrap(
            _prose(" ".join(item.split())),
            width,
            subsequent_indent="  " if item.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _prose(text: str) -> str:
    """Without Markdown's marks."""
    text = re.sub(r"\[([^\]]+)\]\((https?://[^)]+)\)", r"\1 (\2)", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    return text.replace("**", "").replace("`", "")


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)

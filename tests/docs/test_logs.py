"""The page about logs names every event that the source writes, and none that it does not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from ops.lab import CHECKOUT

PAGE: Final = CHECKOUT / "ops" / "docs" / "logs.md"
#: Whose events stand in a worker's log, its supervisor's among them.
SOURCES: Final = ("orchestrator", "workers", "ops/cli")
LEVELS: Final = ("debug", "info", "warning", "error", "critical", "exception")
NAME: Final = re.compile(r"[a-z]+\.[a-z]+(-[a-z]+)*")

#: (name, level): the fields that it is written with.
Events = dict[tuple[str, str], set[str]]


def logged(tree: ast.AST) -> Iterator[tuple[str, str, set[str]]]:
    """Name ("" if it is not written there), level and fields (``**``: some come from elsewhere)."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[first, *_]
            ) if level in LEVELS:
                fields = {word.arg or "**" for word in node.keywords}
                match first:
                    case ast.Constant(value=str(name)):
                        yield name, level, fields
                    case ast.Attribute(attr="_missed" | "_recovered" as name):
                        yield name, level, fields
                    case _:
                        yield "", level, fields
            case _:
                pass


def outages(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Outage"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case _:
                pass


@cache
def trees() -> Mapping[Path, ast.Module]:
    """Of the modules that have a logger."""
    files = [file for source in SOURCES for file in (CHECKOUT / source).rglob("*.py")]
    texts = {file: file.read_text() for file in sorted(files)}
    return {
        file: ast.parse(text)
        for file, text in texts.items()
        if "structlog" in text or "Outage(" in text
    }


@cache
def written() -> Events:
    """As the source has them; an outage's two names are made where it begins."""
    modules = trees().values()
    whose = [name for tree in modules for name in outages(tree)]
    found: Events = {}
    for tree in modules:
        for name, level, fields in logged(tree):
            names = [f"{one}.{name[1:]}" for one in whose] if name.startswith("_") else [name]
            for one in names:
                found.setdefault((one, level), set()).update(fields)
    return found


def told() -> Events:
    """As the page's tables have them: event, level, fields, what it means."""
    rows = re.findall(
        r"^\| `([^`]+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE
    )
    return {(name, level): set(re.findall(r"`(\w+)`", fields)) for name, level, fields in rows}


def test_every_event_that_is_written_is_told_and_none_besides() -> None:
    assert sorted(told()) == sorted(written())


def test_every_field_of_an_event_is_told_and_none_besides() -> None:
    page = told()
    for event, fields in written().items():
        assert fields - {"**"} <= page[event], event
        assert "**" in fields or page[event] <= fields, event


def test_every_event_has_a_name_of_its_own_that_can_be_searched_for() -> None:
    for file, tree in trees().items():
        for name, _, _ in logged(tree):
            composed = name in {"_missed", "_recovered"} and file.name == "outage.py"
            assert composed or NAME.fullmatch(name), f"{file}: {name!r}"


def test_a_name_stands_for_one_level() -> None:
    names = [name for name, _ in written()]
    assert len(names) == len(set(names))


def test_the_net_catches_what_it_says_it_does() -> None:
    module = ast.parse("""
log.info("a.b", run=1, **more)
log.warning(self._missed, code=2)
log.error(f"{x}.y")
math.log.info("no.event")
other.info("no.event")
log.bind(run=1)
Outage("broker", clock)
""")
    assert sorted(logged(module)) == [
        ("", "error", set()), ("_missed", "warning", {"code"}), ("a.b", "info", {"run", "**"}),
    ]  # fmt: skip
    assert list(outages(module)) == ["broker"]

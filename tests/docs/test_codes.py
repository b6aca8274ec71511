"""The pages of codes are true: an example says what is shown, and its fix leaves no error.

What durazzo says and the index are rewritten by ``DURAZZO_REWRITE_GOLDEN=1 pytest
tests/docs/test_codes.py``.

The net below finds codes without a page in the source: string constants that are passed as
codes, with the prefix that their module's ``Fields`` put before them. It cannot see a code that
comes from a variable of another name than ``code`` or is put together from parts; those are
seen when a test of ``tests/unit/formats`` makes durazzo say them (``loading.py``).
"""

from __future__ import annotations

import ast
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import click
import pytest

import ops.cli
import ops.demo
import orchestrator
import workers
from ops.cli import explain
from ops.cli.explain import COMMANDS, FAMILIES, STEPS, Page, find, pages
from ops.cli.main import cli
from ops.cli.validate import validate
from ops.lab import CHECKOUT
from orchestrator.errors import Diagnostic, DocumentRefused, DurazzoError
from orchestrator.formats.diagnostics import render
from orchestrator.formats.load import (
    FileSources,
    OverlayText,
    bundled,
    load,
    repairs,
    specs_folder,
)
from orchestrator.formats.overlay.document import MAX_ACTIONS
from orchestrator.formats.sources import SourceUnresolved
from orchestrator.formats.web import WebSources
from orchestrator.formats.web.address import Hosts
from orchestrator.formats.web.cache import Kept, SourceCache
from orchestrator.formats.web.edition import Edition
from orchestrator.formats.web.fetch import Fetcher
from orchestrator.service.validate import read
from tests.fakes.clock import ManualClock
from tests.unit.formats.loading import PROVIDERS
from workers.connections import Phase

FOLDER: Final = CHECKOUT / "ops" / "docs" / "codes"
REWRITE: Final = bool(os.environ.get("DURAZZO_REWRITE_GOLDEN"))
#: Where fetched descriptions were last week, and where nobody answers any more.
OLD, GONE = "https://docs.shop.example/shop.yaml", "https://gone.shop.example/shop.yaml"

#: Codes of documents whose page has no example, and why.
WITHOUT_EXAMPLE: Final = {
    "arazzo-too-large": "its example would have a thousand steps",
    "more-findings": "its example would have two hundred findings",
    "osop-too-large": "its example would have a thousand nodes",
    "overlay-too-many-actions": "its example would have a thousand actions",
    "source-map": "it is about a file that durazzo ships",
}
#: Codes that nobody sees: they are caught, and told under another code.
NEVER_SHOWN: Final = {
    "durazzo": "the root of the tree, which nobody raises",
    "expression-invalid": "told as arazzo-expression or osop-expression",
    "expression-unsupported": "told as arazzo- or osop-unsupported-expression",
    "not-encodable": "told as render-failed",
    "openapi-unusable": "carries the code that is told",
    "openapi-unknown-operation": "told as arazzo-unknown-operation",
    "profile-refused": "shipped profiles are checked against their schema before",
}


# Pages taken apart.


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    #: The text of example.yaml; "" if the command is about another file.
    text: str
    #: A command line; "" for ``durazzo validate example.yaml``.
    command: str
    says: str
    fix: str

    @property
    def words(self) -> list[str]:
        line = self.command or "durazzo validate example.yaml"
        return line.removeprefix("durazzo validate ").split()

    def fixed(self) -> Example:
        text, command = self.text.splitlines(), self.command.splitlines()
        for old, new in hunks(self.fix):
            if at(text, old):
                text = replaced(text, old, new)
            else:
                command = replaced(command, old, new)
        return Example(text="\n".join([*text, ""]), command="\n".join(command), says="", fix="")


def example_of(page: Page) -> Example:
    return Example(
        text=block(page, "Example", "yaml"),
        command=block(page, "Example", "sh").strip(),
        says=block(page, "What durazzo says", "text").rstrip("\n"),
        fix=block(page, "Fix", "diff"),
    )


def section(page: Page, heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page.text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def block(page: Page, heading: str, language: str) -> str:
    found = re.findall(
        rf"^```{language}\n(.*?)^```", section(page, heading), re.MULTILINE | re.DOTALL
    )
    assert len(found) <= 1
    return found[0] if found else ""


def hunks(diff: str) -> Iterator[tuple[list[str], list[str]]]:
    """Old and new lines of each, which ``@@`` parts."""
    for hunk in diff.split("\n@@\n"):
        lines = hunk.splitlines()
        assert {line[:1] for line in lines} <= {"+", "-", " "}
        yield [x[1:] for x in lines if x[0] != "+"], [x[1:] for x in lines if x[0] != "-"]


def at(lines: list[str], wanted: list[str]) -> list[int]:
    size = len(wanted)
    return [i for i in range(len(lines)) if wanted and lines[i : i + size] == wanted]


def replaced(lines: list[str], old: list[str], new: list[str]) -> list[str]:
    [start] = at(lines, old)
    return [*lines[:start], *new, *lines[start + len(old) :]]


# A folder with the files that the index shows, and sources on the web that are as examples need.


def shared_files() -> dict[str, str]:
    head = (FOLDER / "README.md").read_text()
    shop, order = re.findall(r"^```yaml\n(.*?)^```", head, re.MULTILINE | re.DOTALL)
    return {"shop.yaml": shop, "order.yaml": order}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in shared_files().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "specs").symlink_to(specs_folder())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _nobody(host: str, port: int) -> list[str]:
    raise OSError


def web(folder: Path, text: str) -> WebSources:
    """``DURAZZO_SOURCE_HOSTS`` lists the hosts of ``OLD`` and ``GONE`` if the example has them."""
    clock = ManualClock()
    cache = SourceCache(folder / "cache")
    kept = Edition(data=shared_files()["shop.yaml"].encode())
    cache.keep(OLD, Kept(edition=kept, checked=clock.now - 7 * 86_400_000))
    listed = (url for url in (OLD, GONE) if url in text)
    origins = frozenset(f"https://{urlsplit(url).hostname}:443" for url in listed)
    fetcher = Fetcher(Hosts(origins), clock, resolve=_nobody)
    return WebSources(fetcher=fetcher, cache=cache, clock=clock)


def said(example: Example, folder: Path, *, strict: bool = False) -> tuple[Diagnostic, ...]:
    """What the example's command line has durazzo say."""
    (folder / "example.yaml").write_text(example.text)
    # click remembers how a command's help is asked for: as the group of all commands says.
    group = click.Context(cli, **cli.context_settings)
    given: dict[str, Any] = validate.make_context("validate", example.words, parent=group).params
    try:
        return load(
            read(given["file"]),
            file=str(given["file"]),
            sources=FileSources(
                given=given["sources"],
                shipped=bundled(specs_folder()),
                folder=Path(),
                web=web(folder, example.text),
            ),
            providers=PROVIDERS,
            workflow=given["workflow"],
            strict=strict,
            servers=given["servers"],
            overlays=[OverlayText(text=read(o), file=str(o)) for o in given["overlays"]],
            known_repairs=repairs(specs_folder()),
        ).diagnostics
    except DocumentRefused as refused:
        return refused.diagnostics


def of_documents() -> list[Page]:
    return [p for p in pages().values() if p.family not in {COMMANDS, STEPS}]


def with_example() -> list[str]:
    return [page.code for page in of_documents() if page.code not in WITHOUT_EXAMPLE]


@pytest.mark.parametrize("code", with_example())
def test_an_example_says_exactly_what_its_page_shows(code: str, folder: Path) -> None:
    page = pages()[code]
    example = example_of(page)
    found = said(example, folder)
    shown = "\n".join(map(render, found))
    if REWRITE and example.says and shown != example.says:
        (FOLDER / f"{code}.md").write_text(page.text.replace(example.says, shown))
    else:
        assert shown == example.says
    assert code in {d.code for d in found}


@pytest.mark.parametrize("code", with_example())
def test_the_fix_of_a_page_leaves_neither_the_code_nor_an_error(code: str, folder: Path) -> None:
    found = said(example_of(pages()[code]).fixed(), folder)
    assert [render(d) for d in found if d.code == code or d.severity == "error"] == []


def leniencies() -> list[str]:
    return [c for c in with_example() if f": warning {c}: " in example_of(pages()[c]).says]


@pytest.mark.parametrize("code", leniencies())
def test_what_is_only_warned_of_is_refused_under_strict(code: str, folder: Path) -> None:
    found = said(example_of(pages()[code]), folder, strict=True)
    assert {d.severity for d in found if d.code == code} == {"error"}
    assert "--strict" in pages()[code].text


# Codes without an example.


def test_an_overlay_with_too_many_actions_is_told_as_its_page_has_it(folder: Path) -> None:
    head = 'overlay: 1.0.0\ninfo: {title: many, version: "1"}\nactions:\n'
    action = "- {target: $.info, update: {x-a: 1}}\n"
    example = Example(
        text=head + action * (MAX_ACTIONS + 1),
        command="durazzo validate order.yaml --overlay example.yaml",
        says="",
        fix="",
    )
    [found] = said(example, folder)
    assert found.code == "overlay-too-many-actions"
    assert found.message in " ".join(pages()[found.code].text.split())


def test_a_source_map_that_is_no_map_is_told_as_its_page_has_it(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("- a list")
    with pytest.raises(DocumentRefused) as caught:
        bundled(tmp_path)
    [found] = caught.value.diagnostics
    assert found.code == "source-map"
    assert found.message in " ".join(pages()[found.code].text.split())


def test_what_has_no_example_is_a_code_of_documents() -> None:
    assert set(WITHOUT_EXAMPLE) <= {page.code for page in of_documents()}
    assert not any(example_of(pages()[code]).says for code in WITHOUT_EXAMPLE)


# The form of pages, and the index.


@pytest.mark.parametrize("page", pages().values(), ids=lambda page: page.code)
def test_a_page_is_short_and_begins_with_its_code_and_one_sentence(page: Page) -> None:
    lines = page.text.splitlines()
    assert lines[:2] == [f"# {page.code}", ""]
    assert page.title.endswith(".")
    assert len(page.title) <= 140
    assert len(lines) <= 75
    assert section(page, "Fix") or section(page, "What to do")


@pytest.mark.parametrize("page", pages().values(), ids=lambda page: page.code)
def test_a_page_names_no_code_that_has_none(page: Page) -> None:
    named = re.findall(r"`((?:yaml|arazzo|osop|openapi|source|server|overlay)-[a-z-]+)`", page.text)
    assert [code for code in named if code not in pages() and code not in OTHER_WORDS] == []


#: What looks like a code, and is the name of an overlay or a file.
OTHER_WORDS: Final[frozenset[str]] = frozenset()


def index() -> str:
    """The README's tables."""
    parts = []
    for family in FAMILIES:
        rows = [
            f"| [{page.code}]({page.code}.md) | {page.title} |"
            for page in pages().values()
            if page.family == family
        ]
        parts.append("\n".join([f"## {family}", "", "| code | means |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def test_the_index_has_every_page() -> None:
    file = FOLDER / "README.md"
    head, _, _ = file.read_text().partition(f"## {FAMILIES[0]}\n")
    if REWRITE:
        file.write_text(head + index())
    assert file.read_text() == head + index()
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", index())) == set(pages())


# Every code has a page, and every page a code.


def error_classes() -> set[type[DurazzoError]]:
    for package in (orchestrator, workers, ops.cli, ops.demo):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # The Celery app of a worker's process wants settings, and is made when imported.
            if module.name != "workers.app":
                import_module(module.name)
    found: set[type[DurazzoError]] = set()
    ahead: list[type[DurazzoError]] = [DurazzoError]
    while ahead:
        cls = ahead.pop()
        found.add(cls)
        ahead.extend(cls.__subclasses__())
    return {cls for cls in found if cls.__module__.split(".")[0] != "tests"}


def test_every_error_that_a_terminal_shows_has_a_page_with_its_exit_code() -> None:
    for cls in error_classes():
        if cls.code in NEVER_SHOWN:
            continue
        page = pages()[cls.code]
        # One that is told as a diagnostic ends as document-refused does.
        if page.family == COMMANDS and not issubclass(cls, SourceUnresolved):
            assert section(page, "Exit code").strip().startswith(f"{cls.exit_code}"), cls


def test_every_page_of_a_command_is_an_errors() -> None:
    told = {cls.code for cls in error_classes()} | {"bug"}
    assert {p.code for p in pages().values() if p.family == COMMANDS} <= told


def test_every_page_of_a_step_is_a_code_that_steps_get() -> None:
    written = {
        node.value
        for package in ("orchestrator", "workers")
        for _, tree in sources_of(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    composed = {f"{phase}-{end}" for phase in get_args(Phase) for end in ("failed", "timeout")}
    assert composed <= set(pages())
    of_steps = {p.code for p in pages().values() if p.family == STEPS}
    assert of_steps - written - composed == {"http-NNN"}


def test_codes_with_a_number_lead_to_the_page_of_all_of_them() -> None:
    assert find("http-402") == pages()["http-NNN"]
    assert find("criterion-3") == pages()["criteria-not-met"]
    assert find("http-4022") is None


#: Methods that take a code, and whose it is: a report's whole, or one that Fields prefix.
_REPORTS: Final = frozenset({"error", "warning", "note"})
_WHOLE: Final = frozenset({"_stop", "DescriptionRefused", "_no_answer"})
_NAMED: Final = frozenset({"code", "reason"})


def sources_of(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted((CHECKOUT / package).rglob("*.py")):
        yield file, ast.parse(file.read_text())


def net(file: Path, tree: ast.Module) -> Iterator[str]:
    """Codes as they are written in a module; ``-x`` is one whose prefix is not."""
    prefix = next((f for f in ("arazzo", "osop", "overlay") if f in file.parts), "")
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="unsupported"), args=args):
                names = [name for arg in args for name in _texts(arg, tree)]
                yield from (f"{prefix}-unsupported-{_kebab(name)}" for name in names)
            case ast.Call():
                yield from _passed(node, prefix)
            case ast.Assign(targets=[ast.Name(id="code"), *_], value=value):
                yield from _constants(value)
            case ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value):
                yield from _constants(value)
            # Outcomes' codes have names where they are told apart.
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text))) if (
                name.isupper() and {"workers", "engine"} & {*file.parts} and "-" in text
            ):
                yield text
            case _:
                pass


def _passed(call: ast.Call, prefix: str) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    holder = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if call.args else ast.Constant("")
    if name in _REPORTS and holder.endswith("report"):
        yield from _codes(first)
    elif name in _REPORTS and holder != "log":
        yield from (f"{prefix}-{code}" for code in _codes(first))
    elif name in _WHOLE:
        yield from (code for arg in call.args[:2] for code in _codes(arg))
    if name in {"Note", "Diagnostic", "Outcome", "NoAnswer"}:
        own = "-" if name == "Note" else ""
        keywords = (k.value for k in call.keywords if k.arg in _NAMED)
        yield from (own + code for value in keywords for code in _codes(value))


def _codes(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(code)):
            yield code
        case ast.JoinedStr(values=[*_, ast.Constant(value=str(end))]):
            yield end
        case _:
            pass


def _constants(value: ast.expr) -> Iterator[str]:
    """Of an assignment: a choice of two has the prefix elsewhere, or none."""
    if isinstance(value, ast.IfExp):
        yield from (f"-{code}" for part in (value.body, value.orelse) for code in _codes(part))
    else:
        yield from _codes(value)


def _texts(arg: ast.expr, tree: ast.Module) -> Iterator[str]:
    """Of an argument, or of the module's constant that ``*NAME`` spreads out."""
    match arg:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Starred(value=ast.Name(id=wanted)):
            for node in tree.body:
                if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == wanted:
                    assert node.value is not None
                    yield from ast.literal_eval(node.value)
        case _:
            pass


def _kebab(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "-", name).lower().replace("_", "-")


def _has_page(code: str) -> bool:
    if code.startswith("-"):
        return any(page == code[1:] or page.endswith(code) for page in pages())
    return code in pages()


@pytest.mark.parametrize("package", ["orchestrator", "workers"])
def test_no_code_in_the_source_is_without_a_page(package: str) -> None:
    found = {
        (file.name, code)
        for file, tree in sources_of(package)
        for code in net(file, tree)
        if re.fullmatch(r"-?[a-z]+(-[a-z]+)*", code) and code not in NEVER_SHOWN
    }
    assert len(found) >= {"orchestrator": 150, "workers": 5}[package]
    assert sorted((name, code) for name, code in found if not _has_page(code)) == []


def test_the_net_catches_what_it_says_it_does() -> None:
    module = ast.parse("""
KEYS: Final = ("fooBar",)
report.error("a-b", "x")
self.report.warning(f"{self.format}-c", "x")
fields.error("d", "x", at)
fields.unsupported("e_f", *KEYS)
Note(code="g", message="x")
code = "h" if i else "j"
log.error("k")
""")
    file = Path("orchestrator/formats/osop/x.py")
    wanted = {"a-b", "-c", "osop-d", "osop-unsupported-e-f", "osop-unsupported-foo-bar",
              "-g", "-h", "-j"}  # fmt: skip
    assert set(net(file, module)) == wanted


def test_the_pages_are_read_from_where_they_are_shipped() -> None:
    assert {Path(str(f)).name for f in explain.folder().iterdir()} == {
        f.name for f in FOLDER.iterdir()
    }

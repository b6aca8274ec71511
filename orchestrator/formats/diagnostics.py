"""What is wrong with a document, where, and how it is shown.

A ``Report`` gathers every problem of one document; nothing stops at the first. Parts of a
document can stand in other files, its overlays: their problems are shown there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from orchestrator.errors import Diagnostic, DocumentRefused

#: An excerpt is a line to look at, not a way to print a whole minified document.
_EXCERPT_LIMIT = 160
#: Findings of one report that are shown; a person mends these first and asks again.
MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something was written: line and column count from 1."""

    line: int
    column: int
    pointer: str = ""
    #: "" is the report's own.
    file: str = ""


START = Place(line=1, column=1)


@dataclass(slots=True, kw_only=True)
class Report:
    """The findings about one document, in its order whatever the order they were made in."""

    file: str
    text: str
    #: A strict reader takes no leniency: every warning is an error.
    strict: bool = False
    #: In the order in which they were made, each once.
    _found: dict[Diagnostic, None] = field(default_factory=dict)
    #: Texts of the other files, in the order in which their findings are shown.
    _others: dict[str, str] = field(default_factory=dict)
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def add_file(self, file: str, text: str) -> None:
        """Places can be in this file as well: findings there are shown with its lines."""
        self._others.setdefault(file, text)

    def error(self, code: str, message: str, at: Place = START) -> None:
        self._add("error", code, message, at)

    def warning(self, code: str, message: str, at: Place = START) -> None:
        """A leniency, or something that is most likely not meant."""
        self._add("error" if self.strict else "warning", code, message, at)

    def note(self, code: str, message: str) -> None:
        """Something good to know about the whole document; refused by nobody."""
        self._found.setdefault(self._note(code, message))

    def _note(self, code: str, message: str) -> Diagnostic:
        return Diagnostic(
            code=code, severity="note", message=message, file=self.file, line=1, column=1
        )

    def include(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take over what was found in another file, e.g. a source description."""
        for diagnostic in diagnostics:
            self._found.setdefault(diagnostic)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Of the document, then of its overlays, each by line; then what was included.

        Of more than ``MAX_SHOWN``, errors are kept first, and a note says how many are left out.
        """
        found = self._in_order()
        if len(found) <= MAX_SHOWN:
            return found
        errors = [d for d in found if d.severity == "error"]
        others = [d for d in found if d.severity != "error"]
        kept = {*errors[:MAX_SHOWN], *others[: max(0, MAX_SHOWN - len(errors))]}
        message = f"and {len(found) - len(kept)} more, which are shown when these are mended"
        return (*(d for d in found if d in kept), self._note("more-findings", message))

    def _in_order(self) -> tuple[Diagnostic, ...]:
        files = [self.file, *(file for file in self._others if file != self.file)]
        own = [d for d in self._found if d.file in files]
        included = [d for d in self._found if d.file not in files]
        return (*sorted(own, key=lambda d: (files.index(d.file), d.line, d.column)), *included)

    @property
    def errors(self) -> int:
        return sum(d.severity == "error" for d in self._found)

    @property
    def refused(self) -> bool:
        return self.errors > 0

    def raise_if_refused(self) -> None:
        if self.refused:
            raise DocumentRefused(self.diagnostics)

    def _add(self, severity: str, code: str, message: str, at: Place) -> None:
        finding = Diagnostic(
            code=code,
            severity=severity,
            message=message,
            file=at.file or self.file,
            line=at.line,
            column=at.column,
            pointer=at.pointer,
            excerpt=self._line(at),
        )
        self._found.setdefault(finding)

    def _line(self, at: Place) -> str:
        if at.file not in self._lines:
            text = self._others.get(at.file, "") if at.file else self.text
            self._lines[at.file] = text.splitlines()
        lines = self._lines[at.file]
        line = lines[at.line - 1] if 0 < at.line <= len(lines) else ""
        return line if len(line) <= _EXCERPT_LIMIT else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence to put behind a message: the nearest name, or what there is, or nothing."""
    names = sorted(set(known))
    if close := close_to(name, names):
        return f"; did you mean '{close}'?"
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004 - a screen line
    return f"; there is {shown}"


def close_to(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one known name that ``name`` was probably meant to be."""
    by_folded = {k.casefold(): k for k in known}
    found = get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def render(diagnostic: Diagnostic) -> str:
    """For a terminal: ``file:line:column: severity code: message``, the line, and a caret."""
    where = f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}"
    head = _shown(f"{where}: {diagnostic.severity} {diagnostic.code}: {diagnostic.message}")
    if not diagnostic.excerpt:
        return head
    # Tabs are kept, so that the caret stands right whatever a tab's width is.
    before = diagnostic.excerpt[: diagnostic.column - 1]
    indent = "".join("\t" if c == "\t" else " " for c in before)
    return f"{head}\n  {_shown(diagnostic.excerpt)}\n  {indent}^"


def _shown(text: str) -> str:
    """A document's control characters do not reach the terminal that shows it."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)

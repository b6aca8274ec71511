"""What is wrong with a document, where, and how it is shown.

A ``Report`` gathers every problem of one file; nothing stops at the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from orchestrator.errors import Diagnostic, DocumentRefused

#: An excerpt is a line to look at, not a way to print a whole minified document.
_EXCERPT_LIMIT = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something was written: line and column count from 1."""

    line: int
    column: int
    pointer: str = ""


START = Place(line=1, column=1)


@dataclass(slots=True, kw_only=True)
class Report:
    """The findings about one file, in document order whatever the order they were made in."""

    file: str
    text: str
    #: A strict reader takes no leniency: every warning is an error.
    strict: bool = False
    _found: list[Diagnostic] = field(default_factory=list)
    _lines: list[str] | None = None

    def error(self, code: str, message: str, at: Place = START) -> None:
        self._add("error", code, message, at)

    def warning(self, code: str, message: str, at: Place = START) -> None:
        """A leniency, or something that is most likely not meant."""
        self._add("error" if self.strict else "warning", code, message, at)

    def include(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take over what was found in another file, e.g. a source description."""
        self._found.extend(d for d in diagnostics if d not in self._found)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        own = [d for d in self._found if d.file == self.file]
        others = [d for d in self._found if d.file != self.file]
        return (*sorted(own, key=lambda d: (d.line, d.column)), *others)

    @property
    def refused(self) -> bool:
        return any(d.severity == "error" for d in self._found)

    def raise_if_refused(self) -> None:
        if self.refused:
            raise DocumentRefused(self.diagnostics)

    def _add(self, severity: str, code: str, message: str, at: Place) -> None:
        finding = Diagnostic(
            code=code,
            severity=severity,
            message=message,
            file=self.file,
            line=at.line,
            column=at.column,
            pointer=at.pointer,
            excerpt=self._line(at.line),
        )
        if finding not in self._found:
            self._found.append(finding)

    def _line(self, number: int) -> str:
        if self._lines is None:
            self._lines = self.text.splitlines()
        line = self._lines[number - 1] if 0 < number <= len(self._lines) else ""
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

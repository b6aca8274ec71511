"""Trees → typed values, each complaint at the place of what is wrong.

A front-end names the keys that it knows; what is left over is reported by ``finish``,
so that a misspelt ``successCriteria`` cannot quietly mean "no criteria".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator.formats.diagnostics import Place, Report, close_to
from orchestrator.formats.source import Mapping, Scalar, Sequence, Tree

#: As alike as two keys are when one is the other with a slip of the finger.
_MISSPELT: Final = 0.8
#: Arazzo 1.0.1 says SHOULD; without it, no expression can name a step.
_ID_LENGTH: Final = 128
#: The key under which a step has durazzo's own settings (``formats.extension``).
EXTENSION: Final = "x-durazzo"
_IDENTIFIER: Final = re.compile(f"[A-Za-z0-9_-]{{1,{_ID_LENGTH}}}")


@dataclass(slots=True, kw_only=True)
class Fields:
    """The fields of one object of a document, taken one by one."""

    tree: Mapping
    #: What the object is, for messages: "step", "edge".
    what: str
    #: Prefix of the diagnostic codes: "arazzo", "osop".
    format: str
    report: Report
    _taken: set[str] = field(default_factory=set)

    @property
    def place(self) -> Place:
        return self.tree.place

    def take(self, name: str) -> Tree | None:
        self._taken.add(name)
        return self.tree.get(name)

    def text(self, name: str, *, required: bool = False) -> Scalar | None:
        """A scalar that is not null; numbers are taken as they were written."""
        found = self.take(name)
        if isinstance(found, Scalar) and found.value is not None:
            return found
        self._complain(name, found, "a text", required=required)
        return None

    def identifier(self, name: str) -> str:
        """A name that expressions, task ids and keys can hold; "" if there is none."""
        found = self.text(name, required=True)
        if found is None:
            return ""
        if not _IDENTIFIER.fullmatch(found.text):
            message = f"'{name}' is made of letters, digits, - and _, at most {_ID_LENGTH} of them"
            self.error("id", message, found.place)
        return found.text

    def mapping(self, name: str, *, required: bool = False) -> Mapping | None:
        found = self.take(name)
        if isinstance(found, Mapping):
            return found
        self._complain(name, found, "a mapping", required=required)
        return None

    def items(self, name: str, *, required: bool = False) -> tuple[Tree, ...]:
        found = self.take(name)
        if isinstance(found, Sequence):
            return found.items
        self._complain(name, found, "a list", required=required)
        return ()

    def objects(self, name: str, what: str, *, required: bool = False) -> Iterator[Fields]:
        """The items of a list of mappings; what is no mapping is reported and left out."""
        for item in self.items(name, required=required):
            if (fields := self.nested(item, what)) is not None:
                yield fields

    def nested(self, tree: Tree, what: str) -> Fields | None:
        if isinstance(tree, Mapping):
            return Fields(tree=tree, what=what, format=self.format, report=self.report)
        self.error("wrong-type", f"{_a(what)} is a mapping", tree.place)
        return None

    def unsupported(self, *names: str) -> None:
        """Keys that mean something which this version cannot do: refused, never ignored."""
        for key, _ in self.tree.entries:
            if key.text in names:
                self._taken.add(key.text)
                message = f"'{key.text}' of {_a(self.what)} is not supported yet"
                self.error(f"unsupported-{_kebab(key.text)}", message, key.place)

    def ignored(self, *names: str) -> None:
        """Keys that change nothing about what runs: names, descriptions."""
        self._taken.update(names)

    def finish(self) -> None:
        """Report keys that nobody took; ``x-…`` may hold anything, but for durazzo's own."""
        for key, _ in self.tree.entries:
            if key.text in self._taken:
                continue
            if not key.text.startswith("x-"):
                self._unknown(key, self._taken)
            elif key.text == EXTENSION:
                message = f"{_a(self.what)} has no '{EXTENSION}'; it belongs to a step"
                self.error("extension", message, key.place)
            elif close_to(key.text, (EXTENSION,), cutoff=_MISSPELT):
                self._unknown(key, (EXTENSION,))

    def _unknown(self, key: Scalar, known: Collection[str]) -> None:
        meant = close_to(key.text, known, cutoff=_MISSPELT)
        if meant is None:
            message = f"{_a(self.what)} has no '{key.text}'; it is ignored"
            self.report.warning(f"{self.format}-unknown-key", message, key.place)
        else:
            message = f"{_a(self.what)} has no '{key.text}'; did you mean '{meant}'?"
            self.error("misspelt-key", message, key.place)

    def error(self, code: str, message: str, at: Place) -> None:
        self.report.error(f"{self.format}-{code}", message, at)

    def _complain(self, name: str, found: Tree | None, wanted: str, *, required: bool) -> None:
        if found is not None:
            self.error("wrong-type", f"'{name}' of {_a(self.what)} is {wanted}", found.place)
        elif required:
            self.error("missing-key", f"{_a(self.what)} needs '{name}'", self.place)


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeio" else f"a {what}"


def _kebab(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).replace("_", "-")

"""The overlays that durazzo ships: by name, and by the document that they repair."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator.errors import DocumentRefused
from orchestrator.formats import source
from orchestrator.formats.canonical import canonical
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.overlay.document import OverlayText, read
from orchestrator.formats.overlay.targets import Targets
from orchestrator.formats.tree import Tree, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """An overlay without which a published document does not do what it says."""

    #: As ``--overlay`` takes it.
    name: str
    #: What is otherwise than the document believes: its ``info.x-durazzo-repairs``, one line.
    reality: str


def shipped(specs: Path) -> Mapping[str, Path]:
    """Name → file."""
    return {file.stem: file for file in sorted((specs / "overlays").glob("*.yaml"))}


@cache
def repairs(specs: Path) -> Mapping[str, Repair]:
    """By the digest of the document that each extends; read once per process.

    Only what is wrong *whoever* runs the document is a repair: an overlay that depends on
    somebody's account has no ``x-durazzo-repairs`` and is not in here.
    Raises DocumentRefused if a shipped file cannot be used.
    """
    found: dict[str, Repair] = {}
    for name, file in shipped(specs).items():
        text = file.read_text("utf-8")
        report = Report(file=str(file), text=text)
        overlay = read(OverlayText(text=text, file=str(file)), Targets(), report)
        report.raise_if_refused()
        if overlay is not None and overlay.repairs is not None and overlay.extends is not None:
            document = _parsed(file.parent / overlay.extends.text)
            found[digest(document)] = Repair(name=name, reality=overlay.repairs.text)
    return found


def digest(document: Tree) -> str:
    """Of a document's value: positions, comments and formatting do not count."""
    return hashlib.sha256(canonical(plain(document)).encode()).hexdigest()


def _parsed(file: Path) -> Tree:
    text = file.read_text("utf-8")
    report = Report(file=str(file), text=text)
    tree = source.parse(text, report)
    if tree is None:
        raise DocumentRefused(report.diagnostics)
    return tree

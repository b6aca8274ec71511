"""Overlays for tests: short ones, applied to short documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.load import Loaded, Repair, SourceResolver, load
from orchestrator.formats.overlay.apply import applied
from orchestrator.formats.overlay.document import OverlayText
from orchestrator.formats.tree import Tree, plain
from tests.unit.formats.loading import PROVIDERS, Shelf

HEAD = 'overlay: 1.0.0\ninfo: {title: t, version: "1"}\n'


def overlay(actions: str, *, head: str = HEAD, file: str = "over.yaml") -> OverlayText:
    """``actions`` is YAML; its first line is line 4 of the overlay."""
    return OverlayText(text=f"{head}actions:\n{actions}", file=file)


def overlaid(
    document: str, *overlays: OverlayText | str, strict: bool = False
) -> tuple[Tree, tuple[Diagnostic, ...]]:
    """The document ``doc.yaml`` with the overlays on it; a text is the actions of one."""
    report = Report(file="doc.yaml", text=document, strict=strict)
    tree = source.parse(document, report)
    assert tree is not None
    texts = [overlay(o) if isinstance(o, str) else o for o in overlays]
    return applied(tree, texts, report), report.diagnostics


def result(document: str, *overlays: OverlayText | str) -> Any:
    """The value that comes out, nothing having been complained of."""
    tree, found = overlaid(document, *overlays)
    assert found == ()
    return plain(tree)


def complaints(document: str, *overlays: OverlayText | str, strict: bool = False) -> list[str]:
    _, found = overlaid(document, *overlays, strict=strict)
    return [f"{d.file}:{d.line}:{d.column} {d.severity} {d.code}" for d in found]


def loaded(
    text: str,
    *,
    overlays: Sequence[OverlayText] = (),
    file: str = "flow.yaml",
    sources: SourceResolver | None = None,
    strict: bool = False,
    known_repairs: Mapping[str, Repair] | None = None,
) -> Loaded:
    return load(
        text,
        file=file,
        sources=sources or Shelf(),
        providers=PROVIDERS,
        strict=strict,
        overlays=overlays,
        known_repairs=known_repairs,
    )


def refused(
    text: str,
    *,
    overlays: Sequence[OverlayText] = (),
    sources: SourceResolver | None = None,
    strict: bool = False,
    known_repairs: Mapping[str, Repair] | None = None,
) -> tuple[Diagnostic, ...]:
    with pytest.raises(DocumentRefused) as caught:
        loaded(
            text,
            overlays=overlays,
            sources=sources,
            strict=strict,
            known_repairs=known_repairs,
        )
    return caught.value.diagnostics

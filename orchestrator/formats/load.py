"""The way in: a document's text → its plan, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats import source
from orchestrator.formats.arazzo import lower as arazzo
from orchestrator.formats.diagnostics import Report, render
from orchestrator.formats.endpoints import (
    Endpoints,
    Provider,
    check_hosts,
    check_replacements,
    check_used,
)
from orchestrator.formats.osop import lower as osop
from orchestrator.formats.overlay.apply import applied
from orchestrator.formats.overlay.document import OverlayText
from orchestrator.formats.overlay.shipped import Repair, digest, repairs, shipped
from orchestrator.formats.sources import (
    FileSources,
    SourceResolver,
    SourceText,
    SourceUnresolved,
    bundled,
    specs_folder,
)
from orchestrator.plan.model import Plan
from orchestrator.policy.call_hosts import CallHosts

_PUBLIC: Final = CallHosts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    plan: Plan
    #: Leniencies, suspicions and notes; none of them is an error.
    diagnostics: tuple[Diagnostic, ...] = ()
    #: All workflows of the document; the plan is of one of them.
    workflows: tuple[str, ...] = field(default=())


def load(
    text: str,
    *,
    file: str,
    sources: SourceResolver,
    providers: Sequence[Provider],
    workflow: str | None = None,
    strict: bool = False,
    servers: Mapping[str, str] | None = None,
    overlays: Sequence[OverlayText] = (),
    known_repairs: Mapping[str, Repair] | None = None,
    hosts: CallHosts = _PUBLIC,
) -> Loaded:
    """Raises DocumentRefused with every diagnostic, warnings included.

    ``servers`` replaces the server of a source description (by its name) or all servers
    under a URL prefix, whose remaining path is kept. ``strict`` makes errors of warnings.
    ``overlays`` change the document, in their order, before anything else looks at it;
    without the one by which ``known_repairs`` (see ``repairs``) repair the document, it is
    loaded with a note that names that one. ``hosts``: where its calls may go, as far as is known
    here; others are warned of.
    """
    report = Report(file=file, text=text, strict=strict)
    endpoints = Endpoints(providers=providers, servers=servers or {})
    check_replacements(endpoints.servers, report)
    tree = source.parse(text, report)
    report.raise_if_refused()
    if tree is not None and known_repairs:
        _suggest(known_repairs.get(digest(tree)), overlays, report)
    if tree is not None and overlays:
        tree = applied(tree, overlays, report)
        report.raise_if_refused()
    lowered = None if tree is None else _lowered(tree, report, workflow, sources, endpoints)
    report.raise_if_refused()
    check_used(endpoints, report)
    check_hosts(endpoints, hosts, report)
    report.raise_if_refused()
    if lowered is None:
        raise DocumentRefused(report.diagnostics)
    plan, workflows = lowered
    return Loaded(plan=plan, diagnostics=report.diagnostics, workflows=workflows)


def _suggest(repair: Repair | None, overlays: Sequence[OverlayText], report: Report) -> None:
    given = {Path(overlay.file).stem for overlay in overlays}
    if repair is not None and repair.name not in given:
        message = f"in reality, {repair.reality}; load it with --overlay {repair.name}"
        report.note("overlay-available", message)


def _lowered(
    tree: source.Tree,
    report: Report,
    workflow: str | None,
    sources: SourceResolver,
    endpoints: Endpoints,
) -> tuple[Plan, tuple[str, ...]] | None:
    keys = tree.keys() if isinstance(tree, source.Mapping) else ()
    if "arazzo" in keys:
        return arazzo.lower(tree, report, workflow=workflow, sources=sources, endpoints=endpoints)
    if "osop_version" in keys or {"nodes", "edges"} <= set(keys):
        return osop.lower(tree, report, workflow=workflow, sources=sources, endpoints=endpoints)
    message = (
        "this is neither an Arazzo document (it would say 'arazzo: 1.0.1') "
        "nor an OSOP one ('osop_version: \"1.0\"')"
    )
    report.error("unknown-format", message, tree.place)
    return None


__all__ = [
    "FileSources", "Loaded", "OverlayText", "Provider", "Repair", "SourceResolver", "SourceText",
    "SourceUnresolved", "bundled", "load", "render", "repairs", "shipped", "specs_folder",
]  # fmt: skip

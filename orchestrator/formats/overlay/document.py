"""An overlay's text → its actions, typed, with all that is wrong with it in the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jsonpath_rfc9535 import JSONPathQuery

from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.overlay.targets import TargetInvalid, Targets
from orchestrator.formats.reading import Fields
from orchestrator.formats.tree import Mapping, Scalar, Tree

#: Of one overlay.
MAX_ACTIONS: Final = 1_000
_VERSION: Final = re.compile(r"1\.0\.[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayText:
    text: str
    #: How diagnostics call the file.
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    target: Scalar
    query: JSONPathQuery
    #: What is merged or appended; None: what the target selects is removed.
    update: Tree | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    #: The document that it is written for, as a URI reference.
    extends: Scalar | None
    #: Its ``x-durazzo-repairs``, see ``shipped``.
    repairs: Scalar | None
    actions: tuple[Action, ...]


def read(written: OverlayText, targets: Targets, report: Report) -> Overlay | None:
    """None if there is nothing to apply; the report then says why."""
    report.add_file(written.file, written.text)
    tree = source.parse(written.text, report, file=written.file)
    if tree is None:
        return None
    if not isinstance(tree, Mapping):
        report.error("overlay-wrong-type", "an overlay is a mapping", tree.place)
        return None
    fields = Fields(tree=tree, what="overlay", format="overlay", report=report)
    if not _version(fields):
        return None
    repairs = _info(fields)
    extends = fields.text("extends")
    actions = list(fields.objects("actions", "action", required=True))
    fields.finish()
    _check_number(fields, len(actions))
    known = tuple(_actions(actions[:MAX_ACTIONS], targets))
    return Overlay(extends=extends, repairs=repairs, actions=known)


def _version(fields: Fields) -> bool:
    """Overlay 1.1 merges lists where 1.0 replaces them: it is not read as if it were 1.0."""
    version = fields.text("overlay", required=True)
    known = version is not None and _VERSION.fullmatch(version.text) is not None
    if version is not None and not known:
        message = f"Overlay {version.text} is not known; 1.0.x can be read, e.g. 'overlay: 1.0.0'"
        fields.error("version", message, version.place)
    return known


def _info(fields: Fields) -> Scalar | None:
    written = fields.mapping("info", required=True)
    info = None if written is None else fields.nested(written, "info")
    if info is None:
        return None
    info.text("title", required=True)
    info.text("version", required=True)
    repairs = info.text("x-durazzo-repairs")
    info.finish()
    return repairs


def _check_number(fields: Fields, count: int) -> None:
    written = fields.tree.get("actions")
    if isinstance(written, source.Sequence) and not written.items:
        fields.error("no-actions", "an overlay has at least one action", written.place)
    elif count > MAX_ACTIONS and written is not None:
        message = f"an overlay has at most {MAX_ACTIONS} actions"
        fields.error("too-many-actions", message, written.place)


def _actions(items: list[Fields], targets: Targets) -> Iterator[Action]:
    for item in items:
        target = item.text("target", required=True)
        item.text("description")
        update = item.take("update")
        remove = _removes(item)
        item.finish()
        query = None if target is None else _query(item, target, targets)
        if update is None and not remove:
            message = "this action has neither 'update' nor 'remove: true'; it changes nothing"
            item.report.warning("overlay-no-effect", message, item.place)
        elif target is not None and query is not None:
            # Overlay 1.0.0, Action Object: beside "remove: true", update has no impact.
            yield Action(target=target, query=query, update=None if remove else update)
        if update is not None and remove:
            message = "'update' has no effect beside 'remove: true'"
            item.report.warning("overlay-update-ignored", message, update.place)


def _removes(item: Fields) -> bool:
    written = item.take("remove")
    if isinstance(written, Scalar) and isinstance(written.value, bool):
        return written.value
    if written is not None:
        message = "'remove' of an action is true or false"
        item.error("wrong-type", message, written.place)
    return False


def _query(item: Fields, target: Scalar, targets: Targets) -> JSONPathQuery | None:
    try:
        return targets.compile(target.text)
    except TargetInvalid as problem:
        message = f"this is no JSONPath (RFC 9535): {problem.message}"
        item.error("target", message, target.at(problem.offset))
        return None

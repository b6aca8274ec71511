"""Overlays → a changed tree whose nodes still know in which file they were written."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Map
from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.overlay.document import Action, Overlay, OverlayText, read
from orchestrator.formats.overlay.targets import Kind, Location, Targets, TooCostly
from orchestrator.formats.tree import Mapping, Scalar, Sequence, Tree

#: Characters of a path in a message.
_SHOWN: Final = 120


def applied(tree: Tree, texts: Items[OverlayText], report: Report) -> Tree:
    """The tree with all actions of all overlays done, each on what those before it left.

    To be used only if the report has no errors. Every overlay is read first: what is wrong
    with any of them is reported together.
    """
    targets = Targets()
    overlays = [read(text, targets, report) for text in texts]
    if report.refused:
        return tree
    applying = _Applying(targets=targets, report=report)
    try:
        for overlay in filter(None, overlays):
            applying.check_extends(overlay)
            for action in overlay.actions:
                tree = applying.done(action, tree)
    except _Refused:
        pass
    return tree


class _Refused(Exception):
    """After this, no action can be done; the reason is in the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Applying:
    targets: Targets
    report: Report

    def check_extends(self, overlay: Overlay) -> None:
        """By name only: a document may lie elsewhere than where it was published."""
        if overlay.extends is None:
            return
        meant = _file_name(overlay.extends.text)
        if meant != PurePosixPath(self.report.file.replace("\\", "/")).name:
            message = f"this overlay was written for {meant}, not for {self.report.file}"
            self.report.warning("overlay-extends", message, overlay.extends.place)

    def done(self, action: Action, tree: Tree) -> Tree:
        try:
            selected = self.targets.select(action.query, tree)
            if not selected:
                message = "the target selects nothing in the document"
                self.report.warning("overlay-no-match", message, action.target.place)
            if not self._fits(action, selected):
                return tree
            if action.update is not None:
                self.targets.foresee(len(selected), action.update)
            tree = _changed(tree, _selection(selected), action.update)
            self._check_size(action, tree)
        except TooCostly as problem:
            message = f"this target cannot be evaluated: {problem.message}"
            self.report.error("overlay-target-cost", message, action.target.place)
            raise _Refused from None
        return tree

    def _fits(self, action: Action, selected: Map[Location, Kind]) -> bool:
        """Overlay 1.0.0, Action Object: targets select objects and lists, never anything else."""
        if action.update is None:
            return self._removable(action, selected)
        for at, kind in selected.items():
            if kind == "scalar":
                message = f"{_path(at)} is neither an object nor a list; select what it stands in"
                self.report.error("overlay-target-scalar", message, action.target.place)
                return False
            if kind == "object" and not isinstance(action.update, Mapping):
                message = f"{_path(at)} is an object, so 'update' is an object to merge into it"
                self.report.error("overlay-update", message, action.update.place)
                return False
        return True

    def _removable(self, action: Action, selected: Map[Location, Kind]) -> bool:
        if () in selected:
            message = "the whole document cannot be removed"
            self.report.error("overlay-remove-root", message, action.target.place)
            return False
        scalar = next((at for at, kind in selected.items() if kind == "scalar"), None)
        if scalar is not None:
            message = f"{_path(scalar)} is neither an object nor a list; it is removed nevertheless"
            self.report.warning("overlay-remove-scalar", message, action.target.place)
        return True

    def _check_size(self, action: Action, tree: Tree) -> None:
        """What comes out is no larger than what may come in."""
        nodes, depth = self.targets.measure(tree)
        limits = source.WORKFLOW
        if nodes > limits.nodes or depth > limits.depth:
            message = (
                f"with this the document has more than {limits.nodes} values, "
                f"or more than {limits.depth} levels"
            )
            self.report.error("overlay-too-large", message, action.target.place)
            raise _Refused


@dataclass(slots=True)
class _Selection:
    """Selected nodes as a tree of their own, so that one walk changes them all."""

    chosen: bool = False
    below: dict[str | int, _Selection] = field(default_factory=dict)


def _selection(locations: Iterable[Location]) -> _Selection:
    root = _Selection()
    for location in locations:
        selection = root
        for part in location:
            selection = selection.below.setdefault(part, _Selection())
        selection.chosen = True
    return root


def _changed(tree: Tree, selection: _Selection, update: Tree | None) -> Tree:
    """A node before those in it: the order in which RFC 9535 selects them."""
    if selection.chosen and update is not None:
        tree = _updated(tree, update)
    if not selection.below:
        return tree
    gone = {part for part, below in selection.below.items() if update is None and below.chosen}

    def kept(part: str | int, node: Tree) -> Tree:
        below = selection.below.get(part)
        return node if below is None else _changed(node, below, update)

    match tree:
        case Mapping():
            return replace(
                tree,
                entries=tuple((k, kept(k.text, v)) for k, v in tree.entries if k.text not in gone),
            )
        case Sequence():
            items = enumerate(tree.items)
            return replace(tree, items=tuple(kept(i, node) for i, node in items if i not in gone))
        case Scalar():
            # The update of an object above has put it where a selected node was.
            return tree


def _updated(tree: Tree, update: Tree) -> Tree:
    match tree, update:
        case Mapping(), Mapping():
            return _merged(tree, update)
        case Sequence(), _:
            # Overlay 1.0.0, Action Object: what is appended to a list is one entry of it, also
            # when it is a list itself.
            return replace(tree, items=(*tree.items, update))
        case _:
            return tree


def _merged(tree: Mapping, update: Mapping) -> Mapping:
    """Members are replaced by those of their name, and objects merged into objects.

    A list replaces a list (Overlay 1.0.0, Action Object); putting them together is 1.1.
    """
    new = {key.text: value for key, value in update.entries}
    old = {key.text for key, _ in tree.entries}
    return replace(
        tree,
        entries=(
            *((k, _replaced(v, new[k.text]) if k.text in new else v) for k, v in tree.entries),
            *((k, v) for k, v in update.entries if k.text not in old),
        ),
    )


def _replaced(old: Tree, new: Tree) -> Tree:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _merged(old, new)
    return new


def _path(location: Location) -> str:
    """As RFC 9535 (2.7) normalizes it, as far as a message needs it."""
    parts = (f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in location)
    path = "$" + "".join(parts)
    return path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"


def _file_name(reference: str) -> str:
    try:
        path = urlsplit(reference).path
    except ValueError:
        path = reference
    return PurePosixPath(unquote(path)).name

"""Steps → operations of the source descriptions, which are loaded when first needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from jsonpointer import JsonPointer, JsonPointerException

from orchestrator.errors import DocumentRefused
from orchestrator.formats import source
from orchestrator.formats.arazzo.model import OperationId, OperationPath, SourceDescription, Step
from orchestrator.formats.diagnostics import Report, did_you_mean
from orchestrator.formats.endpoints import Endpoint, Endpoints
from orchestrator.formats.sources import SourceResolver, SourceUnresolved
from orchestrator.openapi.description import Description, DescriptionRefused, Entry, describe
from orchestrator.openapi.operations import Operation, operation

_QUALIFIED = re.compile(r"\$sourceDescriptions\.([A-Za-z0-9_-]+)\.(.+)", re.DOTALL)
_PATH = re.compile(r"\{?\$sourceDescriptions\.([A-Za-z0-9_-]+)\.url\}?#(/.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    operation: Operation
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    description: Description
    entry: Entry


@dataclass(slots=True, kw_only=True)
class Linker:
    sources: tuple[SourceDescription, ...]
    resolver: SourceResolver
    endpoints: Endpoints
    report: Report
    #: By source name; None for those that could not be had, which is reported once.
    _loaded: dict[str, Description | None] = field(default_factory=dict)

    def link(self, step: Step) -> Link | None:
        """None, with the reason in the report, if the step's operation cannot be called."""
        written = step.operation.written
        if not written.text:
            # What stands for a step without an operation, which has been refused.
            return None
        found = self._find(step.operation)
        if found is None:
            return None
        try:
            called = operation(found.description, found.entry)
        except DescriptionRefused as problem:
            self.report.error(problem.problem, problem.message, written.place)
            return None
        return self._endpoint(called, found.description.name, written)

    def _endpoint(self, called: Operation, name: str, written: source.Scalar) -> Link | None:
        if not called.server and self.endpoints.replacement_of(name) is None:
            message = f"{name} names no absolute server; say where it is with --server {name}=URL"
            self.report.error("openapi-no-server", message, written.place)
            return None
        endpoint = self.endpoints.of(called.server, source=name, at=written.place)
        return Link(operation=called, endpoint=endpoint)

    def _find(self, reference: OperationId | OperationPath) -> _Found | None:
        match reference:
            case OperationPath(written=written):
                return self._by_path(written)
            case OperationId(written=written):
                qualified = _QUALIFIED.fullmatch(written.text)
                if qualified is None:
                    return self._unqualified(written)
                descriptions = self._named(qualified[1], written)
                return self._by_id(qualified[2], descriptions, written)

    def _unqualified(self, written: source.Scalar) -> _Found | None:
        if not self.sources:
            message = "there is no source description that could have operations"
            self.report.error("arazzo-undefined-source", message, written.place)
            return None
        # A document with no OpenAPI source at all hears of each why it cannot be used.
        candidates = [s for s in self.sources if s.type == "openapi"] or self.sources
        descriptions = [d for d in map(self._load, candidates) if d is not None]
        if len(descriptions) < len(candidates):
            return None
        found = self._by_id(written.text, descriptions, written)
        if found is not None and len(self.sources) > 1:
            name = found.description.name
            message = (
                f"with several source descriptions, write $sourceDescriptions.{name}.{written.text}"
            )
            self.report.warning("arazzo-unqualified-operation", message, written.place)
        return found

    def _by_id(
        self, operation_id: str, descriptions: list[Description], written: source.Scalar
    ) -> _Found | None:
        exact = _all_named(operation_id, descriptions)
        folded = exact or _all_named_without_case(operation_id, descriptions)
        match folded:
            case [only]:
                if not exact:
                    self._differs_in_case(only, operation_id, written)
                return only
            case []:
                self._unknown(operation_id, descriptions, written)
            case several:
                names = ", ".join(dict.fromkeys(f.description.name for f in several))
                message = (
                    f"'{operation_id}' is the name of several operations (in {names}); write"
                    " $sourceDescriptions.NAME.ID, or an operationPath"
                )
                self.report.error("arazzo-ambiguous-operation", message, written.place)
        return None

    def _differs_in_case(self, found: _Found, wanted: str, written: source.Scalar) -> None:
        name = found.entry.operation.get("operationId")
        message = f"'{wanted}' is called '{name}' in {found.description.name}"
        self.report.warning("arazzo-operation-case", message, written.place)

    def _unknown(
        self, wanted: str, descriptions: list[Description], written: source.Scalar
    ) -> None:
        if descriptions:
            known = [i for d in descriptions for i in d.operation_ids]
            where = ", ".join(d.name for d in descriptions)
            message = f"there is no operation '{wanted}' in {where}{did_you_mean(wanted, known)}"
            self.report.error("arazzo-unknown-operation", message, written.place)

    def _by_path(self, written: source.Scalar) -> _Found | None:
        match = _PATH.fullmatch(written.text)
        parts = _pointer_parts(match[2]) if match else ()
        if match is None or len(parts) != 3 or parts[0] != "paths":  # noqa: PLR2004 - paths/PATH/METHOD
            message = "expected {$sourceDescriptions.NAME.url}#/paths/~1things/get"
            self.report.error("arazzo-operation-path", message, written.place)
            return None
        for description in self._named(match[1], written):
            try:
                entry = description.entry_at(parts[1], parts[2])
            except DescriptionRefused as problem:
                self.report.error("arazzo-unknown-operation", problem.message, written.place)
            else:
                return _Found(description=description, entry=entry)
        return None

    def _named(self, name: str, written: source.Scalar) -> list[Description]:
        found = next((s for s in self.sources if s.name == name), None)
        if found is None:
            hint = did_you_mean(name, (s.name for s in self.sources))
            message = f"there is no source description '{name}'{hint}"
            self.report.error("arazzo-undefined-source", message, written.place)
            return []
        description = self._load(found)
        return [] if description is None else [description]

    def _load(self, wanted: SourceDescription) -> Description | None:
        if wanted.name not in self._loaded:
            self._loaded[wanted.name] = self._read(wanted)
        return self._loaded[wanted.name]

    def _read(self, wanted: SourceDescription) -> Description | None:
        if wanted.type != "openapi":
            message = f"operations of a source of type {wanted.type} are not supported yet"
            self.report.error("arazzo-unsupported-source", message, wanted.place)
            return None
        try:
            return self._described(wanted)
        except SourceUnresolved as problem:
            self.report.error(problem.code, problem.message, wanted.place)
        except DescriptionRefused as problem:
            self.report.error(problem.problem, problem.message, wanted.place)
        except DocumentRefused as problem:
            self.report.include(problem.diagnostics)
        return None

    def _described(self, wanted: SourceDescription) -> Description | None:
        found = self.resolver.read(wanted.name, wanted.url)
        if found.stale:
            self.report.warning("source-stale", found.stale, wanted.place)
        report = Report(file=found.file, text=found.text)
        tree = source.parse(found.text, report, source.DESCRIPTION)
        report.raise_if_refused()
        return None if tree is None else describe(wanted.name, wanted.url, source.plain(tree))


def _all_named(operation_id: str, descriptions: Iterable[Description]) -> list[_Found]:
    return [
        _Found(description=d, entry=entry)
        for d in descriptions
        for entry in d.entries.get(operation_id, ())
    ]


def _all_named_without_case(operation_id: str, descriptions: Iterable[Description]) -> list[_Found]:
    folded = operation_id.casefold()
    return [
        found
        for d in descriptions
        for name in d.operation_ids
        if name.casefold() == folded
        for found in _all_named(name, [d])
    ]


def _pointer_parts(pointer: str) -> tuple[str, ...]:
    try:
        return tuple(JsonPointer(pointer).parts)
    except JsonPointerException:
        return ()

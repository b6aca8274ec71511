"""Step + operation → the request: parameters in their places, the body in its encoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.expressions.nodes import Constant, Node
from orchestrator.formats.arazzo.link import Link
from orchestrator.formats.arazzo.model import Parameter, ParameterLocation, RequestBody, Step
from orchestrator.formats.bodies import JSON, encoding_of, misfit, structure_in
from orchestrator.formats.diagnostics import Report, did_you_mean
from orchestrator.formats.expressions import Expressions
from orchestrator.formats.source import Mapping, Scalar, Tree
from orchestrator.formats.values import is_header_name, joined_path, path_value
from orchestrator.openapi.operations import PathVariable
from orchestrator.plan.model import Body, HttpCall


def call(step: Step, link: Link, expressions: Expressions, report: Report) -> HttpCall:
    """Problems are in the report; the call is then not to be used."""
    request = _Request(step=step, link=link, expressions=expressions, report=report)
    return request.call()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    step: Step
    link: Link
    expressions: Expressions
    report: Report

    def call(self) -> HttpCall:
        self._check_parameters()
        payload = None if self.step.body is None else self.step.body.payload
        lifted = self._lifted(payload)
        return HttpCall(
            provider=self.link.endpoint.provider.name,
            method=self.link.operation.method,
            server=self.link.endpoint.server,
            via=self.link.endpoint.via,
            path=joined_path(self._path(lifted)),
            query=tuple(self._named("query")),
            headers=tuple(self._named("header")),
            body=self._body(self.step.body, lifted),
        )

    def _parameters(self, location: ParameterLocation) -> Iterator[Parameter]:
        return (p for p in self.step.parameters if p.location == location)

    def _check_parameters(self) -> None:
        variables = self.link.operation.path_variables
        for parameter in self._parameters("path"):
            if parameter.name.text not in variables:
                name = parameter.name.text
                hint = did_you_mean(name, variables) or "; it has none"
                message = f"the path of {self.link.operation.id} has no '{name}'{hint}"
                self.report.error("arazzo-unknown-path-parameter", message, parameter.name.place)
        for parameter in self._parameters("header"):
            if not is_header_name(parameter.name.text):
                message = "the name of a header has letters, digits and - in it, and no space"
                self.report.error("arazzo-header-name", message, parameter.name.place)
        self._check_twice()
        self._check_required()

    def _check_twice(self) -> None:
        seen: set[tuple[str, str]] = set()
        for parameter in self.step.parameters:
            key = (parameter.location, parameter.name.text.lower())
            if key in seen:
                message = f"'{parameter.name.text}' in {parameter.location} is here twice"
                self.report.error("arazzo-duplicate-parameter", message, parameter.place)
            seen.add(key)

    def _check_required(self) -> None:
        given = {(p.location, p.name.text.lower()) for p in self.step.parameters}
        for wanted in self.link.operation.parameters:
            if not wanted.required or wanted.location == "path":
                continue
            if (wanted.location, wanted.name.lower()) not in given:
                message = (
                    f"{self.link.operation.id} requires '{wanted.name}' in {wanted.location}, "
                    "which this step does not give"
                )
                self.report.warning("arazzo-missing-parameter", message, self.step.place)

    def _lifted(self, payload: Tree | None) -> dict[str, Tree]:
        """Path parameters that the step gives as payload fields of the same name."""
        given = {p.name.text for p in self._parameters("path")}
        missing = [n for n in self.link.operation.path_variables if n not in given]
        if not isinstance(payload, Mapping):
            return {}
        fields = {key.text: (key, value) for key, value in payload.entries}
        for name in missing:
            if name in fields:
                message = (
                    f"'{name}' belongs to the path of {self.link.operation.id}, not to its body; "
                    "it is sent in the path"
                )
                self.report.warning(
                    "arazzo-path-parameter-in-payload", message, fields[name][0].place
                )
        return {name: fields[name][1] for name in missing if name in fields}

    def _path(self, lifted: dict[str, Tree]) -> Iterator[Node]:
        given = {p.name.text: p.value for p in self._parameters("path")} | lifted
        for part in self.link.operation.path:
            if not isinstance(part, PathVariable):
                yield Constant(part)
            elif part.name in given:
                yield self._path_value(part.name, given[part.name])
            else:
                self._missing(part.name)

    def _path_value(self, name: str, written: Tree) -> Node:
        value = self.expressions.value(written, self.step.id)
        if isinstance(written, Scalar) and written.value not in {None, ""}:
            return path_value(value)
        message = f"the path parameter '{name}' is a text or a number, and not empty"
        self.report.error("arazzo-path-parameter", message, written.place)
        return value

    def _missing(self, name: str) -> None:
        message = (
            f"{self.link.operation.id} needs the path parameter '{name}'; "
            f"add it to the step's parameters with 'in: path'"
        )
        self.report.error("arazzo-missing-path-parameter", message, self.step.place)

    def _named(self, location: ParameterLocation) -> Iterator[tuple[str, Node]]:
        for parameter in self._parameters(location):
            yield parameter.name.text, self.expressions.value(parameter.value, self.step.id)

    def _body(self, written: RequestBody | None, lifted: dict[str, Tree]) -> Body | None:
        if written is None or written.payload is None:
            return None
        content_type = written.content_type.text if written.content_type else self._content_type()
        encoding = encoding_of(content_type, self.link.endpoint.provider)
        place = (written.content_type or written).place
        if encoding is None:
            message = (
                f"a body of type {content_type} cannot be written; JSON, forms and text/plain can"
            )
            self.report.error("arazzo-unsupported-content-type", message, place)
            return None
        payload = written.payload
        if encoding == "json" and isinstance(payload, Scalar):
            payload = structure_in(payload) or payload
        value = self.expressions.value(_without(payload, lifted), self.step.id)
        if reason := misfit(value, encoding):
            message = f"this payload cannot be sent as {content_type}: {reason}"
            self.report.error("arazzo-payload", message, payload.place)
        return Body(encoding=encoding, content_type=content_type, value=value)

    def _content_type(self) -> str:
        """Where the step names none: the operation's, if that leaves no choice, else JSON."""
        media_types = self.link.operation.media_types
        return media_types[0] if len(media_types) == 1 else JSON


def _without(payload: Tree, names: dict[str, Tree]) -> Tree:
    if not isinstance(payload, Mapping) or not names:
        return payload
    kept = tuple((key, value) for key, value in payload.entries if key.text not in names)
    return Mapping(kept, payload.place)

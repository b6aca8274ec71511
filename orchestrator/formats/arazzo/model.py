"""An Arazzo document's linear core, typed, with the place of everything that can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import Place
from orchestrator.formats.extension import Extension
from orchestrator.formats.source import Scalar, Tree

ParameterLocation = Literal["path", "query", "header"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    name: str
    url: str
    #: "openapi", "arazzo", "asyncapi"; only the first can be called.
    type: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class GotoStep:
    step: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryStep:
    after_ms: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A Success or Failure Action Object."""

    then: End | GotoStep | RetryStep
    #: Conditions of its criteria; all must hold.
    criteria: tuple[Scalar, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: Scalar
    location: ParameterLocation
    value: Tree
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestBody:
    content_type: Scalar | None
    payload: Tree | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationId:
    written: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPath:
    written: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    id: str
    place: Place
    operation: OperationId | OperationPath
    parameters: tuple[Parameter, ...]
    body: RequestBody | None
    #: Conditions of the success criteria; all must hold.
    criteria: tuple[Scalar, ...]
    #: Name and expression.
    outputs: tuple[tuple[Scalar, Scalar], ...]
    on_success: tuple[Action, ...]
    on_failure: tuple[Action, ...]
    extension: Extension
    #: 0 for none.
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    id: str
    place: Place
    #: Resolved JSON Schema; None if the workflow takes no inputs.
    inputs: Json
    steps: tuple[Step, ...]
    #: How many steps the document has, whatever could be read of them.
    written: int
    outputs: tuple[tuple[Scalar, Scalar], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    sources: tuple[SourceDescription, ...]
    #: Of all workflows, in document order.
    workflow_ids: tuple[str, ...]
    #: The one that was asked for.
    workflow: Workflow

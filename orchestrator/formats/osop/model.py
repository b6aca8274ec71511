"""An OSOP document as far as it runs, typed, with the place of everything that can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import Place
from orchestrator.formats.extension import Extension
from orchestrator.formats.source import Mapping, Scalar, Tree

Mode = Literal["sequential", "conditional", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The runtime of an ``api`` node."""

    method: str
    url: Scalar | None
    endpoint: Scalar | None
    headers: Mapping | None
    content_type: Scalar | None
    body: Tree | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The runtime of an ``agent`` node that one message to a model answers."""

    model: str
    system: Scalar | None
    max_tokens: int
    temperature: Scalar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    id: str
    place: Place
    #: What the node is for, in the author's words.
    description: str
    runtime: Api | Agent
    #: Name and path into the answer, e.g. ``data.id``.
    outputs: tuple[tuple[Scalar, Scalar], ...]
    extension: Extension
    #: 0 for none.
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    source: str
    target: str
    mode: Mode
    condition: Scalar | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    id: str
    nodes: tuple[Node, ...]
    #: How many nodes the document has, whatever could be read of them.
    written: int
    edges: tuple[Edge, ...]
    #: JSON Schema of the inputs; None if the document declares none.
    inputs: Json
    #: Name and ``${…}`` of what a run gives back.
    outputs: tuple[tuple[Scalar, Scalar], ...]
    #: Of a run; 0 for none.
    timeout_ms: int

"""The plan: one workflow, lowered and frozen. Arazzo and OSOP meet here and never again.

A plan holds what runs, nothing of how it was written: the same flow written in
both formats is the same plan, with the same digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from orchestrator.expressions.nodes import Input, Json, Node, Output, walk

#: How a body goes out. "form-brackets": a[b]=c, a[0]=c (Stripe); "form-repeat": a=1&a=2 (Twilio).
Encoding = Literal["json", "form-brackets", "form-repeat", "text"]
#: What becomes of a call that may have been carried out and cannot be found: a person's, or sent
#: again, for it is wanted twice rather than never.
WhenUnknown = Literal["park", "resend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    encoding: Encoding
    content_type: str
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One request of an API: everything but credentials, which are the worker's."""

    #: Name of the provider profile that knows this API; "generic" when none does.
    provider: str
    method: str
    #: Absolute base URL as published, without trailing slash, e.g. "https://api.stripe.com".
    server: str
    #: Base URL that a person put in its place (``--server``); "" for none. Whose API it is, and
    #: whose credentials it gets, still goes by ``server``.
    via: str = ""
    #: Parts of the path: constants go out as they are, values percent-encoded.
    path: tuple[Node, ...]
    query: tuple[tuple[str, Node], ...] = ()
    headers: tuple[tuple[str, Node], ...] = ()
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goto:
    """Enter a step again or for the first time: a new visit of it."""

    step: str
    #: The route is closed once its target was visited this often.
    cap: int
    #: It leads back before the step that failed, which is then done anew: not for a failure that
    #: can only come again, as the provider says or the visit before has shown.
    redo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The document's own retry: the same step in a new visit, with a new key."""

    after_ms: int
    #: Retries after the first try (Arazzo 1.0.1, "Failure Action Object").
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The workflow ends here; after a failure it has failed, with its outputs."""


Action: TypeAlias = Goto | Retry | End


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    then: Action
    #: All must hold; empty always holds.
    when: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The first route that holds is taken. A step's choices are independent of each other:

    Arazzo actions are one choice of many routes, OSOP edges are many choices of one.
    """

    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    id: str
    call: HttpCall
    #: All must hold for the step to succeed; empty means a 2xx status.
    criteria: tuple[Node, ...] = ()
    outputs: tuple[tuple[str, Node], ...] = ()
    success: tuple[Choice, ...] = ()
    #: Empty: a failure here fails the run.
    failure: tuple[Choice, ...] = ()
    #: A join: it is entered once, when one of these steps' ways here was taken and nothing that
    #: is under way can take another. Empty: every arrival enters.
    awaits: tuple[str, ...] = ()
    #: The document's word; the profile has the last one (``workers.doubt``).
    when_unknown: WhenUnknown = "park"
    #: A visit's time from its first call, with all its retries and waits; 0 for no end. ms.
    timeout_ms: int = 0

    def nodes(self) -> Iterator[Node]:
        """Every expression that driving this step may evaluate."""
        yield from request_nodes(self.call)
        yield from self.criteria
        yield from (node for _, node in self.outputs)
        for choice in self.success + self.failure:
            for route in choice.routes:
                yield from route.when

    def reads(self) -> tuple[str, ...]:
        """Ids of the steps whose outputs are needed to drive this one, sorted."""
        return output_steps(self.nodes())

    def targets(self) -> tuple[str, ...]:
        """Ids of the steps that this one can lead to, in order, each once."""
        found = {
            route.then.step: None
            for choice in self.success + self.failure
            for route in choice.routes
            if isinstance(route.then, Goto)
        }
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSchema:
    """What a run may be given."""

    #: JSON Schema (2020-12) of the inputs, as canonical JSON text.
    schema: str = "{}"
    #: Inputs that a request or a success criterion needs, whether or not the schema requires them.
    referenced: tuple[str, ...] = ()
    #: Defaults of inputs that are not given, by name, as canonical JSON text.
    defaults: tuple[tuple[str, str], ...] = ()

    def filled(self, common: Mapping[str, Json]) -> InputSchema:
        """With these in place of its own defaults."""
        values = dict(self.defaults) | {name: json.dumps(v) for name, v in common.items()}
        return replace(self, defaults=tuple(sorted(values.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    name: str
    steps: tuple[Step, ...]
    #: Steps entered when the run starts.
    starts: tuple[str, ...]
    inputs: InputSchema = InputSchema()
    outputs: tuple[tuple[str, Node], ...] = ()
    #: A run's time from its acceptance; 0 for no end. ms.
    timeout_ms: int = 0

    def step(self, step_id: str) -> Step:
        """Raises KeyError for a step that the plan does not have."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def request_nodes(call: HttpCall) -> Iterator[Node]:
    yield from call.path
    yield from (node for _, node in call.query)
    yield from (node for _, node in call.headers)
    if call.body is not None:
        yield call.body.value


def output_steps(nodes: Iterable[Node]) -> tuple[str, ...]:
    found = {n.step for node in nodes for n in walk(node) if isinstance(n, Output)}
    return tuple(sorted(found))


def referenced_inputs(steps: Iterable[Step]) -> tuple[str, ...]:
    """Inputs that some request needs, in the order in which they first appear."""
    found: dict[str, None] = {}
    for step in steps:
        for node in request_nodes(step.call):
            found.update({n.name: None for n in walk(node) if isinstance(n, Input)})
    return tuple(found)


__all__ = [
    "Action", "Body", "Choice", "Encoding", "End", "Goto", "HttpCall", "InputSchema", "Json",
    "Plan", "Retry", "Route", "Step", "WhenUnknown", "output_steps", "referenced_inputs",
    "request_nodes",
]  # fmt: skip

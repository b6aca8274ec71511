"""``agent`` nodes → one call of Anthropic's Messages API.

A request like any other: so retries, freezing, limits and the sandbox are the same for
a model as for Stripe. Credentials are the provider profile's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from orchestrator.expressions.nodes import (
    Array,
    Compare,
    Constant,
    Node,
    Object,
    Or,
    Output,
    ResponseBody,
    StatusCode,
    Text,
)
from orchestrator.formats.bodies import JSON
from orchestrator.formats.endpoints import Endpoints
from orchestrator.formats.osop.model import Agent
from orchestrator.plan.model import Body, HttpCall

SERVER: Final = "https://api.anthropic.com"
PROVIDER: Final = "anthropic"
#: The version that still takes a temperature.
VERSION: Final = "2023-06-01"
#: What the model wrote, whatever else the node names its outputs.
TEXT: Final = ("text", ResponseBody("/content/0/text"))
#: A refusal is a 200 as well, and so is a text that was cut off at ``max_tokens``.
CRITERIA: Final = (
    Compare("==", StatusCode(), Constant(200)),
    Or(
        Compare("==", ResponseBody("/stop_reason"), Constant("end_turn")),
        Compare("==", ResponseBody("/stop_reason"), Constant("stop_sequence")),
    ),
)


def call(
    agent: Agent,
    *,
    system: Node | None,
    description: str,
    facts: Mapping[str, Collection[str]],
    endpoints: Endpoints,
) -> HttpCall:
    """``facts``: what the model is told: output names by node, no secret among them."""
    message = Object((("role", Constant("user")), ("content", _message(description, facts))))
    fields: list[tuple[str, Node]] = [
        ("model", Constant(agent.model)),
        ("max_tokens", Constant(agent.max_tokens)),
    ]
    if system is not None:
        fields.append(("system", system))
    if agent.temperature is not None:
        fields.append(("temperature", Constant(agent.temperature.value)))
    fields.append(("messages", Array((message,))))
    endpoint = endpoints.of(SERVER)
    return HttpCall(
        provider=PROVIDER,
        method="POST",
        server=endpoint.server,
        via=endpoint.via,
        path=(Constant("/v1/messages"),),
        headers=(("anthropic-version", Constant(VERSION)),),
        body=Body(encoding="json", content_type=JSON, value=Object(tuple(fields))),
    )


def _message(description: str, facts: Mapping[str, Collection[str]]) -> Node:
    """What is to be done, and what is known."""
    lines = list(_lines(facts))
    if not lines:
        return Constant(description)
    return Text((Constant(f"{description}\n\nWhat is known:\n"), *lines))


def _lines(facts: Mapping[str, Collection[str]]) -> Iterator[Node]:
    for step, names in facts.items():
        for name in names:
            yield Constant(f"- {step}.{name}: ")
            yield Output(step, name)
            yield Constant("\n")

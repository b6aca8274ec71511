"""Which of a run's values are secrets, by their names: what is shown or told never holds them.

A ``client_secret`` confirms a payment and an ``access_token`` makes one, yet documents name both
as outputs. They are kept, sealed, for the steps that need them; they are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from orchestrator.expressions.nodes import (
    Input,
    Node,
    Output,
    RequestPart,
    ResponseBody,
    ResponseHeader,
    Secret,
    walk,
)
from orchestrator.plan.model import Plan

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET: Final = frozenset({
    "apikey", "authorization", "credential", "credentials", "cvc", "cvv", "passphrase", "passwd",
    "password", "secret", "secrets", "signature", "token",
})  # fmt: skip
#: What makes a secret of a ``key``: an idempotency key is none.
_KEYS: Final = frozenset({"access", "api", "encryption", "private", "secret", "signing"})


def sounds_secret(name: str) -> bool:
    """``client_secret``, ``accessToken``, ``API-Key``; not ``idempotencyKey``, ``max_tokens``."""
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = pairwise(words)
    return not _SECRET.isdisjoint(words) or any(a in _KEYS and b == "key" for a, b in pairs)


def is_secret(node: Node, outputs: Mapping[str, Mapping[str, Node]] | None = None) -> bool:
    """``outputs``: the expressions of the steps' outputs, to look behind an output's name."""
    return any(_named_secret(part, outputs or {}) for part in walk(node))


def secret_outputs(plan: Plan) -> frozenset[str]:
    """The workflow's outputs that are secrets, or made of one."""
    steps = {step.id: dict(step.outputs) for step in plan.steps}
    return frozenset(
        name for name, node in plan.outputs if sounds_secret(name) or is_secret(node, steps)
    )


def _named_secret(node: Node, outputs: Mapping[str, Mapping[str, Node]]) -> bool:
    match node:
        case Secret():
            return True
        case Output(step, name, pointer):
            behind = outputs.get(step, {}).get(name)
            return _any_secret(name, pointer) or (behind is not None and is_secret(behind))
        case Input(name, pointer) | RequestPart(name=name, pointer=pointer):
            return _any_secret(name, pointer)
        case ResponseBody(pointer):
            return _any_secret("", pointer)
        case ResponseHeader(name):
            return sounds_secret(name)
        case _:
            return False


def _any_secret(name: str, pointer: str) -> bool:
    return any(sounds_secret(part) for part in (name, *pointer.split("/")))

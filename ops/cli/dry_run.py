"""``durazzo run --dry-run``: each step's request as the plan has it, without a value.

And by which accounts its calls would be made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ops.cli import accounts, terminal
from ops.cli.document import Order
from orchestrator.expressions.nodes import Array, Constant, Node, Object
from orchestrator.plan.model import HttpCall, Step
from orchestrator.policy.accounts import read
from orchestrator.settings import Settings
from orchestrator.wiring import load_profiles
from workers.http import rewrite


def show(order: Order, settings: Settings, *, as_json: bool) -> None:
    steps = [_step(step, settings) for step in order.plan.steps]
    called = accounts.labels(order.plan, read(order.accounts), load_profiles())
    if as_json:
        terminal.put_json({
            "run": None,
            "workflow": order.plan.name,
            "state": "dry-run",
            "accounts": called,
            "steps": steps,
            "diagnostics": [d.as_json() for d in order.loaded.diagnostics],
        })
        return
    terminal.out(terminal.plain(f"{order.plan.name}: nothing was stored, nothing was sent"))
    for line in accounts.told(called):
        terminal.out(line)
    for step in steps:
        terminal.out(terminal.plain(f"{step['step']}: {step['method']} {step['url']}"))
        for field, written in _fields(step):
            terminal.out(terminal.plain(f"  {field} = {written}"))


def _step(step: Step, settings: Settings) -> dict[str, Any]:
    call = step.call
    return {
        "step": step.id,
        "provider": call.provider,
        "method": call.method.upper(),
        "url": (call.via or rewrite(call.server, settings.servers))
        + "".join(map(_part, call.path)),
        "query": {name: _written(node) for name, node in call.query},
        "headers": {name: _written(node) for name, node in call.headers},
        "body": _body(call),
    }


def _fields(step: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("query", "headers", "body"):
        shown = step[kind]
        rows = shown.items() if isinstance(shown, dict) else [("", shown)] if shown else []
        for name, written in rows:
            text = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
            yield f"{kind}.{name}".rstrip("."), text


def _body(call: HttpCall) -> Any:
    return None if call.body is None else _written(call.body.value)


def _part(node: Node) -> str:
    return str(node.value) if isinstance(node, Constant) else f"{{{node}}}"


def _written(node: Node) -> Any:
    """What the document says: its constants as they are, references by their name."""
    match node:
        case Constant(value):
            return value
        case Object(members):
            return {name: _written(item) for name, item in members}
        case Array(items):
            return [_written(item) for item in items]
        case _:
            return str(node)

"""Tree → model: shapes and types. What OSOP has and durazzo cannot run is refused here.

OSOP's texts contradict each other about nearly every key; what the published documents
write is what is read. Keys that only describe are ignored, keys that change what runs
are taken or refused, never skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.expressions.nodes import Json
from orchestrator.formats.diagnostics import Report, did_you_mean
from orchestrator.formats.duration import LONGEST, milliseconds
from orchestrator.formats.extension import extension
from orchestrator.formats.inputs import JsonObject, problem_of
from orchestrator.formats.osop.model import Agent, Api, Document, Edge, Mode, Node
from orchestrator.formats.osop.names import begins_in_answer
from orchestrator.formats.reading import Fields
from orchestrator.formats.source import Mapping, Scalar, Sequence, Tree, plain
from orchestrator.formats.whole import MAX_STEPS

_MODES: Final[dict[str, Mode]] = {
    "sequential": "sequential",
    "conditional": "conditional",
    "fallback": "fallback",
}
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
#: Anthropic's API wants a limit; the seed and its siblings give none.
_MAX_TOKENS: Final = 1024
_MAX_EDGES: Final = 4 * MAX_STEPS
#: What Anthropic's API takes.
_MAX_TEMPERATURE: Final = 1.0
_TYPES: Final = ("string", "integer", "number", "boolean", "object", "array")


def read(tree: Tree, report: Report) -> Document | None:
    if not isinstance(tree, Mapping):
        report.error("osop-wrong-type", "an OSOP document is a mapping", tree.place)
        return None
    fields = Fields(tree=tree, what="document", format="osop", report=report)
    _version(fields)
    name = fields.identifier("id")
    fields.ignored(
        "name", "description", "tags", "version", "author", "authors", "owner", "visibility",
        "metadata", "schemas", "contracts", "message_contracts", "roles", "platforms", "views",
        "tests", "evolution", "ledger", "observability", "triggers", "conformance_level",
    )  # fmt: skip
    fields.unsupported(
        "imports", "extends", "variables", "env", "retry", "retry_policy", "security",
    )  # fmt: skip
    timeout = _timeout(fields)
    inputs = fields.take("inputs")
    outputs = fields.take("outputs")
    if _too_large(fields):
        return None
    nodes = _nodes(fields)
    edges = tuple(_edges(fields, nodes))
    fields.finish()
    return Document(
        id=name,
        nodes=tuple(node for node in nodes.values() if node is not None),
        written=_count(fields, "nodes"),
        edges=edges,
        inputs=None if inputs is None else _inputs(fields, inputs),
        outputs=tuple(_run_outputs(outputs)),
        timeout_ms=timeout,
    )


def _too_large(fields: Fields) -> bool:
    for key, most in (("nodes", MAX_STEPS), ("edges", _MAX_EDGES)):
        found = _count(fields, key)
        if found > most:
            message = f"a document has at most {most} {key}; this one has {found}"
            fields.error("too-large", message, (fields.tree.get(key) or fields).place)
            return True
    return False


def _count(fields: Fields, key: str) -> int:
    found = fields.tree.get(key)
    return len(found.items) if isinstance(found, Sequence) else 0


def _version(fields: Fields) -> None:
    version = fields.text("osop_version")
    if version is None:
        message = "there is no osop_version; read as 1.0"
        fields.report.warning("osop-version", message, fields.place)
    elif version.text.startswith("2."):
        message = f"there is no OSOP {version.text}; read as 1.1, as all that say so are written"
        fields.report.warning("osop-version", message, version.place)
    elif not version.text.startswith("1."):
        fields.error("version", f"OSOP {version.text} is not known; write 1.0", version.place)


def _nodes(fields: Fields) -> dict[str, Node | None]:
    """By id; None for those that cannot be run, which edges may still name."""
    found: dict[str, Node | None] = {}
    for item in fields.objects("nodes", "node", required=True):
        name = item.identifier("id")
        if name in found:
            item.error("duplicate-id", f"there is another node '{name}'", item.place)
        elif name:
            found[name] = _node(item, name)
    if not found and "nodes" in fields.tree:
        fields.error("no-nodes", "a document has at least one node", fields.place)
    return found


def _node(fields: Fields, name: str) -> Node | None:
    kind = fields.text("type", required=True)
    subtype = fields.text("subtype")
    title = fields.text("name")
    description = fields.text("description")
    fields.ignored(
        "purpose", "role", "tags", "inputs", "explain", "handoff", "observability",
        "failure_modes", "cost", "metadata", "position",
    )  # fmt: skip
    fields.unsupported(
        "success_criteria", "retry_policy", "retry", "idempotency", "approval_gate",
        "preconditions", "valid_window", "workflow_ref", "workflow_inputs", "parent",
        "spawn_policy", "join_mode",
    )  # fmt: skip
    _security(fields)
    timeout = _timeout(fields)
    written = fields.mapping("runtime")
    outputs = tuple(_outputs(fields))
    own = extension(fields)
    fields.finish()
    if kind is None:
        return None
    runtime = _runtime(fields, kind, subtype, written)
    if runtime is None:
        return None
    words = description or title
    return Node(
        id=name,
        place=fields.place,
        description=words.text if words else name,
        runtime=runtime,
        outputs=outputs,
        extension=own,
        timeout_ms=timeout,
    )


def _timeout(fields: Fields) -> int:
    """Of a node or a document, in ms, 0 for none: seconds, or a text that has its unit."""
    seconds, text = fields.text("timeout_sec"), fields.text("timeout")
    if seconds is not None and text is not None:
        message = "there is a 'timeout' or a 'timeout_sec', not both"
        fields.error("two-timeouts", message, text.place)
        return 0
    if seconds is not None:
        return _seconds(fields, seconds)
    span = milliseconds(text.text) if text is not None else 0
    if span is None and text is not None:
        message = "'timeout' is a span with its unit, e.g. 45s, 10m, 2h, of at most 366d"
        fields.error("timeout", message, text.place)
    return span or 0


def _seconds(fields: Fields, written: Scalar) -> int:
    match written.value:
        case bool():
            pass
        case int() | float() as value if 1 <= value * 1000 <= LONGEST:
            return round(value * 1000)
    message = f"'timeout_sec' is a number from 0.001 to {LONGEST // 1000}"
    fields.error("number", message, written.place)
    return 0


def _security(fields: Fields) -> None:
    """Credentials are the provider profile's; but nobody's approval is skipped."""
    security = fields.mapping("security")
    gate = security.get("approval_gate") if security else None
    if gate is not None and plain(gate) is not False:
        message = "waiting for an approval is not supported yet"
        fields.error("unsupported-approval-gate", message, gate.place)


def _runtime(
    fields: Fields, kind: Scalar, subtype: Scalar | None, written: Mapping | None
) -> Api | Agent | None:
    runtime = fields.nested(written, "runtime") if written is not None else None
    match kind.text, subtype.text if subtype else "":
        case "api", "" | "rest":
            return _api(_needed(fields, runtime))
        case "agent", "" | "llm" if runtime is not None and _is_anthropic(runtime):
            return _agent(runtime)
        case name, sub:
            what = f"{name}/{sub}" if sub else name
            message = f"nodes of type {what} are not supported yet; api and Anthropic agents are"
            fields.error("unsupported-node", message, kind.place)
            return None


def _needed(fields: Fields, runtime: Fields | None) -> Fields | None:
    if runtime is None and "runtime" not in fields.tree:
        fields.error("missing-key", "a node needs 'runtime'", fields.place)
    return runtime


def _is_anthropic(runtime: Fields) -> bool:
    provider = runtime.text("provider")
    return provider is not None and provider.text.lower() == "anthropic"


def _api(fields: Fields | None) -> Api | None:
    if fields is None:
        return None
    method = fields.text("method", required=True)
    url, endpoint = fields.text("url"), fields.text("endpoint")
    headers = fields.mapping("headers")
    content_type = fields.text("content_type")
    body, template = fields.take("body"), fields.take("body_template")
    fields.unsupported(
        "auth", "expected_status", "response_mapping", "query", "params", "query_params",
        "timeout", "timeout_sec", "retry",
    )  # fmt: skip
    fields.finish()
    if body is not None and template is not None:
        message = "a call has a 'body' or a 'body_template', not both"
        fields.error("two-bodies", message, template.place)
    if url is None and endpoint is None:
        fields.error("missing-key", "a runtime needs 'url'", fields.place)
    if method is None or not _is_method(fields, method):
        return None
    return Api(
        method=method.text.upper(),
        url=url,
        endpoint=endpoint,
        headers=headers,
        content_type=content_type,
        body=template if body is None else body,
    )


def _is_method(fields: Fields, method: Scalar) -> bool:
    known = method.text.upper() in _METHODS
    if not known:
        hint = did_you_mean(method.text, _METHODS)
        fields.error("method", f"'{method.text}' is no HTTP method{hint}", method.place)
    return known


def _agent(fields: Fields) -> Agent | None:
    fields.ignored("provider")
    model = fields.text("model", required=True)
    system = fields.text("system_prompt")
    limit = fields.text("max_tokens")
    temperature = fields.text("temperature")
    fields.unsupported("tools", "input_mapping", "output_mapping", "messages", "timeout_sec")
    fields.finish()
    tokens = _MAX_TOKENS if limit is None else limit.value
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        place = (limit or fields).place
        fields.error("number", "'max_tokens' is a whole number from 1", place)
        return None
    if model is None or not _is_temperature(fields, temperature):
        return None
    return Agent(model=model.text, system=system, max_tokens=tokens, temperature=temperature)


def _is_temperature(fields: Fields, written: Scalar | None) -> bool:
    if written is None:
        return True
    match written.value:
        case bool():
            pass
        case int() | float() as value if 0 <= value <= _MAX_TEMPERATURE:
            return True
    message = f"'temperature' is a number from 0 to {_MAX_TEMPERATURE:g}"
    fields.error("number", message, written.place)
    return False


def _outputs(fields: Fields) -> Iterator[tuple[Scalar, Scalar]]:
    """``- customer_id: "data.id"`` as published, or one mapping of the same."""
    written = fields.take("outputs")
    seen: set[str] = set()
    for name, value in _pairs(written):
        if name.text in seen:
            message = f"there is another output '{name.text}' of this node"
            fields.error("duplicate-id", message, name.place)
            continue
        seen.add(name.text)
        if isinstance(value, Scalar) and isinstance(value.value, str):
            yield name, value
        else:
            message = f"the output '{name.text}' is a path into the answer, e.g. \"data.id\""
            fields.error("unsupported-output", message, value.place)
    if isinstance(written, Sequence):
        for item in written.items:
            if not _is_pair(item):
                message = 'an output is written as NAME: PATH, e.g. customer_id: "data.id"'
                fields.error("unsupported-output", message, item.place)


def _pairs(tree: Tree | None) -> Iterator[tuple[Scalar, Tree]]:
    match tree:
        case Mapping():
            yield from tree.entries
        case Sequence():
            for item in tree.items:
                if isinstance(item, Mapping) and _is_pair(item):
                    yield from item.entries
        case _:
            pass


def _is_pair(tree: Tree) -> bool:
    """``name: data.name`` names an output "name"; ``name: customer_id`` only declares one."""
    if not isinstance(tree, Mapping) or len(tree.entries) != 1:
        return False
    [(key, value)] = tree.entries
    return key.text != "name" or (isinstance(value, Scalar) and begins_in_answer(value.text))


def _run_outputs(tree: Tree | None) -> Iterator[tuple[Scalar, Scalar]]:
    """Only ``NAME: ${…}`` says where a value comes from; the rest are declarations."""
    for name, value in _pairs(tree):
        if isinstance(value, Scalar) and isinstance(value.value, str) and "${" in value.value:
            yield name, value


def _edges(fields: Fields, nodes: dict[str, Node | None]) -> Iterator[Edge]:
    for item in fields.objects("edges", "edge"):
        source, target = _end(item, "from", nodes), _end(item, "to", nodes)
        mode = item.text("mode")
        when, alias = item.text("when"), item.text("condition")
        item.ignored("label", "description", "id", "metadata", "name")
        item.unsupported(
            "join_mode", "join_count", "for_each", "iterator_var", "max_iterations", "cases",
            "default_to", "spawn_count", "transform", "timeout_sec",
        )  # fmt: skip
        item.finish()
        if when is not None and alias is not None and when.text != alias.text:
            message = "'when' and 'condition' say different things; 'when' counts"
            item.report.warning("osop-two-conditions", message, alias.place)
        edge = _edge(item, source, target, mode, when or alias)
        if edge is not None:
            yield edge


def _end(item: Fields, key: str, nodes: dict[str, Node | None]) -> str | None:
    written = item.text(key, required=True)
    if written is None:
        return None
    if written.text not in nodes:
        hint = did_you_mean(written.text, nodes)
        item.error("undefined-node", f"there is no node '{written.text}'{hint}", written.place)
        return None
    return written.text


def _edge(
    item: Fields,
    source: str | None,
    target: str | None,
    written: Scalar | None,
    condition: Scalar | None,
) -> Edge | None:
    mode = _mode(item, written)
    if mode == "conditional" and condition is None:
        # One of a wrong type has been refused as that.
        if "when" in item.tree or "condition" in item.tree:
            return None
        item.error("missing-condition", "a conditional edge needs 'when'", item.place)
        return None
    if mode is not None and mode != "conditional" and condition is not None:
        message = f"an edge with a condition is of mode conditional, not {mode}"
        item.error("unexpected-condition", message, condition.place)
        return None
    if mode is None or source is None or target is None:
        return None
    return Edge(source=source, target=target, mode=mode, condition=condition, place=item.place)


def _mode(item: Fields, written: Scalar | None) -> Mode | None:
    name = written.text if written else "sequential"
    mode = _MODES.get(name)
    if mode is None:
        message = f"edges of mode {name} are not supported yet; {', '.join(_MODES)} are"
        item.error("unsupported-edge-mode", message, (written or item).place)
    return mode


def _inputs(fields: Fields, tree: Tree) -> Json:
    """A mapping of name → schema, or a list of names or ``{name, schema, required}``."""
    properties: JsonObject = {}
    required: list[Json] = []
    for name, written, needed in _declared(tree):
        if name in properties:
            fields.error("duplicate-id", f"there is another input '{name}'", tree.place)
        properties[name] = written
        if needed:
            required.append(name)
    schema: JsonObject = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    problem = problem_of(schema)
    if problem is not None or not isinstance(tree, Mapping | Sequence):
        reason = problem[1] if problem else "inputs are a mapping or a list"
        fields.error("inputs", f"the inputs cannot be used: {reason}", tree.place)
    return schema


def _declared(tree: Tree) -> Iterator[tuple[str, Json, bool]]:
    match tree:
        case Mapping():
            for key, value in tree.entries:
                yield key.text, *_schema(plain(value))
        case Sequence():
            for item in tree.items:
                yield from _listed(plain(item))
        case _:
            pass


def _listed(item: Json) -> Iterator[tuple[str, Json, bool]]:
    match item:
        case str(name):
            yield name, {}, False
        case dict() if isinstance(given := item.get("name"), str):
            rest = {key: value for key, value in item.items() if key != "name"}
            schema, needed = _schema(rest)
            nested = schema.get("schema") if isinstance(schema, dict) else None
            yield given, schema if nested is None else nested, needed
        case _:
            pass


def _schema(value: Json) -> tuple[Json, bool]:
    """A JSON Schema, whose ``required: true`` is OSOP's and not JSON Schema's."""
    if isinstance(value, str) and value in _TYPES:
        return {"type": value}, False
    if not isinstance(value, dict):
        return {}, False
    if isinstance(needed := value.get("required"), bool):
        return {key: item for key, item in value.items() if key != "required"}, needed
    return value, False

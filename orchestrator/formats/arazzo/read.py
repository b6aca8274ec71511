"""Tree → model: shapes and types. What Arazzo has and durazzo cannot run is refused here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from orchestrator.expressions.nodes import Json
from orchestrator.formats.arazzo.model import (
    Action,
    Document,
    End,
    GotoStep,
    OperationId,
    OperationPath,
    Parameter,
    ParameterLocation,
    RequestBody,
    RetryStep,
    SourceDescription,
    Step,
    Workflow,
)
from orchestrator.formats.diagnostics import Report, did_you_mean
from orchestrator.formats.duration import LONGEST
from orchestrator.formats.extension import extension
from orchestrator.formats.inputs import problem_of
from orchestrator.formats.reading import Fields
from orchestrator.formats.source import Mapping, Scalar, Sequence, Tree, find, plain
from orchestrator.formats.whole import MAX_STEPS

_COMPONENT_INPUTS: Final = "#/components/inputs/"
#: Schemas that refer to schemas: deeper ones are circles.
_MAX_HOPS: Final = 16
#: A day: longer waits between retries are a workflow of their own.
_MAX_RETRY_AFTER_S: Final = 86_400.0
_MAX_RETRIES: Final = 100
#: What only Arazzo 1.1's asynchronous steps have.
_ASYNC_KEYS: Final = ("channelPath", "action", "correlationId")
#: What a step can call; those that are empty or of a wrong type have been refused already.
_CALLS: Final = ("operationId", "operationPath", "workflowId", *_ASYNC_KEYS)

_T = TypeVar("_T")


def read(tree: Tree, report: Report, workflow: str | None) -> Document | None:
    """None if there is no workflow to go on with; the report says why."""
    if not isinstance(tree, Mapping):
        report.error("arazzo-wrong-type", "an Arazzo document is a mapping", tree.place)
        return None
    fields = Fields(tree=tree, what="document", format="arazzo", report=report)
    version = _version(fields)
    fields.ignored("info", "$self")
    sources = _unique(
        fields,
        "source description",
        (
            _source(item)
            for item in fields.objects("sourceDescriptions", "source description", required=True)
        ),
        lambda source: source.name,
    )
    components = fields.mapping("components")
    workflows = tuple(fields.objects("workflows", "workflow", required=True))
    fields.finish()
    _check_unique_ids(fields, workflows)
    picked = _pick(fields, workflows, workflow)
    if picked is None or _too_large(picked):
        return None
    return Document(
        sources=sources,
        workflow_ids=tuple(_id_of(item, "workflowId") for item in workflows),
        workflow=_workflow(picked, components, version),
    )


def _version(fields: Fields) -> str:
    version = fields.text("arazzo", required=True)
    if version is not None and not version.text.startswith(("1.0.", "1.1.")):
        message = f"Arazzo {version.text} is not known; 1.0.x and 1.1.x can be read"
        fields.error("version", message, version.place)
    return version.text if version else ""


def _pick(fields: Fields, workflows: tuple[Fields, ...], wanted: str | None) -> Fields | None:
    ids = [_id_of(item, "workflowId") for item in workflows]
    if wanted is not None:
        if wanted in ids:
            return workflows[ids.index(wanted)]
        hint = did_you_mean(wanted, ids)
        fields.error("unknown-workflow", f"there is no workflow '{wanted}'{hint}", fields.place)
        return None
    if len(workflows) == 1:
        return workflows[0]
    if workflows:
        message = f"say which workflow to run, with --workflow: {', '.join(ids)}"
        fields.error("several-workflows", message, fields.place)
    elif not fields.report.refused:
        fields.error("no-workflows", "a document has at least one workflow", fields.place)
    return None


def _too_large(workflow: Fields) -> bool:
    steps = workflow.tree.get("steps")
    found = len(steps.items) if isinstance(steps, Sequence) else 0
    if steps is not None and found > MAX_STEPS:
        message = f"a workflow has at most {MAX_STEPS} steps; this one has {found}"
        workflow.error("too-large", message, steps.place)
    return found > MAX_STEPS


def _check_unique_ids(fields: Fields, workflows: tuple[Fields, ...]) -> None:
    seen: set[str] = set()
    for item in workflows:
        name = _id_of(item, "workflowId")
        if name and name in seen:
            at = item.tree.get("workflowId") or item.tree
            fields.error("duplicate-workflow", f"there is another workflow '{name}'", at.place)
        seen.add(name)


def _id_of(item: Fields, key: str) -> str:
    found = item.tree.get(key)
    return found.text if isinstance(found, Scalar) else ""


def _source(fields: Fields) -> SourceDescription:
    name = _filled(fields, "name", fields.text("name", required=True))
    url = fields.text("url", required=True)
    kind = fields.text("type")
    fields.finish()
    return SourceDescription(
        name=name.text if name else "",
        url=url.text if url else "",
        type=kind.text if kind else "openapi",
        place=(url or fields).place,
    )


def _workflow(fields: Fields, components: Mapping | None, version: str) -> Workflow:
    name = fields.identifier("workflowId")
    fields.ignored("summary", "description")
    fields.unsupported("dependsOn", "successActions", "failureActions", "parameters")
    inputs = fields.take("inputs")
    steps = _unique(
        fields,
        "step",
        (_step(item, version) for item in fields.objects("steps", "step", required=True)),
        lambda step: step.id,
    )
    outputs = _outputs(fields)
    fields.finish()
    written = fields.tree.get("steps")
    if isinstance(written, Sequence) and not written.items:
        fields.error("no-steps", "a workflow has at least one step", fields.place)
    return Workflow(
        id=name,
        place=fields.place,
        written=len(written.items) if isinstance(written, Sequence) else 0,
        inputs=_inputs(fields, inputs, components) if inputs is not None else None,
        steps=steps,
        outputs=outputs,
    )


def _inputs(fields: Fields, tree: Tree, components: Mapping | None) -> Json:
    schema = _resolved(plain(tree), components, 0)
    problem = problem_of(schema)
    if problem is not None:
        pointer, message = problem
        at = find(tree, pointer) or tree
        fields.error("inputs-schema", f"the inputs' schema cannot be used: {message}", at.place)
    return schema


def _resolved(schema: Json, components: Mapping | None, hops: int) -> Json:
    """The schema with ``#/components/inputs/…`` written out; what stays is reported later."""
    match schema:
        case {"$ref": str(ref)} if ref.startswith(_COMPONENT_INPUTS) and hops < _MAX_HOPS:
            pointer = ref.removeprefix("#/components")
            found = find(components, pointer) if components else None
            return schema if found is None else _resolved(plain(found), components, hops + 1)
        case dict():
            return {name: _resolved(value, components, hops) for name, value in schema.items()}
        case list():
            return [_resolved(item, components, hops) for item in schema]
        case _:
            return schema


def _step(fields: Fields, version: str) -> Step:
    name = fields.identifier("stepId")
    fields.ignored("description")
    fields.unsupported("workflowId", "dependsOn", *_ASYNC_KEYS)
    # In 1.0 there is no such key: it is told as any other that does not exist.
    timeout = 0 if version.startswith("1.0.") else _timeout(fields)
    operation = _operation(fields)
    parameters = tuple(_known(map(_parameter, fields.objects("parameters", "parameter"))))
    body = fields.mapping("requestBody")
    criteria = _criteria(fields, "successCriteria")
    on_success = tuple(_known(map(_success_action, fields.objects("onSuccess", "success action"))))
    on_failure = tuple(_known(map(_failure_action, fields.objects("onFailure", "failure action"))))
    outputs = _outputs(fields)
    own = extension(fields)
    fields.finish()
    return Step(
        id=name,
        place=fields.place,
        operation=operation,
        parameters=parameters,
        body=_body(fields, body) if body is not None else None,
        criteria=criteria,
        outputs=outputs,
        on_success=on_success,
        on_failure=on_failure,
        extension=own,
        timeout_ms=int(timeout),
    )


def _operation(fields: Fields) -> OperationId | OperationPath:
    by_id = _filled(fields, "operationId", fields.text("operationId"))
    by_path = _filled(fields, "operationPath", fields.text("operationPath"))
    if by_id is not None and by_path is not None:
        message = "a step has an operationId or an operationPath, not both"
        fields.error("two-operations", message, by_path.place)
    if by_path is not None:
        return OperationPath(written=by_path)
    if by_id is not None:
        return OperationId(written=by_id)
    # A step that calls a workflow or a channel has been refused already.
    if not any(key in fields.tree for key in _CALLS):
        fields.error("missing-key", "a step needs 'operationId'", fields.place)
    return OperationId(written=Scalar(None, "", fields.place))


def _timeout(fields: Fields) -> float:
    return _number(fields, "timeout", 0.0, LONGEST, least=1, whole=True)


def _filled(fields: Fields, key: str, written: Scalar | None) -> Scalar | None:
    if written is None or written.text.strip():
        return written
    fields.error("missing-key", f"'{key}' is empty", written.place)
    return None


def _parameter(fields: Fields) -> Parameter | None:
    fields.unsupported("reference")
    if "reference" in fields.tree:
        return None
    name = fields.text("name", required=True)
    location = fields.text("in", required=True)
    value = fields.take("value")
    fields.finish()
    if value is None:
        fields.error("missing-key", "a parameter needs 'value'", fields.place)
    if name is None or location is None or value is None:
        return None
    known = _location(fields, location)
    if known is None:
        return None
    return Parameter(name=name, location=known, value=value, place=fields.place)


def _location(fields: Fields, written: Scalar) -> ParameterLocation | None:
    match written.text:
        case "path" | "query" | "header" as location:
            return location
        case "cookie" | "querystring" as other:
            message = f"parameters in {other} are not supported yet"
            fields.error("unsupported-parameter", message, written.place)
        case other:
            hint = did_you_mean(other, ("path", "query", "header"))
            fields.error("parameter-in", f"a parameter is not in '{other}'{hint}", written.place)
    return None


def _body(outer: Fields, tree: Mapping) -> RequestBody | None:
    fields = outer.nested(tree, "request body")
    if fields is None:
        return None
    fields.unsupported("replacements", "reference")
    content_type = fields.text("contentType")
    payload = fields.take("payload")
    fields.finish()
    return RequestBody(content_type=content_type, payload=payload, place=fields.place)


def _criteria(fields: Fields, key: str) -> tuple[Scalar, ...]:
    return tuple(_known(map(_criterion, fields.objects(key, "criterion"))))


def _criterion(fields: Fields) -> Scalar | None:
    condition = fields.text("condition", required=True)
    kind = fields.take("type")
    # A simple condition may carry a context, which it does not need (1.0.1, 1.1: "MUST if type").
    fields.ignored("context")
    fields.finish()
    if isinstance(kind, Mapping):
        named = kind.get("type")
        kind = named if isinstance(named, Scalar) else kind
    if kind is None or (isinstance(kind, Scalar) and kind.text == "simple"):
        return condition
    what = kind.text if isinstance(kind, Scalar) else "this"
    message = f"a criterion of type {what} is not supported yet; only simple conditions are"
    fields.error("unsupported-criterion", message, kind.place)
    return None


def _success_action(fields: Fields) -> Action | None:
    return _action(fields, {"end": _end, "goto": _goto})


def _failure_action(fields: Fields) -> Action | None:
    return _action(fields, {"end": _end, "goto": _goto, "retry": _retry})


_Reader = Callable[[Fields], "End | GotoStep | RetryStep | None"]


def _action(fields: Fields, kinds: dict[str, _Reader]) -> Action | None:
    fields.unsupported("reference", "parameters")
    if "reference" in fields.tree:
        return None
    fields.ignored("name")
    kind = fields.text("type", required=True)
    criteria = _criteria(fields, "criteria")
    if kind is None:
        return None
    reader = kinds.get(kind.text)
    if reader is None:
        hint = did_you_mean(kind.text, kinds)
        fields.error("action-type", f"no {fields.what} is of type '{kind.text}'{hint}", kind.place)
        return None
    then = reader(fields)
    fields.finish()
    return None if then is None else Action(then=then, criteria=criteria, place=fields.place)


def _end(fields: Fields) -> End:
    del fields
    return End()


def _goto(fields: Fields) -> GotoStep | None:
    if (elsewhere := fields.text("workflowId")) is not None:
        message = "going to another workflow is not supported yet"
        fields.error("unsupported-goto-workflow", message, elsewhere.place)
        return None
    step = fields.text("stepId", required=True)
    return None if step is None else GotoStep(step=step)


def _retry(fields: Fields) -> RetryStep:
    for key in ("stepId", "workflowId"):
        if (reference := fields.text(key)) is not None:
            message = (
                f"running another step or workflow before a retry ('{key}') is not supported yet"
            )
            fields.error("unsupported-retry-reference", message, reference.place)
    after = _number(fields, "retryAfter", 0.0, _MAX_RETRY_AFTER_S)
    # 1.0.1, "Failure Action Object": absent means one retry.
    limit = _number(fields, "retryLimit", 1.0, _MAX_RETRIES, whole=True)
    return RetryStep(after_ms=round(after * 1000), limit=int(limit))


def _number(
    fields: Fields, key: str, default: float, most: float, *, least: int = 0, whole: bool = False
) -> float:
    written = fields.text(key)
    if written is None:
        return default
    match written.value:
        case bool():
            pass
        case int() | float() as value if least <= value <= most and not (whole and value % 1):
            return value
    message = f"'{key}' is a {'whole ' if whole else ''}number from {least} to {most:.15g}"
    fields.error("number", message, written.place)
    return default


def _outputs(fields: Fields) -> tuple[tuple[Scalar, Scalar], ...]:
    found: list[tuple[Scalar, Scalar]] = []
    outputs = fields.mapping("outputs")
    for name, value in outputs.entries if outputs else ():
        if isinstance(value, Scalar) and isinstance(value.value, str):
            found.append((name, value))
        else:
            message = f"the output '{name.text}' is an expression, e.g. $response.body#/id"
            fields.error("output-not-expression", message, value.place)
    return tuple(found)


def _known(items: Iterable[_T | None]) -> Iterable[_T]:
    return (item for item in items if item is not None)


def _unique(
    fields: Fields, what: str, items: Iterable[_T], name_of: Callable[[_T], str]
) -> tuple[_T, ...]:
    found: dict[str, _T] = {}
    for item in items:
        name = name_of(item)
        if name in found:
            at = getattr(item, "place", fields.place)
            fields.error("duplicate-id", f"there is another {what} '{name}'", at)
        elif name:
            found[name] = item
    return tuple(found.values())

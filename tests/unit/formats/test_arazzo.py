"""Arazzo → plan: what runs, what is refused, what is taken with a warning."""

# ruff: noqa: E501 - documents are shorter to read on one line
from __future__ import annotations

import json
from textwrap import indent

import pytest

from orchestrator.expressions.nodes import (
    Array,
    Compare,
    Constant,
    Input,
    Object,
    Output,
    ResponseBody,
    StatusCode,
    Text,
)
from orchestrator.formats.whole import MAX_STEPS
from orchestrator.plan.model import Choice, End, Goto, Retry, Route, Step
from tests.unit.formats.loading import SHOP, Shelf, arazzo, codes, loaded, refused

CREATE = "{stepId: a, operationId: createOrder}"


def steps(*written: str) -> str:
    return indent("".join(f"- {step}\n" for step in written), " " * 6)


def block(text: str) -> str:
    return indent(text, " " * 6)


def step(text: str, *, inputs: str = "{properties: {i: {}, j: {}}}") -> Step:
    """The one step of a document that is taken without a warning."""
    found = loaded(arazzo(block(text), inputs=inputs))
    assert found.diagnostics == ()
    return found.plan.steps[0]


def test_a_plain_step_becomes_a_call_and_nothing_follows_the_last() -> None:
    found = step("- {stepId: a, operationId: createOrder}")
    assert (found.call.method, found.call.server) == ("POST", "https://shop.example/v1")
    assert found.call.path == (Constant("/orders"),)
    assert (found.criteria, found.success, found.failure, found.call.body) == ((), (), (), None)


def test_steps_follow_one_another() -> None:
    plan = loaded(arazzo(steps(CREATE, CREATE.replace("a,", "b,", 1)))).plan
    assert plan.starts == ("a",)
    assert plan.steps[0].success == (Choice(routes=(Route(then=Goto(step="b", cap=100)),)),)
    assert plan.steps[1].success == ()


def test_parameters_go_where_they_belong() -> None:
    found = step("""
- stepId: a
  operationId: getOrder
  parameters:
  - {name: id, in: path, value: $inputs.i}
  - {name: q, in: query, value: [1, $inputs.j]}
  - {name: X-H, in: header, value: "n {$inputs.j}"}
""")
    assert found.call.path == (Constant("/orders/"), Input("i"))
    assert found.call.query == (("q", Array((Constant(1), Input("j")))),)
    assert found.call.headers == (("X-H", Text((Constant("n "), Input("j")))),)


def test_a_constant_in_a_path_is_encoded_now() -> None:
    found = step("""
- stepId: a
  operationId: getOrder
  parameters: [{name: id, in: path, value: "a/b c?"}]
""")
    assert found.call.path == (Constant("/orders/a%2Fb%20c%3F"),)


def test_a_payload_keeps_its_types() -> None:
    found = step("""
- stepId: a
  operationId: createOrder
  requestBody:
    payload: {n: null, t: true, i: 5, f: 1.5, s: no, e: $inputs.i, l: [$inputs.j], o: {}}
""")
    assert found.call.body is not None
    assert (found.call.body.encoding, found.call.body.content_type) == ("json", "application/json")
    assert found.call.body.value == Object((
        ("n", Constant(None)), ("t", Constant(True)), ("i", Constant(5)), ("f", Constant(1.5)),
        ("s", Constant("no")), ("e", Input("i")), ("l", Array((Input("j"),))), ("o", Object(())),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", "json"),
        ("application/vnd.shop+json; charset=utf-8", "json"),
        ("application/x-www-form-urlencoded", "form-brackets"),
        ("text/plain", "text"),
    ],
)
def test_the_content_type_decides_the_encoding(content_type: str, encoding: str) -> None:
    payload = "hello" if encoding == "text" else "{a: 1}"
    found = step(f"""
- stepId: a
  operationId: createOrder
  requestBody: {{contentType: "{content_type}", payload: {payload}}}
""")
    assert found.call.body is not None
    assert (found.call.body.encoding, found.call.body.content_type) == (encoding, content_type)


def test_a_payload_template_that_is_json_is_read_as_json() -> None:
    """1.0.1, "Request Body Object": a template string with embedded expressions."""
    found = step("""
- stepId: a
  operationId: createOrder
  requestBody:
    contentType: application/json
    payload: |
      {"order": {"id": "{$inputs.i}", "n": 5}}
""")
    assert found.call.body is not None
    inner = Object((("id", Text((Input("i"),))), ("n", Constant(5))))
    assert found.call.body.value == Object((("order", inner),))


def test_a_payload_can_be_one_expression() -> None:
    found = step("""
- stepId: a
  operationId: createOrder
  requestBody: {contentType: application/json, payload: $inputs.i}
""")
    assert found.call.body is not None
    assert found.call.body.value == Input("i")


def test_actions_are_routes_in_order_then_the_next_step() -> None:
    text = """
- stepId: a
  operationId: createOrder
  successCriteria: [{condition: $statusCode == 201}]
  outputs: {state: $response.body#/state}
  onSuccess:
  - {name: x, type: end, criteria: [{condition: $steps.a.outputs.state == 'done'}]}
  - {name: y, type: goto, stepId: a, criteria: [{condition: $statusCode == 202}, {condition: $statusCode != 203}]}
  onFailure:
  - {name: z, type: retry, retryAfter: 1.5, retryLimit: 3, criteria: [{condition: $statusCode == 503}]}
  - {name: r, type: retry}
  - {name: g, type: goto, stepId: b}
- stepId: b
  operationId: createOrder
  onFailure: [{name: e, type: end}]
"""
    a, b = loaded(arazzo(block(text))).plan.steps
    assert a.criteria == (Compare("==", StatusCode(), Constant(201)),)
    assert a.outputs == (("state", ResponseBody("/state")),)
    assert a.success == (
        Choice(
            routes=(
                Route(then=End(), when=(Compare("==", Output("a", "state"), Constant("done")),)),
                Route(
                    then=Goto(step="a", cap=100),
                    when=(
                        Compare("==", StatusCode(), Constant(202)),
                        Compare("!=", StatusCode(), Constant(203)),
                    ),
                ),
                Route(then=Goto(step="b", cap=100)),
            )
        ),
    )
    assert a.failure == (
        Choice(
            routes=(
                Route(
                    then=Retry(after_ms=1500, limit=3),
                    when=(Compare("==", StatusCode(), Constant(503)),),
                ),
                Route(then=Retry(after_ms=0, limit=1)),
                Route(then=Goto(step="b", cap=100)),
            )
        ),
    )
    assert b.failure == (Choice(routes=(Route(then=End()),)),)


def test_an_action_without_criteria_leaves_no_way_to_the_next_step() -> None:
    text = """
- stepId: a
  operationId: createOrder
  onSuccess: [{name: g, type: goto, stepId: c}]
- {stepId: b, operationId: createOrder}
- {stepId: c, operationId: createOrder}
"""
    found = loaded(arazzo(block(text)))
    assert found.plan.steps[0].success == (Choice(routes=(Route(then=Goto(step="c", cap=100)),)),)
    assert codes(found.diagnostics) == ["arazzo-unreachable-step"]


def test_inputs_are_canonical_and_say_what_requests_need() -> None:
    inputs = "{type: object, required: [j], properties: {z: {default: {b: 1, a: 2}}, j: {}, i: {}}}"
    text = """
- stepId: a
  operationId: getOrder
  parameters: [{name: id, in: path, value: $inputs.i}]
  successCriteria: [{condition: $response.body#/n == $inputs.j}]
"""
    plan = loaded(arazzo(block(text), inputs=inputs)).plan
    assert plan.inputs.schema == (
        '{"properties":{"i":{},"j":{},"z":{"default":{"a":2,"b":1}}},"required":["j"],"type":"object"}'
    )
    assert plan.inputs.referenced == ("i", "j")
    assert plan.inputs.defaults == (("z", '{"a":2,"b":1}'),)


def test_an_input_schema_may_stand_in_the_components() -> None:
    text = arazzo(
        block("- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $inputs.q}}}"),
        inputs='{$ref: "#/components/inputs/order"}',
        extra="components: {inputs: {order: {type: object, properties: {q: {type: string}}}}}",
    )
    plan = loaded(text).plan
    assert json.loads(plan.inputs.schema)["properties"] == {"q": {"type": "string"}}


def test_workflow_outputs_are_expressions_over_steps() -> None:
    text = block("- {stepId: a, operationId: createOrder, outputs: {id: $response.body#/id}}")
    plan = loaded(arazzo(text, outputs="{order: $steps.a.outputs.id}")).plan
    assert plan.outputs == (("order", Output("a", "id")),)


def test_the_workflow_is_picked_by_its_id() -> None:
    more = """
  - workflowId: other
    steps: [{stepId: z, operationId: getOrder, parameters: [{name: id, in: path, value: 1}]}]
"""
    text = arazzo(block(f"- {CREATE}")) + more
    assert loaded(text, workflow="other").plan.name == "other"
    assert loaded(text, workflow="w").workflows == ("w", "other")
    assert codes(refused(text)) == ["arazzo-several-workflows"]
    [unknown] = refused(text, workflow="othr")
    assert (unknown.code, "'other'" in unknown.message) == ("arazzo-unknown-workflow", True)


def test_a_workflow_that_cannot_run_yet_does_not_stop_the_others() -> None:
    more = """
  - workflowId: other
    dependsOn: [w]
    steps: [{stepId: z, workflowId: w}]
"""
    assert loaded(arazzo(block(f"- {CREATE}")) + more, workflow="w").plan.name == "w"


def test_an_operation_path_names_an_operation_too() -> None:
    path = "{$sourceDescriptions.shop.url}#/paths/~1orders~1{id}/get"
    found = step(f"""
- stepId: a
  operationPath: "{path}"
  parameters: [{{name: id, in: path, value: 5}}]
""")
    assert (found.call.method, found.call.path) == ("GET", (Constant("/orders/5"),))


def test_a_loop_may_read_what_a_later_step_left() -> None:
    text = """
- {stepId: a, operationId: createOrder, requestBody: {payload: {c: $steps.b.outputs.cursor}}}
- stepId: b
  operationId: createOrder
  outputs: {cursor: $response.body#/next}
  onSuccess: [{name: again, type: goto, stepId: a, criteria: [{condition: $response.body#/more == true}]}]
"""
    assert loaded(arazzo(block(text))).diagnostics == ()


REFUSED = {
    "arazzo-undefined-step": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $steps.b.outputs.c}}}",
    "arazzo-undefined-output": "- {stepId: a, operationId: createOrder}\n- {stepId: b, operationId: createOrder, requestBody: {payload: {x: $steps.a.outputs.c}}}",
    "arazzo-undefined-input": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $inputs.k}}}",
    "arazzo-output-not-yet": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $steps.b.outputs.c}}}\n- {stepId: b, operationId: createOrder, outputs: {c: $response.body}}",
    "arazzo-expression-not-here": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $response.body}}}",
    "arazzo-expression": "- {stepId: a, operationId: createOrder, successCriteria: [{condition: $statusCode = 1}]}",
    "arazzo-unsupported-expression": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: $workflows.a.outputs.b}}}",
    "arazzo-unknown-operation": "- {stepId: a, operationId: createOder}",
    "arazzo-undefined-source": "- {stepId: a, operationId: $sourceDescriptions.shp.createOrder}",
    "arazzo-operation-path": "- {stepId: a, operationPath: /orders}",
    "arazzo-two-operations": "- {stepId: a, operationId: createOrder, operationPath: '{$sourceDescriptions.shop.url}#/paths/~1orders/post'}",
    "arazzo-missing-path-parameter": "- {stepId: a, operationId: getOrder}",
    "arazzo-unknown-path-parameter": "- {stepId: a, operationId: createOrder, parameters: [{name: id, in: path, value: 1}]}",
    "arazzo-path-parameter": "- {stepId: a, operationId: getOrder, parameters: [{name: id, in: path, value: ''}]}",
    "arazzo-duplicate-parameter": "- {stepId: a, operationId: createOrder, parameters: [{name: q, in: query, value: 1}, {name: q, in: query, value: 1}]}",
    "arazzo-parameter-in": "- {stepId: a, operationId: createOrder, parameters: [{name: q, in: querry, value: 1}]}",
    "arazzo-unsupported-parameter": "- {stepId: a, operationId: createOrder, parameters: [{name: q, in: cookie, value: 1}]}",
    "arazzo-unsupported-content-type": "- {stepId: a, operationId: createOrder, requestBody: {contentType: application/xml, payload: x}}",
    "arazzo-payload": "- {stepId: a, operationId: createOrder, requestBody: {contentType: application/x-www-form-urlencoded, payload: a=1}}",
    "arazzo-header-name": "- {stepId: a, operationId: createOrder, parameters: [{name: 'a b', in: header, value: 1}]}",
    "arazzo-id": "- {stepId: a.b, operationId: createOrder}",
    "arazzo-duplicate-id": "- {stepId: a, operationId: createOrder}\n- {stepId: a, operationId: createOrder}",
    "arazzo-action-type": "- {stepId: a, operationId: createOrder, onSuccess: [{name: x, type: retry}]}",
    "arazzo-number": "- {stepId: a, operationId: createOrder, onFailure: [{name: x, type: retry, retryLimit: -1}]}",
    "arazzo-missing-key": "- {operationId: createOrder}",
    "arazzo-wrong-type": "- {stepId: a, operationId: createOrder, successCriteria: {condition: $statusCode == 1}}",
    "arazzo-misspelt-key": "- {stepId: a, operationId: createOrder, sucessCriteria: []}",
    "arazzo-output-not-expression": "- {stepId: a, operationId: createOrder, outputs: {x: 5}}",
    "arazzo-unsupported-workflow-id": "- {stepId: a, workflowId: w}",
    "arazzo-unsupported-depends-on": "- {stepId: a, operationId: createOrder, dependsOn: [b]}",
    "arazzo-unsupported-channel-path": "- {stepId: a, channelPath: x}",
    "arazzo-unsupported-reference": "- {stepId: a, operationId: createOrder, parameters: [{reference: $components.parameters.p}]}",
    "arazzo-unsupported-replacements": "- {stepId: a, operationId: createOrder, requestBody: {payload: {}, replacements: []}}",
    "arazzo-unsupported-criterion": "- {stepId: a, operationId: createOrder, successCriteria: [{condition: '$[?@.a]', type: jsonpath, context: $response.body}]}",
    "arazzo-unsupported-goto-workflow": "- {stepId: a, operationId: createOrder, onSuccess: [{name: x, type: goto, workflowId: w}]}",
    "arazzo-unsupported-retry-reference": "- {stepId: a, operationId: createOrder, onFailure: [{name: x, type: retry, stepId: a}]}",
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSED)
def test_what_cannot_run_is_refused_by_its_own_code(code: str) -> None:
    found = refused(arazzo(block(REFUSED[code]), inputs="{properties: {i: {}}}"))
    assert codes(found) == [code]
    assert found[0].line > 7
    assert found[0].excerpt
    assert found[0].pointer.startswith("/workflows/0/steps")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (arazzo(steps(CREATE)).replace("1.0.1", "2.0.0"), "arazzo-version"),
        (arazzo(steps(CREATE)).replace("arazzo: 1.0.1", "arazzo:"), "arazzo-wrong-type"),
        (arazzo("      []"), "arazzo-no-steps"),
        (arazzo(steps(CREATE), inputs="{type: objekt}"), "arazzo-inputs-schema"),
        (arazzo(steps(CREATE), inputs="{$ref: 'https://x.example/s'}"), "arazzo-inputs-schema"),
        (arazzo(steps(CREATE)).replace("type: openapi", "type: arazzo"), "arazzo-unsupported-source"),
        (arazzo(steps(CREATE)).replace("name: shop", "name: nowhere"), "source-unresolved"),
        (arazzo(steps(CREATE), extra="    failureActions: []"), "arazzo-unsupported-failure-actions"),
        (arazzo(steps(CREATE), extra="    dependsOn: []"), "arazzo-unsupported-depends-on"),
        ("{arazzo: 1.0.1, sourceDescriptions: [], workflows: []}", "arazzo-no-workflows"),
        (arazzo(steps(CREATE)).replace("  - {name: shop, url: shop.yaml, type: openapi}", "  []"), "arazzo-undefined-source"),
        ("a: 1", "unknown-format"),
        ("[]", "unknown-format"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_taken_is_refused(document: str, code: str) -> None:
    assert codes(refused(document)) == [code]


LENIENT = {
    "arazzo-bare-expression": "- {stepId: a, operationId: createOrder, requestBody: {payload: {x: a $inputs.i b}}}",
    "arazzo-double-quoted-string": "- {stepId: a, operationId: createOrder, successCriteria: [{condition: '$response.body#/s == \"x\"'}]}",
    "arazzo-braced-condition": "- {stepId: a, operationId: createOrder, successCriteria: [{condition: '{$statusCode == 401}'}]}",
    "arazzo-operation-case": "- {stepId: a, operationId: CREATEORDER}",
    "arazzo-path-parameter-in-payload": "- {stepId: a, operationId: getOrder, requestBody: {payload: {id: $inputs.i, x: 1}}}",
    "arazzo-unknown-key": "- {stepId: a, operationId: createOrder, colour: red}",
    "arazzo-literal-output": "- {stepId: a, operationId: createOrder, outputs: {x: response.body}}",
}  # fmt: skip


@pytest.mark.parametrize("code", LENIENT)
def test_a_leniency_is_reported_and_refused_when_strict(code: str) -> None:
    text = arazzo(block(LENIENT[code]), inputs="{properties: {i: {}}}")
    assert [(d.code, d.severity) for d in loaded(text).diagnostics] == [(code, "warning")]
    assert [(d.code, d.severity) for d in refused(text, strict=True)] == [(code, "error")]


def test_a_lifted_path_parameter_is_not_sent_in_the_body() -> None:
    text = arazzo(
        block(LENIENT["arazzo-path-parameter-in-payload"]), inputs="{properties: {i: {}}}"
    )
    call = loaded(text).plan.steps[0].call
    assert call.path == (Constant("/orders/"), Input("i"))
    assert call.body is not None
    assert call.body.value == Object((("x", Constant(1)),))


def test_extensions_may_hold_anything() -> None:
    assert (
        loaded(arazzo(steps("{stepId: a, operationId: createOrder, x-a: {b: 1}}"))).diagnostics
        == ()
    )


TWO = arazzo(steps(CREATE)).replace(
    "workflows:", "  - {name: other, url: other.yaml, type: openapi}\nworkflows:"
)
OTHER = SHOP.replace("createOrder", "makeOrder").replace("getOrder", "fetchOrder")


def test_an_unqualified_operation_that_is_unique_is_taken_with_a_warning() -> None:
    found = loaded(TWO, sources=Shelf({"shop": SHOP, "other": OTHER}))
    assert codes(found.diagnostics) == ["arazzo-unqualified-operation"]
    assert "$sourceDescriptions.shop.createOrder" in found.diagnostics[0].message


def test_an_exact_name_wins_over_one_that_differs_in_case() -> None:
    other = OTHER.replace("makeOrder", "CreateOrder")
    found = loaded(TWO, sources=Shelf({"shop": SHOP, "other": other}))
    assert codes(found.diagnostics) == ["arazzo-unqualified-operation"]
    assert found.plan.steps[0].call.server == "https://shop.example/v1"


@pytest.mark.parametrize("name", ["createOrder", "CREATEORDER"])
def test_an_operation_in_two_sources_is_never_guessed(name: str) -> None:
    text = TWO.replace("createOrder", name)
    found = refused(text, sources=Shelf({"shop": SHOP, "other": SHOP}))
    assert codes(found) == ["arazzo-ambiguous-operation"]


def test_all_problems_are_found_in_document_order() -> None:
    text = """
- {stepId: a, operationId: createOder, successCriteria: [{condition: $statuscode == 1}]}
- {stepId: b, operationId: getOrder, requestBody: {payload: {x: $inputs.k}}}
- {stepId: b, operationId: createOrder, onFailure: [{name: x, type: goto, stepId: c}]}
"""
    found = refused(arazzo(block(text)))
    assert codes(found) == [
        "arazzo-unknown-operation",
        "arazzo-expression",
        "arazzo-missing-path-parameter",
        "arazzo-undefined-input",
        "arazzo-duplicate-id",
    ]
    assert [d.line for d in found] == sorted(d.line for d in found)
    assert "'createOrder'" in found[0].message


def test_a_mistake_inside_of_an_expression_is_pointed_at() -> None:
    text = block("""
- stepId: a
  operationId: createOrder
  successCriteria:
  - condition: $statusCode == 200 && $respons.body#/x == 1
""")
    document = arazzo(text)
    [found] = refused(document)
    assert document.splitlines()[found.line - 1][found.column - 1 :].startswith("$respons.body")


def test_a_broken_source_is_reported_in_its_own_file() -> None:
    [found] = refused(arazzo(steps(CREATE)), sources=Shelf({"shop": "a: [1"}))
    assert (found.code, found.file) == ("yaml-syntax", "shop.yaml")


def test_a_required_parameter_that_is_not_given_is_a_warning() -> None:
    shop = SHOP.replace("operationId: createOrder", "operationId: createOrder\n      parameters: [{name: q, in: query, required: true}]")  # fmt: skip
    found = loaded(arazzo(steps(CREATE)), sources=Shelf({"shop": shop}))
    assert codes(found.diagnostics) == ["arazzo-missing-parameter"]


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ({"shop": "http://localhost:1/s/"}, "http://localhost:1/s"),
        ({"https://shop.example": "http://localhost:1/s"}, "http://localhost:1/s/v1"),
        ({"https://shop.example/": "http://localhost:1"}, "http://localhost:1/v1"),
        ({"https://shop.example/v1": "http://localhost:1"}, "http://localhost:1"),
        (
            {"https://shop.example": "http://a", "https://shop.example/v1": "http://b"},
            "http://b",
        ),
        ({"https://shop.exam": "http://localhost:1"}, "https://shop.example/v1"),
    ],
)
def test_a_server_is_replaced_by_name_or_by_prefix(servers: dict[str, str], expected: str) -> None:
    found = loaded(arazzo(steps(CREATE)), servers=servers)
    call = found.plan.steps[0].call
    assert call.server == "https://shop.example/v1", "whose API it is goes by what was published"
    assert (call.via or call.server) == expected


def test_a_source_without_server_needs_one_from_outside() -> None:
    shop = SHOP.replace('servers: [{url: "https://shop.example/v1/"}]', "")
    text, sources = arazzo(steps(CREATE)), Shelf({"shop": shop})
    [found] = refused(text, sources=sources)
    assert (found.code, "--server shop=" in found.message) == ("openapi-no-server", True)
    plan = loaded(text, sources=sources, servers={"shop": "http://localhost:1"}).plan
    assert plan.steps[0].call.server == "http://localhost:1"


def test_a_replacement_that_is_no_url_is_refused() -> None:
    from orchestrator.errors import DocumentRefused  # noqa: PLC0415 - only here

    with pytest.raises(DocumentRefused) as caught:
        loaded(arazzo(steps(CREATE)), servers={"shop": "localhost"})
    assert codes(caught.value.diagnostics) == ["server-not-a-url"]


def test_a_replacement_for_a_source_that_is_not_there_is_refused() -> None:
    from orchestrator.errors import DocumentRefused  # noqa: PLC0415 - only here

    with pytest.raises(DocumentRefused) as caught:
        loaded(arazzo(steps(CREATE)), servers={"shpo": "http://localhost:1"})
    [found] = caught.value.diagnostics
    assert found.code == "server-unknown"
    assert "did you mean 'shop'" in found.message


def test_a_server_that_replaces_nothing_is_a_warning() -> None:
    unused = {"https://shop.exam": "http://localhost:1", "https://shop.example": "http://a"}
    found = loaded(arazzo(steps(CREATE)), servers=unused)
    assert codes(found.diagnostics) == ["server-unused"]
    assert "shop.exam=" in found.diagnostics[0].message


@pytest.mark.parametrize("key", ["operationId", "operationPath"])
@pytest.mark.parametrize("written", ["", " "])
def test_an_empty_operation_is_an_error_where_it_stands(key: str, written: str) -> None:
    [found] = refused(arazzo(steps(CREATE, f'{{stepId: b, {key}: "{written}"}}')))
    assert (found.code, found.pointer) == ("arazzo-missing-key", f"/workflows/0/steps/1/{key}")


def test_a_source_description_without_a_name_is_an_error() -> None:
    found = refused(arazzo(steps(CREATE)).replace("name: shop", 'name: ""'))
    assert found[0].pointer == "/sourceDescriptions/0/name"


def test_workflows_of_one_name_are_an_error() -> None:
    twice = arazzo(steps(CREATE), extra="  - {workflowId: w, steps: []}")
    assert codes(refused(twice, workflow="w")) == ["arazzo-duplicate-workflow"]


def test_a_workflow_has_only_so_many_steps() -> None:
    def of(count: int) -> str:
        return arazzo(steps(*(f"{{stepId: s{i}, operationId: createOrder}}" for i in range(count))))

    assert len(loaded(of(MAX_STEPS)).plan.steps) == MAX_STEPS
    assert codes(refused(of(MAX_STEPS + 1))) == ["arazzo-too-large"]


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ("200", "error"),
        ("true == 'x'", "error"),
        ("$statusCode == 'created'", "error"),
        ("$statusCode == 200 && $statusCode == 201", "error"),
        ("$response.body#/x == 1 && 1 == 2", "error"),
        ("$url", "error"),
        ("1 == 1", "warning"),
        ("$response.body#/x == 1 || $statusCode < 600", "warning"),
    ],
)
def test_a_criterion_that_the_answer_does_not_decide_is_told(written: str, severity: str) -> None:
    document = f"""
- stepId: a
  operationId: createOrder
  successCriteria: [{{condition: "{written}"}}]
"""
    if severity == "error":
        found = refused(arazzo(block(document)))
    else:
        found = loaded(arazzo(block(document))).diagnostics
    assert [(d.code, d.severity) for d in found] == [("arazzo-constant-condition", severity)]
    assert found[0].pointer == "/workflows/0/steps/0/successCriteria/0/condition"


def test_an_action_that_is_never_taken_is_a_warning() -> None:
    found = loaded(
        arazzo(
            block("""
- stepId: a
  operationId: createOrder
  onFailure: [{name: x, type: end, criteria: [{condition: false}]}]
""")
        )
    )
    assert codes(found.diagnostics) == ["arazzo-constant-condition"]


def test_a_condition_that_cannot_be_read_is_told_once() -> None:
    broken = "- {stepId: a, operationId: createOrder, successCriteria: [{condition: 1/0 == 1}]}"
    assert codes(refused(arazzo(block(broken)))) == ["arazzo-expression"]


BODIES = {
    "form": "requestBody: {contentType: application/x-www-form-urlencoded, payload: {n: 1}}",
    "json": "requestBody: {payload: {n: 1}}",
    "text": "requestBody: {contentType: text/plain, payload: '1'}",
    "none": "description: no body",
}


@pytest.mark.parametrize(
    ("read", "body", "there"),
    [
        ("$request.body#/n", "json", True),
        ("$request.body#/n", "form", False),
        ("$request.body", "none", False),
        # a text may be JSON
        ("$request.body", "text", True),
        ("$request.query.q", "none", True),
        ("$request.query.other", "none", False),
        ("$request.path.id", "none", False),
        ("$request.header.accept", "none", True),
    ],
)
def test_parts_that_a_request_does_not_have_are_errors(read: str, body: str, there: bool) -> None:
    text = arazzo(
        block(f"""
- stepId: a
  operationId: createOrder
  parameters: [{{name: q, in: query, value: x}}]
  {BODIES[body]}
  outputs: {{o: "{read}"}}
  successCriteria: [{{condition: "{read} == 1"}}]
""")
    )
    if there:
        assert loaded(text).diagnostics == ()
    else:
        assert codes(refused(text)) == ["arazzo-not-in-request"] * 2


def always(step: str, target: str, *, on: str = "onSuccess", when: str = "") -> str:
    criteria = f", criteria: [{{condition: {when}}}]" if when else ""
    action = f"{{name: x, type: goto, stepId: {target}{criteria}}}"
    return f"{{stepId: {step}, operationId: createOrder, {on}: [{action}]}}"


@pytest.mark.parametrize(
    "written",
    [
        (always("a", "a"),),
        (CREATE, always("b", "a")),
        (always("a", "c"), always("b", "a"), always("c", "b")),
        # what a loop is left for is one again
        (always("a", "b", when="$statusCode == 201"), always("b", "b")),
    ],
)
def test_a_loop_that_nothing_leads_out_of_is_an_error(written: tuple[str, ...]) -> None:
    assert codes(refused(arazzo(steps(*written)))) == ["arazzo-endless-loop"]


@pytest.mark.parametrize(
    "written",
    [
        (CREATE, always("b", "a", when="$statusCode == 202")),
        (always("a", "b", on="onFailure"), always("b", "c"), CREATE.replace("a,", "c,", 1)),
        (CREATE.replace("}", ", onFailure: [{name: e, type: end}]}"), always("b", "a")),
        # nothing that follows is in the loop
        (always("a", "a", on="onFailure", when="$statusCode == 503"),),
    ],
)
def test_a_loop_that_can_be_left_is_taken(written: tuple[str, ...]) -> None:
    assert "arazzo-endless-loop" not in codes(loaded(arazzo(steps(*written))).diagnostics)


JUDGED = "[{condition: $statusCode == 200}, {condition: $response.body#/s == 1}]"
STATUS = "[{condition: $statusCode == 200}]"


@pytest.mark.parametrize(
    ("action", "criteria", "told"),
    [
        ("type: retry", JUDGED, True),
        ("type: goto, stepId: a", JUDGED, True),
        ("type: retry, criteria: [{condition: $statusCode < 300}]", JUDGED, True),
        ("type: retry", STATUS, False),
        ("type: retry, criteria: [{condition: $statusCode >= 500}]", JUDGED, False),
        ("type: retry, criteria: [{condition: $response.body#/e == 'busy'}]", JUDGED, False),
        ("type: retry, retryLimit: 0", JUDGED, False),
        ("type: end", JUDGED, False),
    ],
)
def test_a_failure_that_repeats_what_was_done_is_a_warning(
    action: str, criteria: str, told: bool
) -> None:
    made = f"""
- stepId: a
  operationId: createOrder
  successCriteria: {criteria}
  onFailure: [{{name: x, {action}}}]
"""
    found = codes(loaded(arazzo(block(made))).diagnostics)
    assert found == (["arazzo-repeats-effects"] if told else [])
    read = made.replace("createOrder", "getOrder\n  parameters: [{name: id, in: path, value: 1}]")
    assert loaded(arazzo(block(read))).diagnostics == (), "a GET changes nothing"


@pytest.mark.parametrize("limit", ["1.5", "true", "-1", "101", "x"])
def test_retries_are_counted_in_whole_numbers(limit: str) -> None:
    action = f"{{name: x, type: retry, retryLimit: {limit}}}"
    written = f"{{stepId: a, operationId: createOrder, onFailure: [{action}]}}"
    assert codes(refused(arazzo(steps(written)))) == ["arazzo-number"]


def timed(timeout: str, version: str = "1.1.0") -> str:
    step = f"- {{stepId: a, operationId: createOrder, timeout: {timeout}}}"
    return arazzo(block(step)).replace("arazzo: 1.0.1", f"arazzo: {version}")


def test_a_timeout_of_a_step_is_its_visits_time_in_milliseconds() -> None:
    found = loaded(timed("2500"))
    assert found.diagnostics == ()
    assert found.plan.steps[0].timeout_ms == 2_500


@pytest.mark.parametrize("written", ["0", "-1", "2.5", "5s", "true", "31622400001", "1.0e+400"])
def test_a_timeout_that_is_no_time_is_refused_where_it_stands(written: str) -> None:
    [found] = refused(timed(written))
    assert found.code in {"arazzo-number", "yaml-number"}
    assert (found.line, found.pointer) == (9, "/workflows/0/steps/0/timeout")


def test_arazzo_1_0_has_no_timeout_and_it_is_told_as_any_other_unknown_key() -> None:
    found = loaded(timed("2500", "1.0.1"))
    assert codes(found.diagnostics) == ["arazzo-unknown-key"]
    assert found.plan.steps[0].timeout_ms == 0
    assert codes(refused(timed("2500", "1.0.1"), strict=True)) == ["arazzo-unknown-key"]

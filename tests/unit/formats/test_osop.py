"""OSOP → plan: as far as the published documents go, and what is refused beyond."""

# ruff: noqa: E501 - documents are shorter to read on one line
from __future__ import annotations

import json
from textwrap import indent

import pytest

from orchestrator.expressions.nodes import (
    Cel,
    Constant,
    Input,
    Node,
    Object,
    Output,
    ResponseBody,
    ResponseHeader,
    Secret,
    StatusCode,
    Text,
)
from orchestrator.formats.whole import MAX_STEPS
from orchestrator.plan.model import Choice, Goto, Plan, Route
from tests.unit.formats.loading import codes, loaded, refused


def osop(nodes: str, edges: str = "[]", *, head: str = "") -> str:
    return f"""osop_version: "1.0"
id: flow
name: Flow
{head}
nodes:
{indent(nodes.strip(), "  ")}
edges: {edges}
"""


def api(name: str, *, rest: str = "", **runtime: str) -> str:
    fields = {"method": "POST", "url": "https://shop.example", "endpoint": "/orders"} | runtime
    written = ", ".join(f"{key}: {value}" for key, value in fields.items())
    return f"- {{id: {name}, type: api, runtime: {{{written}}}{rest and ', ' + rest}}}\n"


def edge(source: str, target: str, mode: str = "sequential", when: str = "") -> str:
    condition = f', when: "{when}"' if when else ""
    return f"{{from: {source}, to: {target}, mode: {mode}{condition}}}"


def edges(*written: str) -> str:
    return f"[{', '.join(written)}]"


def clean(document: str) -> Plan:
    found = loaded(document)
    assert found.diagnostics == ()
    return found.plan


def goto(step: str, cap: int = 100, *when: Node) -> Choice:
    return Choice(routes=(Route(then=Goto(step=step, cap=cap), when=when),))


@pytest.mark.parametrize(
    ("url", "endpoint", "server", "path"),
    [
        ("https://a.example", "/v1/x", "https://a.example", "/v1/x"),
        ("https://a.example/", "/v1/x", "https://a.example", "/v1/x"),
        ("https://a.example/v1/", "/x", "https://a.example/v1", "/x"),
        ("https://a.example/v1/x", None, "https://a.example", "/v1/x"),
        ("https://a.example", None, "https://a.example", None),
        (None, "https://a.example/v1/x", "https://a.example", "/v1/x"),
        ("https://b.example", "https://a.example/v1/x", "https://a.example", "/v1/x"),
    ],
)
def test_an_address_is_url_and_endpoint_without_a_doubled_slash(
    url: str | None, endpoint: str | None, server: str, path: str | None
) -> None:
    node = "- {id: a, type: api, runtime: {method: get"
    node += f', url: "{url}"' if url else ""
    node += f', endpoint: "{endpoint}"' if endpoint else ""
    call = clean(osop(node + "}}")).steps[0].call
    assert (call.method, call.server) == ("GET", server)
    assert call.path == ((Constant(path),) if path else ())


def test_a_label_in_place_of_an_endpoint_is_ignored_with_a_warning() -> None:
    found = loaded(osop(api("a", endpoint="webhook")))
    assert codes(found.diagnostics) == ["osop-endpoint-label"]
    assert found.plan.steps[0].call.path == ()


def test_names_in_addresses_and_queries_are_values() -> None:
    nodes = api("a", rest="outputs: [{id: data.id}]") + api(
        "b", endpoint="'/x/${a.id}/y/{a.id}?limit=10&after=${a.id}'"
    )
    call = clean(osop(nodes, edges(edge("a", "b")))).steps[1].call
    value = Output("a", "id")
    assert call.path == (Constant("/x/"), value, Constant("/y/"), value)
    assert call.query == (("limit", Constant("10")), ("after", value))


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("data.id", ResponseBody("/id")),
        ("data", ResponseBody()),
        ("body.a.b", ResponseBody("/a/b")),
        ("$.a[0].b", ResponseBody("/a/0/b")),
        ("data.data.id", ResponseBody("/data/id")),
        ("headers.X-Id", ResponseHeader("x-id")),
        ("status_code", StatusCode()),
        ("status", StatusCode()),
    ],
)
def test_an_output_is_a_path_into_the_answer(path: str, node: Node) -> None:
    for written in (f'[{{x: "{path}"}}]', f'{{x: "{path}"}}'):
        step = clean(osop(api("a", rest=f"outputs: {written}"))).steps[0]
        assert step.outputs == (("x", node),)


@pytest.mark.parametrize(
    "reference",
    ["a-b.out", "a_b.out", "outputs.a-b.out", "outputs.a_b.out", "out", "a-b.out.n[0]"],
)
def test_an_output_is_named_in_every_published_way(reference: str) -> None:
    nodes = api("a-b", rest="outputs: [{out: data}]") + api("c", body=f"{{v: '${{{reference}}}'}}")
    call = clean(osop(nodes, edges(edge("a-b", "c")))).steps[1].call
    assert call.body is not None
    pointer = "/n/0" if "[0]" in reference else ""
    assert call.body.value == Object((("v", Output("a-b", "out", pointer)),))


def test_a_value_that_is_one_reference_keeps_its_type_and_the_rest_is_text() -> None:
    body = "{a: '${inputs.n}', b: 'n=${inputs.n}', c: $5, d: 5, e: '${ inputs.n }'}"
    call = clean(osop(api("x", body=body))).steps[0].call
    assert call.body is not None
    assert call.body.value == Object((
        ("a", Input("n")), ("b", Text((Constant("n="), Input("n")))), ("c", Constant("$5")),
        ("d", Constant(5)), ("e", Input("n")),
    ))  # fmt: skip


def test_a_secret_stands_in_a_header_and_nowhere_else() -> None:
    text = "'Bearer ${secrets.KEY}'"
    call = clean(osop(api("a", headers=f"{{Authorization: {text}}}"))).steps[0].call
    assert call.headers == (("Authorization", Text((Constant("Bearer "), Secret("KEY")))),)
    for document in (
        osop(api("a", body=f"{{x: {text}}}")),
        osop(api("a", endpoint="'/x/${secrets.KEY}'")),
        osop(api("a", endpoint="'/x?k=${secrets.KEY}'")),
        osop(api("a", rest="outputs: [{x: '${secrets.KEY}'}]")),
        osop(api("a"), head="outputs: {x: '${secrets.KEY}'}"),
    ):
        assert codes(refused(document)) == ["osop-secret-outside-headers"]


@pytest.mark.parametrize(
    ("url", "headers", "content_type", "encoding"),
    [
        ("https://api.stripe.com", "{}", "application/x-www-form-urlencoded", "form-brackets"),
        ("https://api.twilio.com", "{}", "application/x-www-form-urlencoded", "form-repeat"),
        ("https://shop.example", "{}", "application/json", "json"),
        ("https://api.stripe.com", "{content-type: application/json}", "application/json", "json"),
        (
            "https://shop.example",
            "{Content-Type: application/x-www-form-urlencoded}",
            "application/x-www-form-urlencoded",
            "form-brackets",
        ),
    ],
)
def test_without_a_content_type_the_providers_encoding_is_used(
    url: str, headers: str, content_type: str, encoding: str
) -> None:
    call = clean(osop(api("a", url=f'"{url}"', headers=headers, body="{x: 1}"))).steps[0].call
    assert call.body is not None
    assert (call.body.content_type, call.body.encoding, call.headers) == (
        content_type,
        encoding,
        (),
    )


def test_edges_become_choices_of_their_own() -> None:
    nodes = "".join(api(n, rest="outputs: [{ok: data.ok}]") for n in "abcd")
    plan = clean(
        osop(
            nodes,
            edges(
                edge("a", "b"),
                edge("a", "c", "conditional", "a.ok == true"),
                edge("a", "d", "fallback"),
            ),
        )
    )
    condition = Cel("outputs.a.ok == true", (Output("a", "ok"),))
    assert plan.steps[0].success == (goto("b"), goto("c", 100, condition))
    assert plan.steps[0].failure == (goto("d", 3),)
    assert plan.starts == ("a",)


def test_condition_means_when() -> None:
    nodes = api("a", rest="outputs: [{s: data.s}]") + api("b")
    alias = edge("a", "b", "conditional", "a.s == 'x'").replace("when:", "condition:")
    assert clean(osop(nodes, edges(alias))) == clean(
        osop(nodes, edges(alias.replace("condition:", "when:")))
    )


@pytest.mark.parametrize(
    ("written", "awaits"),
    [
        # a diamond
        (("a b", "a c", "b d", "c d"), {"d": ("b", "c")}),
        # a fallback back to the beginning is no branch to wait for
        (("a b", "b c", "c a fallback", "c d"), {}),
        # a loop's own edges are waited for, the edge back is not
        (("a b", "a c", "b c", "c b conditional", "c d"), {"c": ("a", "b")}),
        # two edges between the same two nodes are one branch
        (("a b", "a b fallback", "b c", "c d"), {}),
    ],
)
def test_a_join_waits_for_its_forward_branches(
    written: tuple[str, ...], awaits: dict[str, tuple[str, ...]]
) -> None:
    nodes = "".join(api(n, rest="outputs: [{ok: data.ok}]") for n in "abcd")
    parts = [(*line.split(), "sequential")[:3] for line in written]
    flow = edges(*(edge(s, t, m, f"{s}.ok" if m == "conditional" else "") for s, t, m in parts))
    plan = clean(osop(nodes, flow))
    assert {step.id: step.awaits for step in plan.steps if step.awaits} == awaits
    assert plan.starts == ("a",)


def test_runs_begin_where_nothing_leads_but_redo_from_there() -> None:
    nodes = api("a") + api("b") + api("c")
    assert clean(osop(nodes)).starts == ("a", "b", "c")
    redo = edges(edge("a", "b"), edge("b", "a", "fallback"), edge("b", "c"))
    assert clean(osop(nodes, redo)).starts == ("a",)
    circle = edges(edge("a", "b"), edge("b", "c"), edge("c", "a", "conditional", "inputs.i == 1"))
    assert clean(osop(nodes, circle)).starts == ("a",)


def test_a_node_that_nothing_leads_to_is_a_warning() -> None:
    nodes = api("a") + api("b") + api("c")
    found = loaded(osop(nodes, edges(edge("b", "c"), edge("c", "b"))))
    assert (found.plan.starts, codes(found.diagnostics)) == (
        ("a",), ["osop-unreachable-node", "osop-unreachable-node"],
    )  # fmt: skip


AGENT = "- {id: w, type: agent, subtype: llm, description: Write it., runtime: {provider: anthropic, model: m, system_prompt: Be brief.}}\n"  # fmt: skip


def test_an_agent_is_a_call_of_its_provider() -> None:
    nodes = api("a", rest="outputs: [{id: data.id}, {client_secret: data.s}, {api_key: data.k}]")
    step = clean(osop(nodes + AGENT, edges(edge("a", "w")))).steps[1]
    assert (step.call.provider, step.call.method) == ("anthropic", "POST")
    assert (step.call.server, step.call.path) == (
        "https://api.anthropic.com",
        (Constant("/v1/messages"),),
    )
    assert step.call.headers == (("anthropic-version", Constant("2023-06-01")),)
    assert step.outputs == (("text", ResponseBody("/content/0/text")),)
    assert step.call.body is not None
    written = str(step.call.body.value)
    assert "'max_tokens': 1024" in written
    assert "Write it." in written
    assert "$steps.a.outputs.id" in written
    assert "secret" not in written
    assert "api_key" not in written


def test_an_agent_is_told_only_what_is_there_whichever_way_it_was_reached() -> None:
    nodes = "".join(api(n, rest="outputs: [{id: data.id}]") for n in "abc") + AGENT
    flow = edges(edge("a", "b"), edge("a", "c", "fallback"), edge("b", "w"), edge("c", "w"))
    call = clean(osop(nodes, flow)).steps[3].call
    assert call.body is not None
    assert "$steps" not in str(call.body.value)


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        ("{n: {type: integer}}", {"type": "object", "properties": {"n": {"type": "integer"}}}),
        (
            "{n: {type: integer, required: true}}",
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        ),
        ("{n: integer}", {"type": "object", "properties": {"n": {"type": "integer"}}}),
        ("[n]", {"type": "object", "properties": {"n": {}}}),
        (
            "[{name: n, schema: {type: integer}, required: true}]",
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        ),
        (
            "[{name: n, type: integer}]",
            {"type": "object", "properties": {"n": {"type": "integer"}}},
        ),
    ],
)
def test_inputs_are_read_in_every_published_way(written: str, schema: object) -> None:
    plan = clean(osop(api("a", body="{v: '${n}'}"), head=f"inputs: {written}"))
    assert json.loads(plan.inputs.schema) == schema
    assert plan.inputs.referenced == ("n",)


CASES = {
    "osop-unsupported-node": osop("- {id: a, type: human, name: Approve}"),
    "osop-unsupported-edge-mode": osop(api("a") + api("b"), edges(edge("a", "b", "parallel"))),
    "osop-undefined-node": osop(api("abc"), edges(edge("abc", "abd"))),
    "osop-missing-condition": osop(api("a") + api("b"), edges(edge("a", "b", "conditional"))),
    "osop-unexpected-condition": osop(api("a") + api("b"), edges(edge("a", "b", "fallback", "a.x"))),
    "osop-undefined-output": osop(api("a", rest="outputs: [{id: data.id}]") + api("b", body="{x: '${a.idd}'}"), edges(edge("a", "b"))),
    "osop-output-not-yet": osop(api("a", body="{x: '${b.id}'}") + api("b", rest="outputs: [{id: data.id}]"), edges(edge("a", "b"))),
    "osop-undefined-input": osop(api("a", body="{x: '${inputs.m}'}"), head="inputs: {n: {}}"),
    "osop-expression": osop(api("a", body="{x: '${nobody.id}'}")),
    "osop-unsupported-expression": osop(api("a", body="{x: '${env.X}'}")),
    "osop-unsupported-output": osop(api("a", rest="outputs: [{x: 'data.a[*].b'}]")),
    "osop-output-path": osop(api("a", rest="outputs: [{x: id}]")),
    "osop-header-name": osop(api("a", headers="{'a b': x}")),
    "osop-id": osop(api("'a b'")),
    "osop-duplicate-id": osop(api("a") + api("a")),
    "osop-method": osop(api("a", method="PSOT")),
    "osop-url": osop(api("a", url="shop.example")),
    "osop-missing-key": osop("- {id: a, type: api}"),
    "osop-misspelt-key": osop(api("a", methodd="GET")),
    "osop-unsupported-content-type": osop(api("a", headers="{Content-Type: application/xml}", body="x")),
    "osop-payload": osop(api("a", headers="{Content-Type: application/x-www-form-urlencoded}", body="x")),
    "osop-two-bodies": osop(api("a", body="{}", body_template="{}")),
    "osop-unsupported-approval-gate": osop(api("a", rest="security: {approval_gate: true}")),
    "osop-unsupported-success-criteria": osop(api("a", rest="success_criteria: [HTTP 200]")),
    "osop-unsupported-timeout": osop(api("a", timeout="5s")),
    "osop-unsupported-timeout-sec": osop(api("a", timeout_sec="5")),
    "osop-timeout": osop(api("a", rest="timeout: 5")),
    "osop-two-timeouts": osop(api("a", rest="timeout: 5s, timeout_sec: 5")),
    "osop-unsupported-auth": osop(api("a", auth="{type: bearer}")),
    "osop-unsupported-imports": osop(api("a"), head="imports: []"),
    "osop-unsupported-tools": osop(AGENT.replace("model: m", "model: m, tools: [x]")),
    "osop-inputs": osop(api("a"), head="inputs: {n: {type: objekt}}"),
    "osop-no-nodes": osop("[]").replace("nodes:\n  []", "nodes: []"),
    "osop-number": osop(AGENT.replace("model: m", "model: m, max_tokens: many")),
    "osop-wrong-type": osop(api("a", headers="{X: [1]}")),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_what_cannot_run_is_refused_by_its_own_code(code: str) -> None:
    found = refused(CASES[code])
    assert codes(found) == [code]
    assert found[0].line > 0


@pytest.mark.parametrize("kind", ["human", "cli", "mcp", "db", "agent"])
def test_only_api_nodes_and_anthropic_agents_run(kind: str) -> None:
    assert codes(refused(osop(f"- {{id: a, type: {kind}, runtime: {{provider: other}}}}"))) == [
        "osop-unsupported-node"
    ]


@pytest.mark.parametrize(
    ("version", "expected"),
    [('osop_version: "2.0"', "osop-version"), ("", "osop-version"), ('osop_version: "1.1"', "")],
)
def test_a_version_that_does_not_exist_is_read_with_a_warning(version: str, expected: str) -> None:
    text = osop(api("a")).replace('osop_version: "1.0"', version)
    assert codes(loaded(text).diagnostics) == ([expected] if expected else [])
    if expected:
        assert codes(refused(text, strict=True)) == [expected]


def test_another_major_version_is_refused() -> None:
    assert codes(refused(osop(api("a")).replace('"1.0"', '"3.0"'))) == ["osop-version"]


def test_a_workflow_of_another_name_is_not_there() -> None:
    assert codes(refused(osop(api("a")), workflow="flo")) == ["osop-unknown-workflow"]
    assert loaded(osop(api("a")), workflow="flow").workflows == ("flow",)


def test_a_wrong_name_gets_the_nearest_one() -> None:
    [found] = refused(CASES["osop-undefined-node"])
    assert "'abc'" in found.message
    [found] = refused(CASES["osop-undefined-output"])
    assert "'id'" in found.message


def test_a_condition_is_case_sensitive_as_cel_is() -> None:
    nodes = api("a", rest="outputs: [{s: data.s}]") + api("b")
    plan = clean(osop(nodes, edges(edge("a", "b", "conditional", "a.s == 'X'"))))
    [choice] = plan.steps[0].success
    assert choice == goto("b", 100, Cel("outputs.a.s == 'X'", (Output("a", "s"),)))


def test_the_provider_is_known_by_its_published_host_wherever_the_call_goes() -> None:
    text = osop(api("a", url='"https://api.stripe.com"', body="{x: 1}"))
    found = loaded(text, servers={"https://api.stripe.com": "http://localhost:9/stripe"})
    call = found.plan.steps[0].call
    assert (call.provider, call.server) == ("stripe", "https://api.stripe.com")
    assert call.via == "http://localhost:9/stripe"
    assert call.body is not None
    assert call.body.encoding == "form-brackets"


@pytest.mark.parametrize("written", ["hot", "true", "-0.1", "1.5", '"0.5"'])
def test_a_models_temperature_is_a_number_that_it_takes(written: str) -> None:
    nodes = AGENT.replace("model: m", f"model: m, temperature: {written}")
    assert codes(refused(osop(nodes))) == ["osop-number"]


def test_a_condition_of_a_wrong_type_is_told_as_that() -> None:
    flow = "[{from: a, to: b, mode: conditional, when: [a]}]"
    assert codes(refused(osop(api("a") + api("b"), flow))) == ["osop-wrong-type"]


@pytest.mark.parametrize("when", ["1 == 2", "true", "1 / 0 == 1"])
def test_a_condition_that_no_run_decides_is_a_warning(when: str) -> None:
    found = loaded(osop(api("a") + api("b"), edges(edge("a", "b", "conditional", when))))
    assert codes(found.diagnostics) == ["osop-constant-condition"]


def test_a_circle_that_every_success_goes_round_is_an_error() -> None:
    nodes = api("a") + api("b") + api("c") + api("d")
    circle = (edge("a", "b"), edge("b", "c"), edge("c", "b"))
    assert codes(refused(osop(nodes, edges(*circle, edge("a", "d"))))) == ["osop-endless-loop"]
    left = loaded(osop(nodes, edges(*circle, edge("c", "d", "fallback"))))
    assert left.diagnostics == ()


def test_a_document_has_only_so_many_nodes_and_edges() -> None:
    def of(nodes: int, edges_: int) -> str:
        flow = edges(*[edge("n0", "n1")] * edges_)
        return osop("".join(api(f"n{i}") for i in range(nodes)), flow)

    assert len(clean(of(MAX_STEPS, 0)).steps) == MAX_STEPS
    assert codes(refused(of(MAX_STEPS + 1, 0))) == ["osop-too-large"]
    assert codes(refused(of(2, 4 * MAX_STEPS + 1))) == ["osop-too-large"]


def test_names_of_inputs_and_outputs_are_there_once() -> None:
    twice = api("a", rest="outputs: [{x: data.a}, {x: data.b}]")
    assert codes(refused(osop(twice))) == ["osop-duplicate-id"]
    inputs = osop(api("a"), head="inputs: [{name: i}, {name: i, type: string}]")
    assert codes(refused(inputs)) == ["osop-duplicate-id"]


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("timeout_sec: 5", 5_000),
        ("timeout_sec: 0.25", 250),
        ("timeout: 45s", 45_000),
        ("timeout: '1.5 h'", 5_400_000),
        ("timeout: 10m", 600_000),
        ("timeout: 10min", 600_000),
        ("timeout: 3d", 259_200_000),
        ("timeout: 500ms", 500),
    ],
)
def test_a_timeout_is_of_a_node_or_of_the_whole_run(written: str, ms: int) -> None:
    of_node = clean(osop(api("a", rest=written)))
    assert (of_node.steps[0].timeout_ms, of_node.timeout_ms) == (ms, 0)
    of_run = clean(osop(api("a"), head=written))
    assert (of_run.steps[0].timeout_ms, of_run.timeout_ms) == (0, ms)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("timeout_sec: 0", "osop-number"),
        ("timeout_sec: -5", "osop-number"),
        ("timeout_sec: true", "osop-number"),
        ("timeout_sec: 5s", "osop-number"),
        ("timeout_sec: 1.0e+12", "osop-number"),
        ("timeout: 0s", "osop-timeout"),
        ("timeout: -5s", "osop-timeout"),
        ("timeout: soon", "osop-timeout"),
        ("timeout: 367d", "osop-timeout"),
        ("timeout: 1h30m", "osop-timeout"),
    ],
)
@pytest.mark.parametrize("where", ["node", "document"])
def test_a_timeout_that_is_no_time_is_refused_where_it_stands(
    where: str, written: str, code: str
) -> None:
    text = osop(api("a", rest=written)) if where == "node" else osop(api("a"), head=written)
    [found] = refused(text)
    assert found.code == code
    key = written.partition(":")[0]
    assert found.pointer == (f"/nodes/0/{key}" if where == "node" else f"/{key}")


def test_edges_of_mode_timeout_are_refused_as_before() -> None:
    edge_of = edges(edge("a", "b", "timeout"))
    found = refused(osop(api("a", rest="timeout_sec: 5") + api("b"), edge_of))
    assert codes(found) == ["osop-unsupported-edge-mode"]

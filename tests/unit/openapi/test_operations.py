"""OpenAPI descriptions → operations; what is broken elsewhere in the file is nobody's problem."""

# ruff: noqa: E501 - documents are shorter to read on one line
from __future__ import annotations

from typing import Any

import pytest

from orchestrator.openapi.description import Description, DescriptionRefused, describe
from orchestrator.openapi.operations import Operation, PathVariable, operation, path_parts


def description(root: dict[str, Any], url: str = "https://docs.example/api/x.yaml") -> Description:
    return describe("api", url, {"openapi": "3.1.0", **root})


def only(root: dict[str, Any], url: str = "https://docs.example/api/x.yaml") -> Operation:
    found = description(root, url)
    return operation(found, found.entries["op"][0])


def paths(operation_fields: dict[str, Any], path: str = "/x", **item: Any) -> dict[str, Any]:
    return {path: {"post": {"operationId": "op", **operation_fields}, **item}}


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([{"url": "https://api.stripe.com/"}], "https://api.stripe.com"),
        ([{"url": "https://api.twilio.com/2010-04-01"}], "https://api.twilio.com/2010-04-01"),
        ([{"url": "https://a.example"}, {"url": "https://b.example"}], "https://a.example"),
        ([{"url": "/v2"}], "https://docs.example/v2"),
        ([{"url": "v2/"}], "https://docs.example/api/v2"),
        ([], "https://docs.example"),
        (
            [{"url": "https://{r}.example/{v}", "variables": {"r": {"default": "eu"}, "v": {"default": "1"}}}],
            "https://eu.example/1",
        ),
    ],
)  # fmt: skip
def test_the_first_server_is_where_calls_go(servers: list[Any], expected: str) -> None:
    assert only({"servers": servers, "paths": paths({})}).server == expected


def test_the_nearest_servers_win() -> None:
    root = [{"url": "https://root.example"}]
    item = [{"url": "https://item.example"}]
    own = [{"url": "https://own.example"}]
    assert only({"servers": root, "paths": paths({}, servers=item)}).server == item[0]["url"]
    in_both = paths({"servers": own}, servers=item)
    assert only({"servers": root, "paths": in_both}).server == own[0]["url"]


def test_a_file_without_absolute_server_has_none() -> None:
    assert only({"paths": paths({})}, url="x.yaml").server == ""


def test_a_server_variable_without_default_is_refused() -> None:
    with pytest.raises(DescriptionRefused) as caught:
        only({"servers": [{"url": "https://{r}.example"}], "paths": paths({})})
    assert caught.value.problem == "openapi-no-server"


def test_a_path_is_literal_text_and_variables() -> None:
    assert path_parts("/a/{b}/c.json") == ("/a/", PathVariable(name="b"), "/c.json")
    assert path_parts("/{a}{b}") == ("/", PathVariable(name="a"), PathVariable(name="b"))
    assert path_parts("/plain") == ("/plain",)


def test_an_operations_parameter_overrides_the_paths() -> None:
    shared = [{"name": "q", "in": "query", "required": True}, {"name": "h", "in": "header"}]
    own = [{"name": "q", "in": "query", "required": False}]
    found = only({"paths": paths({"parameters": own}, parameters=shared)})
    assert [(p.name, p.location, p.required) for p in found.parameters] == [
        ("q", "query", False),
        ("h", "header", False),
    ]


def test_references_are_followed_when_needed() -> None:
    root = {
        "paths": paths({
            "parameters": [{"$ref": "#/components/parameters/a"}],
            "requestBody": {"$ref": "#/components/requestBodies/b"},
        }),
        "components": {
            "parameters": {"a": {"$ref": "#/components/parameters/c"}, "c": {"name": "n", "in": "query"}},
            "requestBodies": {"b": {"content": {"application/json": {"schema": {"$ref": "#/nope"}}}}},
        },
    }  # fmt: skip
    found = only(root)
    assert [p.name for p in found.parameters] == ["n"]
    assert found.media_types == ("application/json",)


def test_a_dangling_reference_is_a_problem_only_to_those_who_use_it() -> None:
    broken = {"operationId": "broken", "parameters": [{"$ref": "#/nope"}]}
    found = description({"paths": paths({}) | {"/y": {"get": broken}}})
    assert operation(found, found.entries["op"][0]).id == "op"
    with pytest.raises(DescriptionRefused) as caught:
        operation(found, found.entries["broken"][0])
    assert caught.value.problem == "openapi-dangling-ref"


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ("other.yaml#/a", "openapi-unsupported-ref"),
        ("#/components/parameters/loop", "openapi-ref-circle"),
    ],
)
def test_references_that_lead_out_or_round_are_refused(ref: str, problem: str) -> None:
    root = {
        "paths": paths({"parameters": [{"$ref": ref}]}),
        "components": {"parameters": {"loop": {"$ref": "#/components/parameters/loop"}}},
    }
    with pytest.raises(DescriptionRefused) as caught:
        only(root)
    assert caught.value.problem == problem


def test_security_is_noted_by_name() -> None:
    assert only({"security": [{"a": []}, {"b": []}], "paths": paths({})}).security == ("a", "b")
    assert only({"security": [{"a": []}], "paths": paths({"security": []})}).security == ()


@pytest.mark.parametrize("root", [[], {}, {"openapi": "2.0"}, {"swagger": "2.0"}, "x", None])
def test_only_openapi_3_is_read(root: Any) -> None:
    with pytest.raises(DescriptionRefused):
        describe("api", "", root)


def test_two_operations_of_one_id_are_both_kept() -> None:
    found = description({"paths": paths({}) | {"/y": {"get": {"operationId": "op"}}}})
    assert [entry.path for entry in found.entries["op"]] == ["/x", "/y"]


@pytest.mark.parametrize(
    "root",
    [
        {"paths": None}, {"paths": {"/x": None}}, {"paths": {"/x": {"get": 5}}},
        {"paths": {"/x": {"get": {"operationId": 5}}}},
        {"paths": paths({"parameters": "x", "requestBody": [], "servers": {}, "security": 5})},
    ],
)  # fmt: skip
def test_a_malformed_description_makes_nothing_raise(root: dict[str, Any]) -> None:
    found = description(root)
    for name in found.operation_ids:
        operation(found, found.entries[name][0])

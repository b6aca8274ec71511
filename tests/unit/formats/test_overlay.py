"""OpenAPI Overlay 1.0: what an action does to a document, and where complaints then stand."""

from __future__ import annotations

from orchestrator.formats.diagnostics import render
from orchestrator.formats.tree import find
from tests.unit.formats.loading import arazzo
from tests.unit.formats.overlaying import (
    HEAD,
    complaints,
    loaded,
    overlaid,
    overlay,
    refused,
    result,
)

PETS = """\
openapi: 3.1.0
info: {title: API with a paged collection, version: 1.0.0}
paths:
  /items:
    get:
      x-paged: true
      parameters:
        - {name: filter, in: query, schema: {type: string}}
        - {name: sort, in: query}
  /some-items:
    delete: {responses: {"204": {}}}
    get: {description: some}
"""


def test_objects_are_merged_into_objects_as_deep_as_they_go() -> None:
    """A structured overlay has the shape of what it changes, and keeps all that it leaves out."""
    found = result(
        PETS,
        """
  - target: $
    update:
      info: {x-overlay-applied: structured}
      paths:
        /items: {get: {summary: All items, x-rate-limit: 100}}
        /some-items: {get: {description: Some of them}}
      tags: [items]
""",
    )
    assert found["info"] == {
        "title": "API with a paged collection",
        "version": "1.0.0",
        "x-overlay-applied": "structured",
    }
    assert list(found["paths"]["/items"]["get"]) == [
        "x-paged", "parameters", "summary", "x-rate-limit",
    ]  # fmt: skip
    assert found["paths"]["/some-items"] == {
        "delete": {"responses": {"204": {}}},
        "get": {"description": "Some of them"},
    }
    assert found["tags"] == ["items"]


def test_every_selected_object_is_updated() -> None:
    found = result(PETS, "  - {target: '$.paths[*].get', update: {x-safe: true}}")
    assert [path["get"]["x-safe"] for path in found["paths"].values()] == [True, True]


def test_an_entry_is_appended_to_a_selected_list() -> None:
    action = "  - {target: '$.paths[*].get.parameters', update: {name: newParam, in: query}}"
    parameters = result(PETS, action)["paths"]["/items"]["get"]["parameters"]
    assert [p["name"] for p in parameters] == ["filter", "sort", "newParam"]


def test_a_list_appended_to_a_list_is_one_entry_of_it() -> None:
    assert result("a: [[1]]", "  - {target: $.a, update: [2, 3]}") == {"a": [[1], [2, 3]]}


def test_a_list_in_an_update_replaces_the_list_of_its_name() -> None:
    """As does everything that is not an object on both sides."""
    document = "a: {list: [1, 2], object: {x: 1}, text: t, gone: {y: 2}}"
    action = "  - {target: $.a, update: {list: [3], object: [4], text: {z: 5}, gone: null}}"
    assert result(document, action) == {
        "a": {"list": [3], "object": [4], "text": {"z": 5}, "gone": None}
    }


def test_an_item_of_a_list_is_updated_where_it_is() -> None:
    action = """
  - target: $.paths['/items'].get.parameters[?@.name == 'filter' && @.in == 'query']
    update: {schema: {maxLength: 9}}
"""
    parameters = result(PETS, action)["paths"]["/items"]["get"]["parameters"]
    assert parameters[0]["schema"] == {"type": "string", "maxLength": 9}
    assert parameters[1] == {"name": "sort", "in": "query"}


def test_what_is_selected_is_removed_from_an_object_or_a_list() -> None:
    found = result(
        PETS,
        """
  - {target: "$.paths[*].delete", remove: false, update: {}}
  - {target: "$.paths['/some-items'].delete", remove: true}
  - {target: "$.paths['/items'].get.parameters[?@.name == 'filter']", remove: true}
""",
    )
    assert found["paths"]["/some-items"] == {"get": {"description": "some"}}
    assert found["paths"]["/items"]["get"]["parameters"] == [{"name": "sort", "in": "query"}]


def test_items_of_a_list_are_removed_together() -> None:
    """An index is of the list as it was, not as removing the one before left it."""
    assert result(
        "a: [{n: 0}, {n: 1}, {n: 2}, {n: 3}]", "  - {target: '$.a[0,1,3]', remove: true}"
    )["a"] == [{"n": 2}]


def test_a_node_is_removed_with_all_selected_in_it() -> None:
    document = "a: {x: {x: {y: {}}}, b: {x: {}, z: {}}}"
    assert result(document, "  - {target: $..x, remove: true}") == {"a": {"b": {"z": {}}}}


def test_nested_nodes_are_updated_from_the_outside_in() -> None:
    found = result("a: {b: {}}", "  - {target: '$..*', update: {b: {n: 1}}}")
    assert found == {"a": {"b": {"n": 1, "b": {"n": 1}}}}


def test_a_node_that_the_update_above_it_replaced_is_left_as_the_update_has_it() -> None:
    assert result("a: {b: {}}", "  - {target: '$..*', update: {b: 1}}") == {"a": {"b": 1}}


def test_a_node_selected_twice_is_changed_once() -> None:
    assert result("a: []", "  - {target: \"$['a','a']\", update: {}}") == {"a": [{}]}


def test_actions_are_done_in_order_each_on_what_those_before_it_left() -> None:
    found = result(
        "a: {}",
        """
  - {target: $.a, update: {b: {n: 1}}}
  - {target: $.a.b, update: {n: 2, m: [{}]}}
  - {target: "$.a.b.m[0]", update: {o: 3}}
  - {target: $.a.b, update: {n: 4}}
""",
    )
    assert found == {"a": {"b": {"n": 4, "m": [{"o": 3}]}}}


def test_several_overlays_are_applied_in_order() -> None:
    first = overlay("  - {target: $, update: {a: {n: 1}}}", file="first.yaml")
    second = overlay("  - {target: $.a, update: {n: 2}}", file="second.yaml")
    assert result("x: 1", first, second) == {"x": 1, "a": {"n": 2}}
    assert complaints("x: 1", second, first) == ["second.yaml:4:14 warning overlay-no-match"]


def test_removing_goes_before_updating() -> None:
    """Of one action with both, the update has no effect, and is pointed at."""
    tree, found = overlaid("a: {b: {}}", "  - {target: $.a.b, remove: true, update: {n: 1}}")
    assert find(tree, "/a/b") is None
    assert [(d.code, d.line, d.column) for d in found] == [("overlay-update-ignored", 4, 43)]


def test_a_target_that_selects_nothing_is_a_warning_and_refused_by_a_strict_reader() -> None:
    action = "  - {target: $.nowhere, update: {}}"
    assert complaints("a: 1", action) == ["over.yaml:4:14 warning overlay-no-match"]
    assert complaints("a: 1", action, strict=True) == ["over.yaml:4:14 error overlay-no-match"]


def test_a_target_is_an_object_or_a_list() -> None:
    found = complaints(
        "a: {text: t, list: [1], nothing: null}",
        """\
  - {target: $.a.text, update: {}}
  - {target: '$.a.list[0]', update: {}}
  - {target: $.a.nothing, update: {}}
  - {target: $.a, update: t}
  - {target: $, remove: true}
""",
    )
    assert found == [
        "over.yaml:4:14 error overlay-target-scalar",
        "over.yaml:5:14 error overlay-target-scalar",
        "over.yaml:6:14 error overlay-target-scalar",
        "over.yaml:7:27 error overlay-update",
        "over.yaml:8:14 error overlay-remove-root",
    ]


def test_removing_a_text_is_a_leniency() -> None:
    """Overlay 1.0 lets only objects and lists be removed; in the wild it is done all the time."""
    tree, found = overlaid(
        "a: {x-internal: true, b: 1}", "  - {target: \"$..['x-internal']\", remove: true}"
    )
    assert find(tree, "/a/x-internal") is None
    assert [(d.code, d.severity) for d in found] == [("overlay-remove-scalar", "warning")]


def test_an_overlay_of_another_document_says_so() -> None:
    head = HEAD + "extends: "
    action = "  - {target: $, update: {}}"
    for same in ("./specs/doc.yaml", "https://example.com/v1/doc.yaml?raw=1#x", "doc.yaml"):
        assert complaints("a: 1", overlay(action, head=f"{head}{same}\n")) == []
    assert complaints("a: 1", overlay(action, head=f"{head}../other.yaml\n")) == [
        "over.yaml:3:10 warning overlay-extends"
    ]


STEPS = """\
      - {stepId: buy, operationId: createOrder}
      - {stepId: look, operationId: getOrder,
         parameters: [{name: id, in: path, value: $inputs.order}]}
"""
DOCUMENT = arazzo(STEPS, inputs="{type: object, properties: {order: {type: string}}}")


def test_a_problem_is_shown_in_the_file_that_its_text_stands_in() -> None:
    """What the overlay wrote at the overlay's line, what the document wrote at the document's."""
    actions = """\
  - target: $.workflows[0].steps[?@.stepId == 'look'].parameters[0]
    update:
      value: $inputs.ordr
  - target: $.workflows[0].steps[?@.stepId == 'buy']
    update: {onFailure: [{name: again, type: goto, stepId: lok}]}
"""
    broken = DOCUMENT.replace("operationId: createOrder", "operationId: createOder")
    found = refused(broken, overlays=[overlay(actions)])
    assert (
        "\n".join(render(d) for d in found)
        == """\
flow.yaml:9:36: error arazzo-unknown-operation: there is no operation 'createOder' in shop; \
did you mean 'createOrder'?
        - {stepId: buy, operationId: createOder}
                                     ^
over.yaml:6:14: error arazzo-undefined-input: the workflow has no input 'ordr'; \
did you mean 'order'?
        value: $inputs.ordr
               ^
over.yaml:8:60: error arazzo-undefined-step: there is no step 'lok' to go to; \
did you mean 'look'?
      update: {onFailure: [{name: again, type: goto, stepId: lok}]}
                                                             ^"""
    )
    assert found[1].as_json() == {
        "code": "arazzo-undefined-input",
        "severity": "error",
        "file": "over.yaml",
        "line": 6,
        "column": 14,
        "pointer": "/actions/0/update/value",
        "message": "the workflow has no input 'ordr'; did you mean 'order'?",
    }


def test_a_place_inside_of_an_overlays_text_is_found() -> None:
    action = """\
  - target: $.workflows[0].steps[0]
    update: {successCriteria: [{condition: $statusCode == "200"}]}
"""
    [warning] = loaded(DOCUMENT, overlays=[overlay(action)]).diagnostics
    assert (warning.code, warning.file, warning.line) == (
        "arazzo-double-quoted-string", "over.yaml", 5,
    )  # fmt: skip
    assert warning.excerpt[warning.column - 1 :].startswith('"200"')


def test_a_key_that_does_not_exist_is_shown_where_it_was_written() -> None:
    action = "  - {target: '$.workflows[0].steps[0]', update: {successCriterion: []}}"
    [problem] = refused(DOCUMENT, overlays=[overlay(action)])
    assert (problem.code, problem.file, problem.column) == ("arazzo-misspelt-key", "over.yaml", 50)


def test_without_an_overlay_nothing_is_changed() -> None:
    nothing = overlay("  - {target: $, update: {}}", head=HEAD)
    assert loaded(DOCUMENT).plan == loaded(DOCUMENT, overlays=[nothing]).plan
    assert loaded(DOCUMENT).diagnostics == ()

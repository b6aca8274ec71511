"""``when`` in OSOP: CEL, in which the document's names mean what they mean elsewhere."""

from __future__ import annotations

import pytest

from orchestrator.errors import Diagnostic
from orchestrator.expressions.nodes import Cel, Input, Node, Output
from tests.unit.formats.loading import codes, loaded, refused

DOCUMENT = """osop_version: "1.0"
id: flow
name: Flow
inputs: {{limit: {{type: integer}}, dry-run: {{type: boolean}}}}
nodes:
- id: run-tests
  type: api
  runtime: {{method: GET, url: "https://ci.example", endpoint: /runs}}
  outputs: [{{passed: data.passed}}, {{for: data.for}}, {{jobs: data.jobs}}]
- id: pay
  type: api
  runtime: {{method: POST, url: "https://shop.example", endpoint: /orders}}
edges:
- from: run-tests
  to: pay
  mode: conditional
  when: {condition}
"""


def condition(text: str) -> Node:
    plan = loaded(DOCUMENT.format(condition=text)).plan
    [when] = plan.steps[0].success[0].routes[0].when
    return when


def problem(text: str) -> Diagnostic:
    [found] = refused(DOCUMENT.format(condition=text))
    return found


PASSED = Output("run-tests", "passed")


@pytest.mark.parametrize(
    "written",
    [
        "outputs.run-tests.passed == 1",
        "outputs.run_tests.passed == 1",
        "run-tests.passed == 1",
        "run_tests.passed == 1",
        "passed == 1",
        '"${run-tests.passed} == 1"',
        '"${ outputs.run_tests.passed } == 1"',
    ],
)
def test_a_value_has_one_name_however_it_was_written(written: str) -> None:
    assert condition(written) == Cel("outputs.run_tests.passed == 1", (PASSED,))


def test_an_input_is_named_by_its_root_or_alone() -> None:
    both = condition("inputs.limit > 3 && limit < 9")
    assert both == Cel("inputs.limit > 3 && inputs.limit < 9", (Input("limit"),))


def test_a_hyphen_belongs_to_a_known_name_and_subtracts_otherwise() -> None:
    assert condition("dry-run") == Cel("inputs.dry_run", (Input("dry-run"),))
    assert condition("passed-limit > 0") == Cel(
        "outputs.run_tests.passed-inputs.limit > 0", (PASSED, Input("limit"))
    )


def test_what_cel_reserves_gets_another_name() -> None:
    assert condition("run-tests.for == 1") == Cel(
        "outputs.run_tests._for == 1", (Output("run-tests", "for"),)
    )


def test_what_a_macro_binds_is_no_name_of_the_document() -> None:
    node = condition("jobs.exists(job, job.state == 'done') && jobs.all(limit, limit.n < 3)")
    assert node == Cel(
        "outputs.run_tests.jobs.exists(job, job.state == 'done') && "
        "outputs.run_tests.jobs.all(limit, limit.n < 3)",
        (Output("run-tests", "jobs"),),
    )


def test_what_stands_in_a_text_is_text() -> None:
    node = condition('"passed == \'passed\' || passed == \\"limit\\""')
    assert isinstance(node, Cel)
    assert node.text.endswith("== 'passed' || outputs.run_tests.passed == \"limit\"")
    assert node.names == (PASSED,)


def test_members_and_functions_are_cels() -> None:
    node = condition("has(run-tests.passed) && size(jobs) > 2 && jobs[0].id.startsWith('a')")
    assert isinstance(node, Cel)
    assert node.text == (
        "has(outputs.run_tests.passed) && size(outputs.run_tests.jobs) > 2"
        " && outputs.run_tests.jobs[0].id.startsWith('a')"
    )


@pytest.mark.parametrize(
    ("written", "code", "column", "said"),
    [
        ("pased == 1", "osop-expression", 9, "did you mean 'passed'"),
        ("run-tests.pased == 1", "osop-undefined-output", 9, "did you mean 'passed'"),
        ("passed = 1", "osop-expression", 16, "write =="),
        ("passed == 1 AND limit > 1", "osop-expression", 21, "CEL writes && for AND"),
        ("passed ==", "osop-expression", 18, "the end"),
        (
            "passed == 1 && sizee(jobs) > 1",
            "osop-expression",
            29,
            "undeclared reference to 'sizee'",
        ),
        ("passed == 'x", "osop-expression", 19, "never closed"),
        ("size(jobs)", "osop-expression", 9, "true or false"),
        ("1 == 'a'", "osop-expression", 11, "no matching overload"),
        ("status('pay') == 1", "osop-unsupported-expression", 9, "status()"),
        ("env.HOME == 'x'", "osop-unsupported-expression", 9, "'env'"),
        ("secrets.KEY == 'x'", "osop-expression", 9, "only stand in a header"),
        ("outputs == 1", "osop-expression", 9, "outputs.NAME"),
        ("(" * 500, "osop-expression", 9, ""),
        ("passed == 1 || " * 400 + "limit > 1", "osop-expression", 9, "at most 4096"),
    ],
)
def test_a_condition_that_cannot_be_read_is_shown_where_it_goes_wrong(
    written: str, code: str, column: int, said: str
) -> None:
    found = problem(written)
    assert (found.code, found.line) == (code, 17)
    assert said in found.message
    if said:
        assert found.column == column


def test_two_names_that_cel_cannot_tell_apart_are_refused() -> None:
    text = DOCUMENT.format(condition="inputs.dry-run && inputs.dry_run")
    found = refused(text.replace("dry-run: {type", "dry_run: {type: boolean}, dry-run: {type"))
    assert codes(found) == ["osop-expression"]
    assert "differ in letters" in found[0].message

from __future__ import annotations

import pytest

from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats.diagnostics import MAX_SHOWN, Place, Report, did_you_mean, render


def test_findings_come_in_document_order_whatever_order_they_were_made_in() -> None:
    report = Report(file="f", text="a\nb\nc\n")
    report.error("third", "", Place(line=3, column=1))
    report.warning("first", "", Place(line=1, column=1))
    report.error("second", "", Place(line=1, column=2))
    assert [d.code for d in report.diagnostics] == ["first", "second", "third"]


def test_strict_makes_errors_of_warnings() -> None:
    report = Report(file="f", text="a", strict=True)
    report.warning("w", "")
    with pytest.raises(DocumentRefused):
        report.raise_if_refused()


def test_a_warning_alone_refuses_nothing() -> None:
    report = Report(file="f", text="a")
    report.warning("w", "")
    report.raise_if_refused()


def test_a_finding_is_shown_with_its_line_and_a_caret() -> None:
    report = Report(file="flow.yaml", text="a: 1\n\tb: 2\n")
    report.error("bad", "no good", Place(line=2, column=5))
    [finding] = report.diagnostics
    assert render(finding) == "flow.yaml:2:5: error bad: no good\n  \tb: 2\n  \t   ^"


def test_findings_in_another_file_come_after_the_documents_with_that_files_lines() -> None:
    report = Report(file="flow.yaml", text="a: 1\n")
    report.add_file("second.yaml", "b: 2\n")
    report.add_file("first.yaml", "\nc: 3\n")
    report.error("c", "", Place(line=2, column=1, file="first.yaml"))
    report.error("b2", "", Place(line=1, column=4, file="second.yaml"))
    report.error("b1", "", Place(line=1, column=1, file="second.yaml"))
    report.warning("a", "", Place(line=1, column=1))
    found = [(d.code, d.file, d.excerpt) for d in report.diagnostics]
    assert found == [
        ("a", "flow.yaml", "a: 1"),
        ("b1", "second.yaml", "b: 2"),
        ("b2", "second.yaml", "b: 2"),
        ("c", "first.yaml", "c: 3"),
    ]


def test_what_was_found_in_a_file_of_its_own_comes_last() -> None:
    report = Report(file="flow.yaml", text="a: 1\n")
    report.include([Diagnostic(code="theirs", severity="warning", message="", file="api.yaml")])
    report.add_file("over.yaml", "b: 2\n")
    report.warning("overs", "", Place(line=1, column=1, file="over.yaml"))
    report.warning("own", "")
    assert [d.code for d in report.diagnostics] == ["own", "overs", "theirs"]


def test_a_note_is_refused_by_nobody_and_shown_without_a_line() -> None:
    report = Report(file="flow.yaml", text="a: 1\n", strict=True)
    report.note("by-the-way", "there is more")
    report.raise_if_refused()
    [note] = report.diagnostics
    assert render(note) == "flow.yaml:1:1: note by-the-way: there is more"


def test_a_documents_control_characters_do_not_reach_the_terminal() -> None:
    finding = Diagnostic(
        code="c", severity="error", message="\x1b[2J", excerpt="a\x1b]0;x\x07", line=1, column=1
    )
    assert "\x1b" not in render(finding)
    assert "\x07" not in render(finding)


def test_a_minified_document_is_not_printed_whole() -> None:
    report = Report(file="f", text="x" * 100_000)
    report.error("c", "")
    assert render(report.diagnostics[0]).count("\n") == 0


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("createOder", ["createOrder", "getOrder"], "; did you mean 'createOrder'?"),
        ("zzz", ["a", "b"], "; there is a, b"),
        ("zzz", [], ""),
    ],
)
def test_a_wrong_name_gets_the_nearest_one(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_of_many_findings_the_first_are_shown_errors_before_warnings() -> None:
    report = Report(file="f", text="")
    for line in range(1, 301):
        report.warning("w", "", Place(line=line, column=1))
    report.error("e", "", Place(line=299, column=2))
    *shown, last = report.diagnostics
    assert len(shown) == MAX_SHOWN
    assert [d.code for d in shown].count("e") == 1
    assert (shown[-1].code, shown[-2].line) == ("e", MAX_SHOWN - 1)
    assert (last.code, last.severity) == ("more-findings", "note")
    assert last.message.startswith("and 101 more")


def test_as_many_findings_as_are_shown_need_no_more() -> None:
    report = Report(file="f", text="")
    for line in range(1, MAX_SHOWN + 1):
        report.error("e", "", Place(line=line, column=1))
    assert {d.code for d in report.diagnostics} == {"e"}

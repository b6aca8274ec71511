"""Rows of JSON Lines files."""

from __future__ import annotations

import pytest

from orchestrator.batch import format_of
from orchestrator.errors import RowsRefused
from tests.unit.batch.files import lines, plan, refused, screened

GOOD = '{"amount": 100, "toPhone": "+1555"}'


def test_values_keep_their_types_and_blank_lines_are_no_rows() -> None:
    of = plan({"a": {}, "b": {}, "c": {}}, referenced=())
    found = screened('\n{"a": 1.5, "b": [true, null], "c": "1"}\r\n\n', of, kind="jsonl")
    assert found.inputs == [{"a": 1.5, "b": [True, None], "c": "1"}]
    assert (found.rows[0].number, found.summary.bad) == (1, 0)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("[1]", 1, "not a JSON object"),
        ("7", 1, "not a JSON object"),
        ('{"amount": }', 12, "Expecting value"),
        ('{"amount": 1} {"amount": 2}', 15, "Extra data"),
        ('{"amount": 1, "amount": 2}', 1, "a name stands there twice"),
        ('{"note": {"CANARY": 1, "CANARY": 2}}', 1, "a name stands there twice"),
        ('{"amount": NaN}', 1, "NaN is no JSON number"),
        ('{"amount": -Infinity}', 1, "-Infinity is no JSON number"),
        ('{"amount": 1e400}', 1, "more digits than a number can keep"),
        ('{"amount": 1e-99999999999999999999}', 1, "more digits than a number can keep"),
        ('{"amount": 0.12345678901234567891}', 1, "more digits than a number can keep"),
        ('{"amount": ' + "9" * 5000 + "}", 1, "too large"),
        ('{"note": "\\ud83d"}', 1, "half a surrogate pair"),
        ('{"note": ' + "[" * 64 + "]" * 64 + "}", 1, "nested deeper than 64"),
        ('{"note": ' + "[" * 100_000 + "}", 1, "too large"),
        ('{"' + "n" * 257 + '": 1}', 1, "more than 256 characters"),
        ("{" + ",".join(f'"c{n}":1' for n in range(1001)) + "}", 1, "more than 1000 members"),
    ],
)
def test_a_line_that_is_no_plain_object_is_a_fault_of_its_own(
    text: str, column: int, reason: str
) -> None:
    found = screened(f"{GOOD}\n{text}\n{GOOD}\n", kind="jsonl")
    assert found.faults == [("row-json", 2, column)]
    assert reason in found.summary.faults[0].message
    assert "CANARY" not in found.summary.faults[0].message
    assert [row.number for row in found.rows] == [1, 3]


def test_a_bom_is_taken_off() -> None:
    assert screened("\ufeff" + GOOD, kind="jsonl").summary.good == 1


def test_members_that_no_input_takes_are_told_once() -> None:
    of = plan()
    text = lines({"amount": 100, "toPhone": "+1", "to_phone": 1}, {"zip": 1})
    found = screened(text, of, kind="jsonl")
    assert found.summary.unused == ("to_phone", "zip")
    assert found.summary.alike == {"to_phone": "toPhone"}


def test_names_without_end_are_not_all_kept() -> None:
    rows = [{"amount": 100, f"n{n}": 1} for n in range(1500)] + [{"toPhone": "+1555"}]
    found = screened(lines(*rows), plan(referenced=()), kind="jsonl")
    assert len(found.summary.unused) <= 1000
    assert found.summary.good == 1501


def test_a_mapped_member_that_no_row_has_is_a_fault() -> None:
    text, mapping = lines({"amount": 100, "toPhone": "+1"}), {"note": "memo", "amount": "amount"}
    (fault,) = refused(text, kind="jsonl", mapping=mapping)
    assert fault.code == "rows-columns"
    assert "no row has 'memo'" in fault.message


def test_a_file_without_rows_is_refused() -> None:
    assert [fault.code for fault in refused("\n \n", kind="jsonl")] == ["rows-empty"]


@pytest.mark.parametrize(
    ("file", "head", "wanted"),
    [
        ("rows.csv", b"{", "csv"),
        ("ROWS.CSV", b"", "csv"),
        ("rows.v2.jsonl", b"a,b", "jsonl"),
        ("rows.ndjson", b"", "jsonl"),
        ("-", b'\xef\xbb\xbf \r\n{"a":1}', "jsonl"),
        ("-", b"a,b\n", "csv"),
        ("-", b"", "csv"),
    ],
)
def test_the_format_goes_by_the_name_and_of_a_pipe_by_its_beginning(
    file: str, head: bytes, wanted: str
) -> None:
    assert format_of(file, head) == wanted


@pytest.mark.parametrize("file", ["rows.xlsx", "rows", "csv"])
def test_a_name_that_says_no_format_is_refused(file: str) -> None:
    with pytest.raises(RowsRefused, match="--format") as refusal:
        format_of(file, b"{")
    assert refusal.value.faults[0].code == "rows-format"

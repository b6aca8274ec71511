"""Rows of CSV files as they are found in the wild."""

from __future__ import annotations

import csv
from io import BytesIO
from typing import get_args

import pytest

from orchestrator.batch import Faults, read
from orchestrator.batch.lines import MAX_ROW
from orchestrator.batch.rows import Format
from orchestrator.errors import RowsRefused
from tests.unit.batch.files import plan, refused, screened

HEAD = "amount,toPhone,note\n"
PLAIN = HEAD + "100,+1555,a\n200,+1556,b\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip("\n").encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        b"\n\r\n" + PLAIN.replace("200", "\n200").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        b'"amount","toPhone","note"\n"100","+1555","a"\n"200","+1556","b"\n',
    ],
    ids=["crlf", "cr", "no-last-end", "bom", "blank-lines", "semicolons", "tabs", "quotes"],
)
def test_a_row_is_the_same_row_however_the_file_writes_it(data: bytes) -> None:
    found, wanted = screened(data), screened(PLAIN)
    assert [row.inputs for row in found.rows] == [row.inputs for row in wanted.rows]
    assert found.summary.digest == wanted.summary.digest
    assert found.summary.good == 2


def test_the_delimiter_is_told() -> None:
    marks = [screened(PLAIN.replace(",", mark)).summary.delimiter for mark in ",;\t"]
    assert marks == [",", ";", "\t"]


def test_a_delimiter_within_a_quoted_name_is_none() -> None:
    head = 'amount;toPhone;"note, if any"\n'
    assert screened(head + "100;+1555;x\n").summary.delimiter == ";"


def test_a_quoted_cell_holds_quotes_delimiters_and_line_ends() -> None:
    found = screened(HEAD + '100,+1555,"a ""b"", c\nd"\n')
    assert found.inputs[0]["note"] == 'a "b", c\nd'


def test_a_file_converted_to_other_line_ends_has_the_same_rows_also_within_quotes() -> None:
    text = HEAD + '100,+1555,"two\nlines"\n'
    assert (
        screened(text.replace("\n", "\r\n")).summary.digest
        == screened(text.replace("\n", "\r")).summary.digest
        == screened(text).summary.digest
    )


def test_a_fault_is_on_the_line_where_its_row_begins() -> None:
    text = HEAD + '100,+1555,"two\nlines"\n1,+1556,"two\nmore"\n\n300,1557,c\n'
    assert screened(text).faults == [("row-input", 4, 1), ("row-input", 7, 2)]


def test_names_and_texts_are_any_unicode() -> None:
    of = plan({"größe": {"type": "integer"}, "名前": {"type": "string"}}, referenced=("größe",))
    found = screened("größe,名前\n3,Ζωή 🐎\n", of)
    assert found.inputs == [{"größe": 3, "名前": "Ζωή 🐎"}]


def test_what_is_not_utf_8_is_refused_with_byte_line_and_character() -> None:
    data = HEAD.encode() + "100,+1555,a\n200,+1556,Zoë Café\n".encode("cp1252")
    (fault,) = refused(data)
    assert (fault.code, fault.line, fault.column) == ("rows-encoding", 3, 13)
    assert f"byte {data.index(0xEB)} of the file" in fault.message


def test_the_byte_is_counted_across_a_bom_and_many_chunks() -> None:
    data = b"\xef\xbb\xbf" + HEAD.encode() + b"100,+1555,abc\n" * 20_000 + b"100,+1555,\xff\n"
    (fault,) = refused(data)
    assert fault.line == 20_002
    assert f"byte {data.index(0xFF)} of" in fault.message


def test_utf_16_and_nul_bytes_are_no_text() -> None:
    assert "UTF-16" in refused(PLAIN.encode("utf-16"))[0].message
    (fault,) = refused(HEAD + "100,+15\x0055,a\n")
    assert (fault.code, fault.line, fault.column) == ("rows-encoding", 2, 8)


@pytest.mark.parametrize(
    ("row", "column"), [("100,+1555", 3), ("100,+1555,a,b", 4), ("100", 2)]
)  # fmt: skip
def test_a_row_with_more_or_fewer_cells_than_the_header_is_a_fault(row: str, column: int) -> None:
    found = screened(f"{HEAD}{row}\n200,+1556,b\n")
    assert found.faults == [("row-cells", 2, column)]
    assert [row.number for row in found.rows] == [2]
    assert (found.summary.good, found.summary.bad) == (1, 1)


@pytest.mark.parametrize(
    ("row", "line"), [('100,+1555,"a\n200,+1556,b\n', 3), ('100,+1555,"a" b\n', 3)]
)
def test_a_broken_quote_ends_the_reading(row: str, line: int) -> None:
    (fault,) = refused(HEAD + "300,+1,\n" + row)
    assert (fault.code, fault.line) == ("rows-quote", line)


def test_a_quote_that_is_never_closed_does_not_fill_the_memory() -> None:
    (fault,) = refused(HEAD + '100,+1555,"a\n' + "200,+1556,b\n" * 40_000)
    assert (fault.code, fault.line) == ("rows-too-large", 2)


class Endless(BytesIO):
    given = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 < size <= MAX_ROW
        self.given += size
        return b"x" * size


@pytest.mark.parametrize("kind", get_args(Format))
def test_a_line_without_end_does_not_fill_the_memory(kind: Format) -> None:
    endless = Endless()
    with pytest.raises(RowsRefused) as refusal:
        next(iter(read(endless, format=kind, faults=Faults("rows"))))
    (fault,) = refusal.value.faults
    assert (fault.code, fault.line) == ("rows-too-large", 1)
    assert endless.given < 2 * MAX_ROW


def test_a_cell_has_a_limit() -> None:
    (fault,) = refused(HEAD + "100,+1555," + "x" * (csv.field_size_limit() + 1) + "\n")
    assert (fault.code, fault.line) == ("rows-too-large", 2)


def test_a_header_is_refused_with_all_that_is_wrong_and_without_its_names() -> None:
    faults = refused("amount,,Jane,Jane," + "n" * 257 + "\n")
    assert [(fault.code, fault.column) for fault in faults] == [
        ("rows-header", 2), ("rows-header", 4), ("rows-header", 5),
    ]  # fmt: skip
    assert "columns 3 and 4 have the same name" in faults[1].message
    assert not any("Jane" in fault.message for fault in faults)
    (fault,) = refused(",".join(f"c{n}" for n in range(1001)) + "\n")
    assert (fault.code, fault.column) == ("rows-header", 1001)


@pytest.mark.parametrize("text", ["", "\n\n", HEAD, HEAD + "\n\n", "\ufeff"])
def test_a_file_without_rows_is_refused(text: str) -> None:
    assert [fault.code for fault in refused(text)] == ["rows-empty"]


def test_a_batch_has_no_more_rows_than_it_may() -> None:
    text = HEAD + "100,+1555,\n" * 3
    assert screened(text, max_rows=3).summary.good == 3
    (fault,) = refused(text + "100,+1555,\n", max_rows=3)
    assert (fault.code, fault.line) == ("rows-too-large", 5)

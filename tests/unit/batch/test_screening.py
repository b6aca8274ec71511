"""All rows are judged, in one pass, before one is accepted."""

from __future__ import annotations

import re
import tracemalloc
from io import BytesIO
from typing import Any, get_args

import pytest

from ops.cli.explain import pages
from orchestrator.batch import Amounts, Code, Screening, batch_id
from orchestrator.batch.seen import SeenKeys
from orchestrator.errors import RowsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import Plan
from orchestrator.service import check_inputs
from tests.unit.batch.files import lines, plan, refused, screened

HEAD = "order,amount,toPhone\n"


def test_three_bad_rows_of_a_thousand_are_told_by_line_column_and_input() -> None:
    rows = [f"o{n},{100 + n},+1555\n" for n in range(1000)]
    rows[4] = "o4,12,+1555\n"
    rows[500] = "o500,a lot,+1555\n"
    rows[999] = "o999,100,5550001\n"
    found = screened(HEAD + "".join(rows), key="order")
    assert found.faults == [("row-input", 6, 2), ("row-type", 502, 2), ("row-input", 1001, 3)]
    assert [fault.message for fault in found.summary.faults] == [
        "input 'amount': the value is less than the minimum of 50",
        "column 'amount': not of type integer (digits only)",
        "input 'toPhone': the value does not match \"^\\+\"",
    ]
    assert (found.summary.good, found.summary.bad, found.summary.found) == (997, 3, 3)
    assert [row.number for row in found.rows][3:6] == [4, 6, 7]


def test_all_that_is_wrong_with_a_row_is_told() -> None:
    found = screened("cents,toPhone\n1x,5\n", mapping={"amount": "cents"})
    assert found.faults == [("row-type", 2, 1), ("row-input", 2, 2)]
    found = screened("cents,toPhone\n1,+5\n", mapping={"amount": "cents"})
    assert found.summary.faults[0].message.startswith("column 'cents': input 'amount': ")


def test_a_row_that_lacks_what_a_request_needs_is_a_fault() -> None:
    found = screened(lines({"amount": 100}, {"toPhone": "+1"}), kind="jsonl")
    assert [fault.message for fault in found.summary.faults] == [
        "input 'toPhone' is missing: a request or a criterion needs it",
        "input 'amount' is missing: a request or a criterion needs it",
    ]


def test_the_first_twenty_faults_are_kept_and_all_are_counted() -> None:
    found = screened(HEAD + "o,x,+1\n" * 50)
    assert (len(found.summary.faults), found.summary.found, found.summary.bad) == (20, 50, 50)
    assert found.summary.faults[19].line == 21


def test_why_the_reading_ended_is_among_the_faults_that_are_shown() -> None:
    with pytest.raises(RowsRefused) as refusal:
        screened(HEAD + "o,x,+1\n" * 50 + 'o,"1,+1\n')
    assert refusal.value.found == 51
    assert len(refusal.value.faults) == 20
    assert refusal.value.faults[-1].code == "rows-quote"


def test_what_is_taken_is_what_a_single_run_would_be_taken_with() -> None:
    (row,) = screened(HEAD + "o1,100,+1555\n", key="order").rows
    assert (row.number, row.key) == (1, "o1")
    assert row.inputs == check_inputs(plan(), {"amount": 100, "toPhone": "+1555"})


def test_a_row_has_no_more_inputs_than_a_run_may() -> None:
    # Escaped, as a run's inputs are measured, each takes six characters.
    at_most, over = (
        lines({"amount": 100, "toPhone": "+1", "note": "é" * size}).replace("\\u00e9", "é")
        for size in (40_000, 45_000)
    )
    assert screened(at_most, kind="jsonl").summary.good == 1
    assert screened(over, kind="jsonl").faults == [("row-input", 1, 1)]


# Keys.


def test_a_key_that_stands_twice_is_told_with_both_lines() -> None:
    text = HEAD + "o1,100,+1\no2,100,+1\n\no1,100,+2\no1,100,+3\n"
    found = screened(text, key="order")
    assert found.faults == [("row-key-twice", 5, 1), ("row-key-twice", 6, 1)]
    assert "line 2 has the same run key" in found.summary.faults[0].message
    assert [row.key for row in found.rows] == ["o1", "o2"]


def test_a_key_of_a_bad_row_is_not_free_for_another() -> None:
    found = screened(HEAD + "o1,x,+1\no1,100,+2\n", key="order")
    assert [code for code, _, _ in found.faults] == ["row-type", "row-key-twice"]


@pytest.mark.parametrize("key", ["", "  ", "k" * 257])
def test_every_row_has_a_key_if_any_has(key: str) -> None:
    assert screened(HEAD + f"{key},100,+1\n", key="order").faults == [("row-key", 2, 1)]


@pytest.mark.parametrize("key", [None, 1.5, True, ["a"], ""])
def test_a_key_of_json_lines_is_a_text_or_an_integer(key: Json) -> None:
    row = {"order": key, "amount": 100, "toPhone": "+1"}
    assert screened(lines(row), kind="jsonl", key="order").faults == [("row-key", 1, 1)]


def test_an_integer_is_the_same_key_as_its_digits() -> None:
    rows = [{"order": key, "amount": 100, "toPhone": "+1"} for key in (7, "7")]
    found = screened(lines(*rows), kind="jsonl", key="order")
    assert found.faults == [("row-key-twice", 2, 1)]
    assert found.rows[0].key == "7"


def test_keys_are_told_apart_by_the_hundred_thousand() -> None:
    seen = SeenKeys(b"salt")
    assert [n for n in range(100_000) if seen.first(f"k{n}", n + 1)] == []
    assert [seen.first(f"k{n}", 0) for n in (0, 777, 99_999)] == [1, 778, 100_000]


def test_the_table_of_keys_holds_none_of_them() -> None:
    seen = SeenKeys(b"salt")
    seen.first("+15551234567", 1)
    kept = repr([getattr(seen, name) for name in vars(seen)])
    assert "5551234567" not in kept
    assert hash("+15551234567") not in seen._hashes


def peak(rows: int) -> int:
    """Of one pass, without the file itself. Bytes."""
    data = BytesIO((HEAD + "o,100,+1555\n" * rows).encode())
    tracemalloc.start()
    for _ in Screening(plan(), data, file="rows", format="csv", salt=b"salt"):
        pass
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_more_rows_take_no_more_memory() -> None:
    peak(10)
    assert peak(40_000) < 1.2 * peak(20_000)


# Totals.


@pytest.mark.parametrize(
    ("rows", "totals"),
    [
        ([(100, "usd"), (250, "USD"), (300, "eur")], {"eur": 300, "usd": 350}),
        ([(100, ""), (250, "")], {"": 350}),
        ([(100, "usd"), (1.5, "usd")], None),
        ([(100, "usd"), (True, "usd")], None),
        ([(100, "usd"), (-1, "usd")], None),
        ([(100, "usd"), (None, "usd")], None),
        ([(100, "Jane")], None),
        ([(100, "€€€")], None),
        ([(100, None)], None),
        ([], {}),
    ],
)
def test_rows_are_summed_by_currency_or_not_at_all(
    rows: list[tuple[Any, Any]], totals: dict[str, int] | None
) -> None:
    amounts = Amounts()
    for amount, currency in rows:
        amounts.add({"amount": amount, "currency": currency})
    assert amounts.totals == totals


def test_a_limit_is_exceeded_by_one_currency_or_by_what_nobody_can_sum() -> None:
    amounts = Amounts("cents")
    amounts.add({"cents": 100, "currency": "usd"})
    amounts.add({"cents": 200, "currency": "eur"})
    assert (amounts.over(200), amounts.over(199)) == (False, True)
    amounts.add({})
    assert amounts.over(10**9)


def test_the_total_is_that_of_the_good_rows() -> None:
    found = screened(HEAD + "a,100,+1\nb,200,1\nc,300,+1\n")
    assert found.summary.totals == {"usd": 400}


# The digest.


def digest(text: str, of: Plan | None = None, **options: Any) -> str:
    return screened(text, of, **options).summary.digest


def test_an_input_of_all_rows_is_given_once_and_a_rows_own_goes_before_it() -> None:
    text = "amount,currency\n100,\n200,eur\n"
    found = screened(text, common={"toPhone": "+1", "currency": "usd"})
    assert found.inputs == [
        {"amount": 100, "currency": "usd", "toPhone": "+1"},
        {"amount": 200, "currency": "eur", "toPhone": "+1"},
    ]
    with_column = screened("amount,currency,toPhone\n100,usd,+1\n200,eur,+1\n")
    assert found.summary.digest == with_column.summary.digest
    assert [f.code for f in refused(text, common={"currency": "usd"})] == ["rows-columns"]


def test_the_same_rows_are_the_same_batch_in_both_formats() -> None:
    as_csv = digest("toPhone,order,amount\n+1,o1,100\n+2,o2,200\n", key="order")
    rows = [{"order": f"o{n}", "amount": n * 100, "toPhone": f"+{n}"} for n in (1, 2)]
    assert digest(lines(*rows), kind="jsonl", key="order") == as_csv


@pytest.mark.parametrize(
    "other",
    [
        HEAD + "o1,100,+1\n",
        HEAD + "o2,200,+2\no1,100,+1\n",
        HEAD + "o1,100,+1\no2,201,+2\n",
        HEAD + "o1,100,+1\no3,200,+2\n",
    ],
    ids=["fewer", "order", "input", "key"],
)
def test_other_rows_are_another_batch(other: str) -> None:
    assert digest(other, key="order") != digest(HEAD + "o1,100,+1\no2,200,+2\n", key="order")


def test_another_plan_or_no_keys_make_another_batch() -> None:
    text = HEAD + "o1,100,+1\n"
    assert len({digest(text), digest(text, key="order"), digest(text, plan(title="b"))}) == 3


def test_the_id_of_a_batch_is_short_and_says_nothing() -> None:
    found = batch_id(digest(HEAD + "o1,100,+1\n"))
    assert re.fullmatch(r"b-[a-z2-7]{16}", found)


def test_every_code_of_a_fault_has_a_page() -> None:
    assert set(get_args(Code)) <= set(pages())


def test_faults_say_which_file() -> None:
    (fault,) = refused("")
    assert fault.file == "rows"

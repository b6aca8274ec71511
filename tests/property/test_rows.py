"""Whatever the rows hold: equal rows are one batch, and no fault repeats a cell."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.batch.rows import Format
from orchestrator.errors import RowsRefused
from orchestrator.expressions.nodes import Json
from orchestrator.plan.model import Plan
from tests.unit.batch.files import Screened, lines, plan, screened

PLAN: Final[Plan] = plan(
    {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "yes": {"type": "boolean"},
        "list": {"type": "array"},
        "object": {"type": "object"},
        "name, with; marks": {"type": "string"},
    },
    referenced=("whole",),
)
# A line end within a cell of CSV is always LF, and NUL is no text there.
TEXTS: Final = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))
NUMBERS: Final = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(0.1)
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
ROWS: Final = st.lists(
    st.fixed_dictionaries({
        "key": TEXTS.filter(lambda text: text.strip() and len(text) <= 256),
        "text": TEXTS,
        "whole": st.integers(),
        "number": NUMBERS,
        "yes": st.booleans(),
        "list": st.lists(VALUES, max_size=3),
        "object": st.dictionaries(TEXTS, VALUES, max_size=3),
        "name, with; marks": TEXTS,
    }),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row["key"],
)  # fmt: skip
QUOTINGS: Final = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
ENDS: Final = st.sampled_from(["\n", "\r\n", "\r"])


def as_csv(rows: list[dict[str, Json]], quoting: Any, end: str) -> str:
    """The whole file has these line ends, as converted: within cells as well."""
    out = StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_cell(row[name]) for name in rows[0]])
    return out.getvalue().replace("\n", end)


def _cell(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@given(ROWS, QUOTINGS, ENDS, st.sampled_from(["", "\ufeff"]))
def test_rows_have_one_digest_however_they_are_written(
    rows: list[dict[str, Json]], quoting: Any, end: str, mark: str
) -> None:
    first = screened(mark + as_csv(rows, quoting, end), PLAN, key="key")
    second = screened(lines(*rows), PLAN, kind="jsonl", key="key")
    assert first.summary.faults == second.summary.faults == ()
    assert first.rows == second.rows
    assert first.summary.digest == second.summary.digest


#: In no name, message or number of ours.
CANARY: Final = "qzjx"
CELLS: Final = st.one_of(
    st.just(CANARY),
    st.text(alphabet='{}[]",:;\\u0d8e1 \n\r\t\0', max_size=12).map(
        lambda text: CANARY + text + CANARY
    ),
    VALUES.map(lambda value: json.dumps({CANARY: value, "a": [CANARY]})),
    st.just(f'{{"{CANARY}": 1, "{CANARY}": 2}}'),
)
HEADS: Final = st.sampled_from([
    "key,text,whole,number,yes,list,object",
    "whole;text;key",
    "text,whole,whole,",
    "nothing,at all",
])  # fmt: skip


@given(HEADS, st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=4), st.booleans())
def test_no_fault_repeats_a_cell_of_csv(head: str, rows: list[list[str]], quoted: bool) -> None:
    mark = ";" if ";" in head else ","
    text = head + "\n"
    for row in rows:
        cells = ['"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row]
        text += mark.join(cells) + "\n"
    assert CANARY not in told(text, "csv")


@given(st.lists(st.lists(CELLS, min_size=1, max_size=8), min_size=1, max_size=3))
def test_a_forgotten_header_is_not_repeated(rows: list[list[str]]) -> None:
    assert CANARY not in told("\n".join(",".join(row) for row in rows), "csv")


@given(
    st.lists(
        st.one_of(
            CELLS,
            st.dictionaries(
                st.sampled_from(["key", "text", "whole", "number", "list", "object"]),
                st.one_of(CELLS, st.just({CANARY: CANARY}), st.just([CANARY])),
            ).map(json.dumps),
        ),
        max_size=4,
    ).filter(lambda rows: not any(row.startswith(f'{{"{CANARY}"') for row in rows))
)
def test_no_fault_repeats_a_value_of_json_lines(rows: list[str]) -> None:
    assert CANARY not in told("\n".join(rows), "jsonl")


def told(text: str, kind: Format) -> str:
    """All that a person is shown of a pass."""
    try:
        found: Screened = screened(text, PLAN, kind=kind, key="key")
    except RowsRefused as refused:
        return repr((refused.message, refused.faults))
    summary = found.summary
    return repr((summary.faults, summary.totals, summary.digest, summary.alike))

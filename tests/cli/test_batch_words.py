"""How a batch is told while it runs: counts, pace, and what a terminal shows."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ops.cli.batch import wording
from ops.cli.batch.bar import Lines, drawn
from ops.cli.batch.pace import Pace
from orchestrator.journal.batches import Batch


def batch(**changes: Any) -> Batch:
    fields: dict[str, Any] = {
        "id": "b-1", "digest": "d", "name": "bill", "lane": "default", "window": 50,
        "total": 1000, "admitted": 400, "at": 0, "by": "ops", "place": "u", "size": 200,
        "key_scope": "", "ratio": 0.5, "over": 0, "busy": 50, "parked": 2,
        "ends": {"succeeded": 300, "known": 10, "failed": 30, "refused": 1, "cancelled": 2},
        "codes": {"card_declined": 20, "http-500": 9, "limited": 1, "zero": 1},
        "sums": {"charged:usd": 599700, "charged": 1, "texted": 300},
        **changes,
    }  # fmt: skip
    return Batch(**fields)


def paced(*looks: tuple[int, int], total: int = 1000) -> Pace:
    pace = Pace(total)
    for now, over in looks:
        pace.add(now, over)
    return pace


def test_every_row_is_counted_at_one_place() -> None:
    found = wording.Counts.of(batch())
    assert found.told == (
        "310 succeeded, 31 failed, 2 cancelled, 2 unknown, 50 in flight, 5 waiting, 600 not begun"
    )
    assert found.over == 345
    assert found.over + found.in_flight + found.waiting + found.not_begun == found.total


def test_rows_that_were_given_up_are_cancelled_and_not_still_to_begin() -> None:
    found = wording.Counts.of(
        batch(over=5, ends={"given-up": 600, "cancelled": 400}, busy=0, parked=0)
    )
    assert (found.cancelled, found.not_begun, found.waiting) == (1000, 0, 0)


def test_counters_that_were_read_apart_never_show_less_than_nothing() -> None:
    assert wording.Counts.of(batch(busy=100)).waiting == 0


def test_sums_are_told_as_a_person_reads_them() -> None:
    assert list(wording.sums(batch())) == [
        "charged 5,997.00 USD in all", "charged once, of which no amount was told",
        "texted 300 times",
    ]  # fmt: skip
    assert wording.amount(500_000, "jpy") == "500,000 JPY"
    assert wording.amount(1234, "") == "1,234 minor units"


def test_the_commonest_codes_come_first() -> None:
    assert wording.commonest(batch(), 3) == "card_declined 20, http-500 9, limited 1"


def test_the_pace_is_that_of_the_last_ten_seconds() -> None:
    looks = [(second * 1000, 0 if second <= 20 else (second - 20) * 30) for second in range(31)]
    pace = paced(*looks)
    assert pace.rate == 30
    assert pace.told == "30 rows/s, about 23 s left"


@pytest.mark.parametrize("looks", [[(0, 0)], [(0, 0), (500, 90)], [(0, 5), (9000, 5)]])
def test_where_nothing_moves_or_too_little_was_seen_no_end_is_told(
    looks: list[tuple[int, int]],
) -> None:
    assert paced(*looks).told == ""


def test_rows_that_go_back_are_no_pace() -> None:
    assert paced((0, 10), (5000, 4)).told == ""


def test_a_terminal_shows_how_far_it_is_and_why_rows_failed() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=False)
    console.print(drawn(batch(stopped="ops"), paced((0, 0), (10_000, 345))))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[0] == "bill b-1"
    assert "345/1,000" in lines[1]
    assert "paused" in lines[1]
    assert "34 rows/s, about 19 s left" in lines[1]
    assert lines[3] == "why: card_declined 20, http-500 9, limited 1"


def test_where_only_look_ups_are_left_that_is_said() -> None:
    out = io.StringIO()
    found = batch(admitted=1000, busy=0, parked=2, ends={"succeeded": 998})
    Console(file=out, width=120).print(drawn(found, paced((0, 1000))))
    assert "looking up what is unknown" in out.getvalue()


def test_what_a_document_is_called_does_not_steer_the_terminal() -> None:
    out = io.StringIO()
    found = batch(name="[red]a\x1b[2J", codes={"[bold]x": 1})
    Console(file=out, width=100).print(drawn(found, paced((0, 0))))
    assert "\x1b" not in out.getvalue()
    assert "[red]a" in out.getvalue()
    assert "[bold]x" in out.getvalue()


def test_without_a_terminal_there_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, pace = Lines(), Pace(1000)
    for half_second in range(42):
        pace.add(half_second * 500, half_second)
        lines.show(batch(), pace)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("b-1: 345 of 1,000 rows; 2.0 rows/s, about 8 min left; 310 succeeded")

"""durazzo batch: what is refused, said, asked, printed and left, with a real server."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from ops.cli import words
from ops.cli.batch.export import COLUMNS
from ops.cli.main import invoke
from ops.cli.many import Tally
from ops.lab import valkey
from orchestrator.engine.state import Result, Status
from orchestrator.errors import RetryRefused
from orchestrator.journal.seal import new_key
from orchestrator.service.many import Done
from orchestrator.settings import from_environ
from orchestrator.wiring import wire
from tests.cli.batching import BILL, PHONE, SHOP, Desk
from tests.fakes.clock import ManualClock

pytestmark = pytest.mark.server


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "bill.yaml").write_text(BILL)
    (tmp_path / "data").mkdir()
    with valkey(tmp_path / "data") as url:
        monkeypatch.setenv("DURAZZO_REDIS_URL", url)
        monkeypatch.setenv("DURAZZO_KEYS", new_key())
        wiring = wire(from_environ())
        yield Desk(core=wiring.core, folder=tmp_path, capsys=capsys)
        wiring.app.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


def left_behind(desk: Desk) -> list[str]:
    """What a refused batch would have left."""
    client = desk.core.batches._client  # type: ignore[attr-defined]
    return [key.decode() for key in client.keys("*upload*")] + desk.core.batches.all()


# Rows that are refused.


def test_one_bad_row_refuses_all_and_nothing_is_left(desk: Desk) -> None:
    file = desk.rows(30, bad=[3, 30])
    said = desk.start(file, "--yes", "--detach")
    assert (said.code, said.out) == (3, "")
    assert f"{file}:4:2: error row-type: column 'amount': not of type integer" in said.err
    assert f"{file}:31:2: error row-type: " in said.err
    assert "error: rows-refused: 2 faults in the rows" in said.err
    assert PHONE not in said.err
    assert left_behind(desk) == []


def test_of_many_faults_the_first_are_shown_and_all_are_counted(desk: Desk) -> None:
    said = desk.start(desk.rows(30, bad=range(1, 31)), "--yes")
    assert said.err.count("error row-type") == 20
    assert "… and 10 more" in said.err
    assert "30 faults in the rows" in said.err


def test_bad_rows_are_left_out_when_that_is_asked_for(desk: Desk) -> None:
    said = desk.start(desk.rows(5, bad=[2]), "--yes", "--detach", "--skip-bad", "--key", "order")
    assert said.code == 0
    assert "4 rows of bill, 79.96 USD in all, 200 at a time, 1 row skipped" in said.err
    assert ":3:2: error row-type" in said.err
    assert desk.read(said.out.strip()).total == 4


def test_rows_that_are_skipped_without_run_keys_are_warned_about(desk: Desk) -> None:
    """Mended, they would be another batch."""
    rows = desk.rows(5, bad=[2])
    assert "runs these rows again" in desk.start(rows, "--skip-bad", "--dry-run").out
    keyed = desk.start(rows, "--skip-bad", "--dry-run", "--key", "order")
    assert "runs these rows again" not in keyed.out


def test_where_every_row_is_bad_there_is_nothing_to_skip_to(desk: Desk) -> None:
    said = desk.start(desk.rows(2, bad=[1, 2]), "--yes", "--skip-bad")
    assert said.code == 3
    assert left_behind(desk) == []


def test_a_refusal_is_one_object_with_json(desk: Desk) -> None:
    said = desk.start(desk.rows(3, bad=[3]), "--yes", "--json")
    assert (said.code, said.json["batch"], said.json["error"]["code"]) == (3, None, "rows-refused")
    assert [(d["code"], d["line"]) for d in said.json["diagnostics"]] == [("row-type", 4)]


@pytest.mark.parametrize("text", ["order,amount,currency,note\n", ""])
def test_a_file_that_cannot_feed_the_inputs_is_refused(desk: Desk, text: str) -> None:
    file = desk.folder / "rows.csv"
    file.write_text(f"{text}o-1,1999,usd,x\n")
    said = desk.start(str(file), "--yes")
    assert said.code == 3
    assert "rows-" in said.err


@pytest.mark.parametrize("data", ["nowhere.csv", ".", "rows.txt"])
def test_a_file_that_cannot_be_read_is_said(
    desk: Desk, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    (desk.folder / "rows.txt").write_text("a\n")
    said = desk.start(data, "--yes")
    assert said.code == 3
    assert said.err.startswith(("error: inputs-refused: --data: ", "rows.txt:1:1: error rows-f"))


def test_an_input_may_take_another_column_and_one_that_is_not_used_is_said(desk: Desk) -> None:
    file = desk.folder / "rows.csv"
    file.write_text("amount,currency,mobile\n1999,usd,1\n")
    said = desk.start(str(file), "--dry-run", "--map", "phone=mobile")
    assert said.code == 0
    assert said.out == "1 row of bill, 19.99 USD in all, 200 at a time\n"
    unused = desk.start(desk.rows(1), "--dry-run")
    assert "columns not used: order, note" in unused.out


def test_an_input_of_all_rows_needs_no_column(desk: Desk) -> None:
    file = desk.folder / "rows.csv"
    file.write_text("amount,phone\n1999,1\n1,2\n")
    said = desk.start(str(file), "--dry-run", "-i", "currency=eur")
    assert said.out == "2 rows of bill, 20.00 EUR in all, 200 at a time\n"
    assert desk.start(str(file), "--dry-run", "-i", "curency=eur").code == 3


@pytest.mark.parametrize(
    "given",
    [
        ["--map", "phone"],
        ["--map", "phone=a", "--map", "phone=b"],
        ["--id", "Big Batch"],
        ["--key-scope", "orders"],
        ["--key", " "],
        ["--window", "0"],
        ["--max-failures", "0"],
        ["--max-failures", "101"],
        ["--max-total", "20.00"],
        ["--max-total", "0.001USD"],
        ["--max-total", "1USD", "--max-total", "2usd"],
        ["--deadline", "2026-05-31"],
        ["--lane", "a,b"],
    ],
)
def test_what_is_not_clear_is_wrong_usage(desk: Desk, given: list[str]) -> None:
    said = desk.start(desk.rows(1), *given)
    assert said.code == 2
    assert "Error: Invalid value" in said.err


# Amounts.


@pytest.mark.parametrize("limit", ["39.97USD", "3997", "1,000.00 EUR"])
def test_rows_that_come_to_more_are_refused(desk: Desk, limit: str) -> None:
    said = desk.start(desk.rows(2), "--yes", "--detach", "--max-total", limit)
    assert (said.code, said.out) == (3, "")
    assert "--max-total: the rows come to 39.98 USD, " in said.err
    assert left_behind(desk) == []


@pytest.mark.parametrize("limit", ["39.98USD", "39.98 usd", "3998"])
def test_rows_within_the_limit_are_taken(desk: Desk, limit: str) -> None:
    assert desk.start(desk.rows(2), "--dry-run", "--max-total", limit).code == 0


def test_rows_that_have_no_total_are_over_any_limit(desk: Desk) -> None:
    file = desk.folder / "rows.csv"
    file.write_text("amount,currency,phone\n-5,usd,1\n")
    said = desk.start(str(file), "--yes", "--max-total", "100000000")
    assert said.code == 3
    assert "no total can be told" in said.err
    assert "no total can be told" in desk.start(str(file), "--dry-run").out


# Asking.


def test_it_says_what_will_happen_and_asks(desk: Desk, answering: Callable[[str], None]) -> None:
    desk.core.journal.heartbeat("w1", ttl_ms=600_000)
    answering("n\n")
    said = desk.start(desk.rows(1000), "--window", "50")
    assert (said.code, said.out) == (1, "")
    assert "1,000 rows of bill, 19,990.00 USD in all, 50 at a time\n" in said.err
    assert "Start it? [y/N]" in said.err
    assert "nothing was started" in said.err
    assert left_behind(desk) == []
    answering("y\n")
    assert desk.start(desk.rows(3), "--detach").code == 0


def test_without_a_terminal_nothing_is_started_that_was_not_agreed_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = desk.start(desk.rows(3), "--detach")
    assert said.code == 2
    assert "3 rows of bill" in said.err
    assert "there is no terminal to ask at: --yes starts it" in said.err
    assert left_behind(desk) == []


def test_a_dry_run_stores_nothing(desk: Desk) -> None:
    said = desk.start(desk.rows(3), "--dry-run", "--json")
    assert said.json["rows"] == {"good": 3, "bad": 0}
    assert said.json["totals"] == {"usd": 5997}
    assert left_behind(desk) == []


def test_without_a_worker_nothing_is_followed(desk: Desk) -> None:
    said = desk.start(desk.rows(3), "--yes")
    assert said.code == 4
    assert "no worker is alive" in said.err
    assert left_behind(desk) == []


def test_the_same_rows_are_the_same_batch_and_nothing_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = desk.opened(2)
    desk.charged(batch, 1, 2)
    monkeypatch.setattr(sys, "stdin", None)
    said = desk.start(desk.rows(2, name="again.csv"))
    assert said.code == 0
    assert f"batch {batch} was started on " in said.err
    assert "[y/N]" not in said.err
    assert said.out.startswith(f"finished: bill, batch {batch}\n")
    assert desk.core.batches.all() == [batch]


def test_an_id_stands_for_one_set_of_rows(desk: Desk) -> None:
    assert desk.opened(2, "--id", "may") == "may"
    assert desk.opened(2, "--id", "may") == "may"
    said = desk.start(desk.rows(3), "--id", "may")
    assert said.code == 3
    assert "error: batch-conflict: batch may is there already" in said.err
    assert desk.core.batches.all() == ["may"]


# What came of it.


def test_the_exit_code_says_what_came_of_it(desk: Desk) -> None:
    batch = desk.opened(3)
    desk.charged(batch, 1, 2)
    desk.declined(batch, 3)
    assert desk.start(desk.rows(3)).code == 1
    lost = desk.opened(2, "--id", "lost")
    desk.end(lost, 1, Result.UNKNOWN, "answer-lost")
    desk.charged(lost, 2)
    said = desk("show", "lost", "--follow", "--json")
    assert (said.code, said.json["state"], said.json["rows"]["unknown"]) == (6, "running", 1)


def test_show_says_where_it_stands_and_what_to_do(desk: Desk) -> None:
    batch = desk.opened(5, "--window", "4")
    desk.charged(batch, 1)
    desk.declined(batch, 2)
    desk.end(batch, 3, Result.UNKNOWN, "answer-lost")
    said = desk("show", batch[:6])
    assert said.code == 0
    head, started, counts, *rest = said.out.splitlines()
    assert head == f"running: bill, batch {batch}"
    assert "; lane default, 4 at a time" in started
    assert counts == "  5 rows: 1 succeeded, 1 failed, 1 unknown, 2 in flight"
    assert "  charged 19.99 USD in all" in rest
    assert "  why: card_declined 1" in rest
    assert f"  say what became of them: durazzo batch resolve {batch} a --as … --reason …" in rest
    assert f"  let them go on from what failed: durazzo batch retry {batch} --failed" in rest
    found = desk("show", "last", "--json").json
    assert found["codes"] == {"card_declined": 1}
    assert found["sums"] == {"charged": {"usd": 1999}}
    assert sum(found["rows"].values()) == 2 * found["rows"]["total"]


def test_a_batch_in_which_too_many_fail_stops_and_is_not_waited_for(desk: Desk) -> None:
    batch = desk.opened(60, "--window", "40")
    for row in range(1, 41):
        if desk.read(batch).stopped:
            break
        desk.declined(batch, row)
    said = desk.start(desk.rows(60))
    assert said.code == 1
    assert said.out.startswith("paused: ")
    assert "paused by durazzo since " in said.out
    assert "too many failed (failure-ratio)" in said.out
    assert f"let it go on: durazzo batch resume {batch}" in said.out
    assert desk("resume", batch).out.startswith(f"{batch}: running, ")


def test_list_has_the_newest_first(desk: Desk) -> None:
    assert desk("list").err == "no batches yet\n"
    old, new = desk.opened(1, "--id", "old"), desk.opened(2, "--id", "new")
    lines = desk("list").out.splitlines()
    assert lines[0].split() == [
        "BATCH", "WORKFLOW", "STATE", "ROWS", "SUCCEEDED", "FAILED", "UNKNOWN", "AGE",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == [new, old]
    assert [b["batch"] for b in desk("list", "--limit", "1", "--json").json["batches"]] == [new]


@pytest.mark.parametrize("name", ["nothing", "", "may:open", "b-\N{SNOWMAN}", "x" * 500])
def test_a_batch_that_is_not_there_is_said(desk: Desk, name: str) -> None:
    desk.opened(1, "--id", "may")
    said = desk("show", name)
    assert said.code == 2
    assert "error: unknown-batch: no batch" in said.err


def test_a_beginning_that_fits_two_batches_names_neither(desk: Desk) -> None:
    desk.opened(1, "--id", "may-1")
    desk.opened(2, "--id", "may-2")
    said = desk("show", "may")
    assert said.code == 2
    assert "2 batches begin with 'may'" in said.err


def test_a_shell_completes_the_ids_of_batches(desk: Desk) -> None:
    desk.opened(1, "--id", "may-1")
    desk.opened(2, "--id", "june")
    command = click.Command("show")
    found = words.batches(click.Context(command), click.Argument(["batch"]), "ma")
    assert found == ["may-1"]


# Control.


def test_a_paused_batch_says_by_whom_and_why_and_begins_nothing(desk: Desk) -> None:
    batch = desk.opened(3, "--window", "1")
    assert desk("pause", batch, "--reason", "let us look").code == 0
    shown = desk("show", batch).out
    assert ": let us look" in shown
    found = desk("show", batch, "--json").json["stopped"]
    assert (found["reason"], found["code"]) == ("let us look", "")
    assert "it was paused before" in desk("pause", batch, "--reason", "again").err
    assert desk("resume", batch).code == 0
    desk.charged(batch, 1)
    assert desk.read(batch).admitted == 2
    assert "it was not paused" in desk("resume", batch).err


def test_a_cancelled_batch_gives_up_what_has_not_begun(
    desk: Desk, answering: Callable[[str], None]
) -> None:
    batch = desk.opened(5, "--window", "2")
    answering("n\n")
    assert desk("cancel", batch, "--reason", "wrong list").code == 1
    assert desk.read(batch).state == "running"
    answering("y\n")
    said = desk("cancel", batch, "--reason", "wrong list")
    assert "3 rows not begun and 2 runs of" in said.err
    assert (said.code, said.out) == (0, "cancelled 2 runs, 0 refused\n")
    assert desk.read(batch).ends == {"cancelled": 2, "given-up": 3}
    assert "it stays cancelled" in desk("cancel", batch, "--reason", "again", "--yes").err
    assert "5 rows: 5 cancelled" in desk("show", batch).out


@pytest.mark.parametrize("word", ["pause", "cancel"])
def test_why_is_always_said(desk: Desk, word: str) -> None:
    assert desk(word, "last").code == 2


def test_failed_rows_are_retried_by_code_and_step(desk: Desk) -> None:
    batch = desk.opened(4)
    desk.declined(batch, 1, 2)
    desk.end(batch, 3, Result.FINAL, "http-500")
    desk.charged(batch, 4)
    assert desk("retry", batch, "--yes").code == 2
    assert desk("retry", batch, "--failed", "--step", "b", "--yes").out == "no run matches\n"
    said = desk("retry", batch, "--failed", "--code", "card_declined", "--step", "a", "--yes")
    assert (said.code, said.out) == (0, "retried 2 runs, 0 refused\n")
    assert desk.read(batch).ends == {"failed": 1, "succeeded": 1}
    desk.charged(batch, 1, 2)
    assert desk.read(batch).ends == {"failed": 1, "succeeded": 3}


def test_a_row_that_has_charged_is_not_retried(desk: Desk) -> None:
    batch = desk.opened(1)
    desk.end(batch, 1, Result.FINAL, "criteria-not-met", "charged pi_1 1999 usd")
    said = desk("retry", batch, "--failed", "--yes", "--json")
    assert said.code == 1
    assert [row["code"] for row in said.json["refused"]] == ["retry-refused"]


def test_rows_in_doubt_are_resolved_together(desk: Desk) -> None:
    batch = desk.opened(3)
    for row in (1, 2):
        desk.end(batch, row, Result.UNKNOWN, "answer-lost")
    verdict = ["--as", "failed", "--reason", "not in the console", "--yes"]
    assert desk("resolve", batch, "b", *verdict).out == "no run matches\n"
    assert desk("resolve", batch, "a", *verdict).out == "resolved 2 runs, 0 refused\n"
    assert (desk.read(batch).parked, desk.read(batch).ends) == (0, {"failed": 2})


def all_declined(desk: Desk, rows: int) -> str:
    """A batch that is over, whose window is one."""
    batch = desk.opened(rows, "--window", "1", "--max-failures", "100")
    for row in range(1, rows + 1):
        desk.declined(batch, row)
        desk.core.admission.fill(batch)
    assert desk.read(batch).ends == {"failed": rows}
    return batch


def test_more_rows_than_the_window_has_room_for_need_a_worker(desk: Desk) -> None:
    batch = all_declined(desk, 2)
    desk.core.journal.retire("w1")
    said = desk("retry", batch, "--failed", "--yes")
    assert (said.code, said.out) == (4, "")
    assert "no worker is alive on this Redis" in said.err
    assert desk.read(batch).ends == {"failed": 2}
    said = desk("retry", batch, "--failed", "--code", "http-500", "--yes")
    assert (said.code, said.out) == (0, "no run matches\n")


def test_a_full_window_of_a_paused_batch_is_not_waited_for(desk: Desk) -> None:
    batch = all_declined(desk, 3)
    desk.core.journal.stop(f"batch:{batch}", by="ops", reason="")
    said = desk("retry", batch, "--failed", "--yes")
    assert (said.code, said.out) == (2, "")
    assert "broken off: retried 1 run, 0 refused, of 3" in said.err
    assert f"its window of 1 is full: durazzo batch resume {batch}" in said.err
    assert (desk.read(batch).busy, desk.read(batch).ends) == (1, {"failed": 2})


def test_how_far_it_is_is_said_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    tally = Tally("retried", 4, clock, as_json=False)

    def slowly() -> Iterator[Done]:
        for refused in (None, None, RetryRefused("it has charged"), None):
            clock.advance(6_000)
            yield Done("b-1-1", refused)
        tally.look("; waiting")

    tally.take(slowly())
    out, err = capsys.readouterr()
    assert (
        err == "retried 1 run, 0 refused, of 4\nretried 2 runs, 1 refused (retry-refused 1), of 4\n"
    )
    assert out.endswith("retried 3 runs, 1 refused (retry-refused 1)\n")


def test_a_forgotten_row_has_erased_as_its_key_in_an_export(desk: Desk) -> None:
    batch = desk.opened(2, "--key", "order")
    desk.charged(batch, 1, 2)
    forgotten = ["forget", "--run", f"{batch}-1", "--yes", "--reason", "request 17"]
    assert invoke(forgotten) == 0
    lines = desk("export", batch).out.splitlines()[1:]
    assert [line.split(",")[:4] for line in lines] == [
        ["1", "[erased]", f"{batch}-1", "succeeded"],
        ["2", "o-2", f"{batch}-2", "succeeded"],
    ]
    assert json.loads(desk("export", batch, "--jsonl").out.splitlines()[0])["key"] == "[erased]"


# Export.


def test_an_export_has_a_line_for_each_row(desk: Desk) -> None:
    batch = desk.opened(4, "--key", "order", "--window", "3")
    desk.charged(batch, 1)
    desk.declined(batch, 2)
    said = desk("export", batch)
    assert said.code == 0
    table = list(csv.DictReader(io.StringIO(said.out)))
    assert tuple(table[0]) == COLUMNS
    assert [row["state"] for row in table] == ["succeeded", "failed", "pending", "pending"]
    assert [row["key"] for row in table] == ["o-1", "o-2", "o-3", "o-4"]
    first, second = table[:2]
    assert (first["charged"], first["amount"], first["currency"]) == ("pi_1", "1999", "usd")
    assert first["ended"].endswith("+00:00")
    assert (second["code"], second["step"], second["charged"]) == ("card_declined", "a", "")
    assert PHONE not in said.out


def test_json_lines_have_what_stands_by_its_type(desk: Desk) -> None:
    batch = desk.opened(2, "--window", "1")
    desk.charged(batch, 1)
    desk("cancel", batch, "--reason", "x", "--yes")
    lines = desk("export", batch, "--jsonl").out.splitlines()
    first, second = map(json.loads, lines)
    assert (first["charged"], first["amounts"], first["code"]) == (["pi_1"], {"usd": 1999}, None)
    assert first["effects"][0]["amount"] == 1999
    assert second["state"] == Status.CANCELLED
    assert (second["charged"], second["amounts"]) == ([], {})


def test_a_cell_is_never_a_formula(desk: Desk) -> None:
    keys = ["=1+1", "+1", "-1", "@sum", "\tx", "plain"]
    file = desk.folder / "rows.jsonl"
    lines = (
        json.dumps({"order": key, "amount": 1, "currency": "usd", "phone": "1"}) for key in keys
    )
    file.write_text("\n".join([*lines, ""]))
    batch = desk.start(str(file), "--key", "order", "--yes", "--detach").out.strip()
    table = list(csv.DictReader(io.StringIO(desk("export", batch).out)))
    assert [row["key"] for row in table] == ["'=1+1", "'+1", "'-1", "'@sum", "'\tx", "plain"]
    told = [json.loads(line)["key"] for line in desk("export", batch, "--jsonl").out.splitlines()]
    assert told == keys


def test_a_file_appears_when_it_is_whole(desk: Desk) -> None:
    batch = desk.opened(450)
    file = desk.folder / "done.jsonl"
    assert desk("export", batch, "-o", str(file)).code == 0
    assert [json.loads(line)["row"] for line in file.read_text().splitlines()] == [*range(1, 451)]
    assert not (desk.folder / "done.jsonl.part").exists()
    said = desk("export", batch, "-o", str(desk.folder / "nowhere" / "done.csv"))
    assert said.code == 74
    assert "error: output-lost: " in said.err


def test_rows_whose_keys_ran_before_are_known_and_run_nothing(desk: Desk) -> None:
    first = desk.opened(2, "--key", "order")
    again = desk.opened(2, "--key", "order", "--id", "again")
    found = desk("show", again, "--json").json["rows"]
    assert (found["known"], found["in_flight"]) == (2, 0)
    said = desk("show", again, "--follow")
    assert said.code == 0
    assert "2 of them had run before, under their run keys" in said.out
    table = list(csv.DictReader(io.StringIO(desk("export", again).out)))
    assert [row["run"] for row in table] == [f"{first}-1", f"{first}-2"]

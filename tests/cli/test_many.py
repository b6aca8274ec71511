"""cancel, pause, resume, retry and resolve for many: what is said, asked, printed and left."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.cli.main import DETACHED, invoke
from ops.lab import valkey
from orchestrator import service
from orchestrator.engine.state import Result, Status
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.port import Ref
from orchestrator.journal.seal import new_key
from orchestrator.plan.graph import Graph
from orchestrator.service import Core
from orchestrator.settings import from_environ
from orchestrator.wiring import wire
from tests.fakes import plans
from tests.fakes.journal import take

pytestmark = pytest.mark.server


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Desk:
    """A Redis of one's own with runs, no worker, and the command line beside it."""

    core: Core
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Said:
        self.capsys.readouterr()
        code = invoke(words)
        out, err = self.capsys.readouterr()
        return Said(code=code, out=out, err=err)

    def start(self, name: str = "order") -> str:
        return service.submit(self.core, plans.plan(plans.step("a"), name=name), {}).id

    def end(self, result: Result, code: str, *, name: str = "order", effect: str = "") -> str:
        """A run whose one call came to that."""
        run, journal = self.start(name), self.core.journal
        journal.heartbeat("w1", ttl_ms=600_000)
        state = journal.read(run)
        assert state is not None
        graph: Graph = self.core.plans.graph(state.plan)
        lease = take(journal, graph, Ref(run, "a", 1))
        lease.begin()
        lease.commit(result, code=code, done=effect)
        self.core.driver.carry_on(run)
        return run

    def status(self, run: str) -> Status:
        state = self.core.journal.read(run)
        assert state is not None
        return state.status


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    with valkey(tmp_path / "data") as url:
        monkeypatch.setenv("DURAZZO_REDIS_URL", url)
        monkeypatch.setenv("DURAZZO_KEYS", new_key())
        wiring = wire(from_environ())
        yield Desk(core=wiring.core, capsys=capsys)
        wiring.app.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


# Which runs.


@pytest.mark.parametrize("command", ["cancel", "pause", "resume", "retry"])
@pytest.mark.parametrize("words", [[], ["--limit", "3"], ["--yes"], ["--reason", "x"]])
def test_nobody_means_every_run_by_forgetting_an_argument(
    desk: Desk, command: str, words: list[str]
) -> None:
    run = desk.start()
    said = desk(command, *words)
    assert said.code == 2
    assert "give a RUN, or say which runs" in said.err
    assert desk.status(run) is Status.PENDING


@pytest.mark.parametrize(
    "words",
    [
        ["cancel", "01k9", "--workflow", "order"],
        ["cancel", "01k9", "--all"],
        ["cancel", "01k9", "--yes"],
        ["cancel", "--all", "--workflow", "order"],
        ["cancel", "--workflow", ""],
        ["cancel", "--code", "x" * 1_001],
        ["cancel", "--status", "tired"],
        ["cancel", "--since", "yesterday"],
        ["cancel", "--since", "99999999999d"],
        ["cancel", "--all", "--limit", "0"],
        ["cancel", "--all", "--reason", "x" * 1_001],
        ["resolve", "--as", "failed", "--reason", "x"],
        ["resolve", "01k9", "--as", "failed", "--reason", "x"],
        ["resolve", "--unknown", "--as", "failed", "--reason", "x"],
    ],
)
def test_what_is_not_clear_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(words) == 2
    assert "Error: " in capsys.readouterr().err


def test_a_filter_ends_the_runs_that_it_fits_and_no_other(desk: Desk) -> None:
    mine, other = [desk.start() for _ in range(3)], desk.start("other")
    ended = desk.end(Result.SUCCEEDED, "")
    said = desk("cancel", "--workflow", "order", "--yes", "--reason", "wrong batch")
    assert (said.code, said.out, said.err) == (
        0, "cancelled 3 runs, 0 refused\n", "3 runs match\n",
    )  # fmt: skip
    assert {desk.status(run) for run in mine} == {Status.CANCELLED}
    assert (desk.status(other), desk.status(ended)) == (Status.PENDING, Status.SUCCEEDED)
    told = desk("show", mine[0]).out
    assert ": wrong batch" in told


def test_all_is_said_on_purpose(desk: Desk) -> None:
    runs = [desk.start(), desk.start("other")]
    assert desk("pause", "--all", "--yes").out == "paused 2 runs, 0 refused\n"
    assert desk("pause", "--all", "--yes").out == "no run matches\n"
    assert desk("resume", "--status", "paused", "--limit", "1", "--yes").code == 0
    assert [desk.status(run) for run in runs] == [Status.PAUSED, Status.PENDING]


def test_since_takes_an_age_or_a_time(desk: Desk) -> None:
    run = desk.start()
    assert desk("cancel", "--since", "2999-01-01", "--yes").out == "no run matches\n"
    listed = desk("runs", "--since", "2h", "--json").json["runs"]
    assert [row["run"] for row in listed] == [run]
    assert desk("runs", "--since", "2999-01-01T08:00", "--json").json["runs"] == []
    assert desk("cancel", "--since", "2h", "--yes").out == "cancelled 1 run, 0 refused\n"


def test_runs_lists_by_the_same_filters(desk: Desk) -> None:
    failed = desk.end(Result.FINAL, "card_declined")
    unknown = desk.end(Result.UNKNOWN, "answer-lost")

    def listed(*words: str) -> list[str]:
        return [row["run"] for row in desk("runs", *words, "--json").json["runs"]]

    assert listed("--code", "card_declined") == [failed]
    assert listed("--step", "a", "--code", "answer-lost") == [unknown]
    assert listed("--status", "failed", "--state", "unknown") == [unknown, failed]
    assert listed("--step", "b") == []


# Asking.


def test_it_says_how_many_and_asks(desk: Desk, answering: Callable[[str], None]) -> None:
    runs = [desk.start(), desk.start()]
    answering("n\n")
    said = desk("cancel", "--workflow", "order")
    assert (said.code, said.out) == (1, "")
    assert "2 runs match. Cancel them? [y/N]" in said.err
    assert "nothing was done" in said.err
    assert {desk.status(run) for run in runs} == {Status.PENDING}
    answering("y\n")
    assert desk("cancel", "--workflow", "order", "--limit", "1").code == 0
    assert [desk.status(run) for run in runs] == [Status.PENDING, Status.CANCELLED]


def test_without_a_terminal_nothing_is_done_that_was_not_agreed_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.start()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = desk("cancel", "--workflow", "order")
    assert said.code == 2
    assert "1 run matches, and there is no terminal to ask at: --yes says cancel" in said.err
    monkeypatch.setattr(sys, "stdin", None)
    assert desk("cancel", "--workflow", "order").code == 2
    assert desk.status(run) is Status.PENDING


def test_where_none_matches_nobody_is_asked(desk: Desk) -> None:
    said = desk("cancel", "--workflow", "order")
    assert (said.code, said.out) == (0, "no run matches\n")
    assert desk("cancel", "--workflow", "order", "--json").json == {"done": 0, "refused": []}


# What came of it.


def test_a_refused_run_is_said_with_its_code_and_stops_no_other(desk: Desk) -> None:
    clean = [desk.end(Result.FINAL, "card_declined") for _ in range(2)]
    charged = desk.end(Result.FINAL, "card_declined", effect="charged pi_1")
    desk.end(Result.FINAL, "reset")
    said = desk("retry", "--failed", "--code", "card_declined", "--yes")
    assert said.code == 1
    refused, summary = said.out.splitlines()
    assert refused.startswith(f"{charged}: retry-refused: from step a it would be done again")
    assert summary == "retried 2 runs, 1 refused (retry-refused 1)"
    assert {desk.status(run) for run in clean} == {Status.RUNNING}


def test_json_has_the_number_done_and_each_that_was_refused(desk: Desk) -> None:
    desk.end(Result.FINAL, "card_declined")
    charged = [desk.end(Result.FINAL, "card_declined", effect=f"charged pi_{n}") for n in range(2)]
    said = desk("retry", "--failed", "--yes", "--json")
    assert said.code == 1
    found = said.json
    assert found["done"] == 1
    assert [row["run"] for row in found["refused"]] == charged[::-1]
    assert {row["code"] for row in found["refused"]} == {"retry-refused"}
    assert all(row["message"] for row in found["refused"])


def test_what_is_in_doubt_at_a_step_is_resolved_for_all_whose_code_it_is(desk: Desk) -> None:
    lost = [desk.end(Result.UNKNOWN, "answer-lost") for _ in range(2)]
    other = desk.end(Result.UNKNOWN, "timeout")
    said = desk(
        "resolve", "--status", "unknown", "--step", "a", "--code", "answer-lost", "--as", "failed",
        "--reason", "not in the console", "--yes",
    )  # fmt: skip
    assert (said.code, said.out) == (0, "resolved 2 runs, 0 refused\n")
    assert {desk.status(run) for run in lost} == {Status.FAILED}
    assert desk.status(other) is Status.UNKNOWN


@pytest.mark.parametrize("error", [KeyboardInterrupt, JournalUnavailable])
@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_broken_off_says_how_many_were_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], *, as_json: bool
) -> None:
    for _ in range(4):
        desk.start()
    real = service.cancel
    done: list[str] = []

    def until_two(core: Core, run: str, **more: Any) -> Any:
        if len(done) == 2:
            raise error("gone")
        done.append(run)
        return real(core, run, **more)

    monkeypatch.setattr(service, "cancel", until_two)
    said = desk("cancel", "--workflow", "order", "--yes", *(["--json"] if as_json else []))
    assert said.code == (DETACHED if error is KeyboardInterrupt else JournalUnavailable.exit_code)
    assert "broken off: cancelled 2 runs, 0 refused, of 4" in said.err
    assert (said.json if as_json else said.out) == ({"done": 2, "refused": []} if as_json else "")
    assert [desk.status(run) for run in done] == [Status.CANCELLED] * 2

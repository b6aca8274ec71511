"""``stop-all`` and ``go-on``, and who tells of them: runs, show, doctor."""

from __future__ import annotations

import json
import re

import click
import pytest

from ops.cli import words
from ops.cli.main import invoke
from ops.cli.standing import Standing
from ops.cli.telling import marks
from ops.cli.terminal import UNICODE
from ops.cli.ticks import Ticks
from ops.cli.timeline import lines, rows
from orchestrator.engine.events import Event
from orchestrator.journal.port import Began, Ref, Stop
from orchestrator.service import Report, submit
from orchestrator.service.timeline import timeline
from tests.cli.test_many import Desk, desk
from tests.fakes import plans
from tests.fakes.bench import START, Bench
from tests.fakes.journal import take

__all__ = ["desk"]

REASON = "Ms Smith was charged twice"
STOP = Stop(provider="stripe", at=START, by="sam", waiting=3, reason=REASON)


def waiting(desk: Desk) -> str:
    """A run that met the stop."""
    flow = plans.plan(plans.charge("charge"))
    run = submit(desk.core, flow, {"order": "o", "amount": 1}).id
    journal = desk.core.journal
    journal.heartbeat("w1", ttl_ms=600_000)
    state = journal.read(run)
    assert state is not None
    lease = take(journal, desk.core.plans.graph(state.plan), Ref(run, "charge", 1))
    assert lease.begin(provider="stripe").verdict is Began.STOPPED
    return run


@pytest.mark.server
def test_a_stop_is_told_wherever_somebody_looks_and_its_reason_only_by_show(desk: Desk) -> None:
    said = desk("stop-all", "stripe", "--reason", REASON)
    assert said.code == 0
    assert re.match(r"stripe is stopped by \S.* since .* UTC: no call to it begins", said.out)
    run = waiting(desk)
    listed = desk("runs")
    assert re.match(r"stripe is stopped by .* since .* UTC, \d+ s ago: durazzo go-on", listed.err)
    assert run in listed.out
    told = " ".join(desk("show", run).out.split())
    assert f": {REASON}" in told
    assert "No call to it begins until it goes on: durazzo go-on stripe" in told
    assert "waits until its provider goes on: it is stopped" in told
    assert "waits for stripe to go on" in told
    checks = desk("doctor", "--json").json["checks"]
    (found,) = [c for c in checks if c["group"] == "Providers"]
    assert (found["name"], found["state"]) == ("stripe", "warning")
    assert "1 step waiting for it" in found["message"]
    assert REASON not in said.out + said.err + listed.out + listed.err + json.dumps(checks)


@pytest.mark.server
def test_a_provider_goes_on_with_all_that_waited(desk: Desk) -> None:
    desk("stop-all", "stripe", "--reason", "x")
    waiting(desk)
    waiting(desk)
    said = desk("go-on", "stripe", "--json")
    assert (said.code, said.json) == (0, {"provider": "stripe", "stopped": False, "woken": 2})
    assert desk("runs").err == ""
    again = desk("go-on", "stripe")
    assert (again.code, again.err) == (0, "it was not stopped\n")
    assert again.out == "stripe may be called; 0 steps go on that waited for it\n"


@pytest.mark.server
def test_a_second_stop_changes_nothing(desk: Desk) -> None:
    first = desk("stop-all", "twilio", "--reason", "x", "--json").json
    assert (first["provider"], first["stopped"]) == ("twilio", True)
    again = desk("stop-all", "twilio", "--reason", "y", "--json").json
    assert again == first
    assert "stopped before" in desk("stop-all", "twilio", "--reason", "z").err


@pytest.mark.server
@pytest.mark.parametrize("line", [["stop-all", "strpie", "--reason", "x"], ["go-on", "strpie"]])
def test_an_unknown_provider_is_said_with_those_that_there_are(desk: Desk, line: list[str]) -> None:
    said = desk(*line)
    assert said.code == 2
    assert "error: unknown-provider: no provider 'strpie'; there are anthropic," in said.err
    assert "generic: every one without a profile" in said.err


def test_a_stop_needs_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["stop-all", "stripe"]) == 2
    assert "--reason" in capsys.readouterr().err


def test_a_shell_completes_the_providers_names() -> None:
    command = click.Command("stop-all")
    found = words.providers(click.Context(command), click.Argument(["provider"]), "st")
    assert found == ["stripe"]


# Words.


def bench_of_a_stop() -> Bench:
    bench = Bench(plans.charge_and_text())
    bench.claim("charge")
    bench.put("limited", {"s": "charge", "n": 1, "u": START + 3_600_000, "st": 1})
    return bench


def standing(bench: Bench, *stops: Stop) -> Standing:
    report = Report(
        run="run-1", workflow="w", state=bench.state.status, outputs={}, steps=[],
        accepted=START,
    )  # fmt: skip
    return Standing(
        report=report, state=bench.state, plan=bench.graph.plan, now=START + 60_000,
        entries=timeline(bench.events, bench.graph.plan), stops=stops,
    )  # fmt: skip


def test_a_run_that_waits_says_for_whom_since_when_and_why() -> None:
    bench = bench_of_a_stop()
    assert [*standing(bench, STOP).advice()] == [
        f"stripe is stopped by sam since 2023-11-14 22:13:20 UTC: {REASON}",
        "No call to it begins until it goes on: durazzo go-on stripe",
    ]
    assert [row.text for row in standing(bench, STOP).rows(marks(UNICODE))] == [
        "waits for stripe to go on"
    ]


def test_a_stop_of_another_provider_and_an_ended_run_are_not_concerned() -> None:
    twilio = Stop(provider="twilio", at=START, by="sam")
    assert [*standing(bench_of_a_stop(), twilio).advice()] == []
    bench = bench_of_a_stop()
    bench.control("cancel")
    bench.decide()
    assert not any("stripe" in line for line in standing(bench, STOP).advice())


def test_the_timeline_tells_of_the_stop_and_of_its_end() -> None:
    bench = bench_of_a_stop()
    bench.now += 60_000
    bench.put("limited", {"s": "charge", "n": 1, "u": bench.now + 2_000, "st": 0})
    shown = marks(UNICODE)
    found = rows(timeline(bench.events, bench.graph.plan), shown)
    told = "\n".join(lines(found, accepted=START, marks=shown, width=100))
    assert "waits until its provider goes on: it is stopped" in told
    assert "its provider goes on: called in 2.0 s" in told


def test_a_tick_tells_of_the_stop() -> None:
    event = Event(kind="limited", at=0, fields={"s": "pay", "n": 1, "u": 3_600_000, "st": 1})
    (line,) = Ticks(UNICODE).lines(event)
    assert line == "⏸ pay: waiting: its provider is stopped (durazzo doctor says by whom)"

"""What ``durazzo flower`` shows of runs: all that ``durazzo show`` knows without a key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from ops.cli.run_views import JournalViews
from ops.cli.telling import safe
from ops.flower.asking import Asking
from ops.flower.pages import exact
from ops.flower.views import RunView
from orchestrator.engine.events import Event
from orchestrator.engine.state import Result, State, Status
from orchestrator.errors import JournalUnavailable, NewerRelease, UnknownRun
from orchestrator.journal.port import Listed, Stop
from tests.fakes.bench import START, Bench
from tests.fakes.plans import charge_and_text
from tests.golden.histories import HISTORIES, History, call, died_while_texting, finished, outage

SAM = Stop(provider="stripe", at=START, by="sam")


@dataclass(slots=True)
class Sealed:
    """A journal, and a core, without what needs a key: to ask for that is an error."""

    kept: dict[str, History]
    stopped: Sequence[Stop] = ()

    @property
    def journal(self) -> Sealed:
        return self

    def read(self, run: str) -> State | None:
        return self.kept[run].state if run in self.kept else None

    def history(self, run: str) -> list[Event]:
        return self.kept[run].events

    def now(self) -> int:
        return max((history.now for history in self.kept.values()), default=START)

    def stops(self, *, reasons: bool) -> Sequence[Stop]:
        assert not reasons
        return self.stopped

    def unended(self, first: int, limit: int) -> list[Listed]:
        return [one for one in self._listed() if one.state and not one.state.end][first:][:limit]

    def doubted(self, limit: int) -> list[Listed]:
        return [x for x in self.unended(0, limit) if x.state and x.state.status is Status.UNKNOWN]

    def page(self, *, until: int, since: int, limit: int, after: str) -> list[Listed]:
        return [] if after else [one for one in self._listed() if since <= one.accepted <= until]

    def _listed(self) -> list[Listed]:
        kept = self.kept.items()
        return [Listed(run=run, accepted=h.state.accepted, state=h.state) for run, h in kept]


def views(*stopped: Stop, **kept: History) -> JournalViews:
    return JournalViews(cast("Any", Sealed(kept, stopped)))


def view(history: History, *stopped: Stop) -> RunView:
    return views(*stopped, run=history).run("run")


def told(found: RunView) -> str:
    return "\n".join((*found.head, *found.advice, *found.effects, *found.story, *found.commands))


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_every_run_is_told_without_its_plan(history: Callable[[], History]) -> None:
    run = history()
    found = view(run)
    assert found.state == run.state.status
    assert {step.step for step in found.steps} == {*map(safe, run.state.visits)}
    assert found.story
    assert all(line.isprintable() for line in told(found).split("\n"))
    assert "durazzo show run" in found.commands


def charged() -> History:
    bench = Bench(charge_and_text())
    call(bench, "charge", effect="charged pi_1 2000 usd")
    call(bench, "text", Result.FINAL, code="invalid_number", status=400)
    return finished(bench)


def test_what_stands_is_told_without_its_amount() -> None:
    found = view(charged())
    assert found.effects == ["charged pi_1 (charge)"]
    assert "charged pi_1" in "\n".join(found.story)
    assert "20.00" not in told(found)
    assert "USD" not in told(found)
    (row,) = views(run=charged()).runs().tables[-1].rows
    assert (row.run, row.code, row.steps, row.stands) == (
        "run",
        "invalid_number",
        "text",
        "charged",
    )


def test_what_is_to_be_typed_next_is_told() -> None:
    assert view(charged()).commands[0] == "durazzo retry run"
    assert view(outage()).commands == ["durazzo show run"]
    unknown = view(died_while_texting())
    assert any("The provider may have done it" in line for line in unknown.advice)
    assert unknown.commands[0] == "durazzo resolve run text --as WHAT --reason WHY"
    bench = Bench(charge_and_text())
    bench.put("control", {"k": "pause", "by": "sam"})
    assert view(finished(bench)).commands[0] == "durazzo resume run"
    batch = finished(bench)
    batch = replace(batch, state=replace(batch.state, batch="may"))
    assert "durazzo batch show may" in view(batch).commands


def test_a_provider_that_is_stopped_is_named_to_the_run_that_waits_for_it() -> None:
    bench = Bench(charge_and_text())
    bench.claim("charge")
    bench.put("limited", {"s": "charge", "n": 1, "u": START + 3_600_000, "st": 1})
    waits = finished(bench)
    one = view(waits, SAM)
    assert "No call to it begins until it goes on: durazzo go-on stripe" in one.advice
    assert "waits for stripe to go on" in one.story[-1]
    # Which of two it is stands in the plan.
    two = told(view(waits, SAM, replace(SAM, provider="twilio")))
    assert "durazzo go-on stripe" in two
    assert "durazzo go-on twilio" in two
    assert "go-on" not in told(view(charged(), SAM))


def test_trouble_stands_first_and_stops_before_it() -> None:
    bench = Bench(charge_and_text())
    call(bench, "charge", Result.OPERATOR, code="unauthorized", status=401, delay=60_000)
    found = views(SAM, bad=charged(), odd=died_while_texting(), person=finished(bench)).runs()
    assert found.stops == [
        "stripe is stopped by sam since 2023-11-14 22:13:20 UTC: durazzo go-on stripe"
    ]
    rows = {table.title: [row.run for row in table.rows] for table in found.tables}
    assert rows == {"Unknown": ["odd"], "Waiting for a person": ["person"], "Failed": ["bad"]}
    assert [*rows] == ["Unknown", "Waiting for a person", "Failed"]
    assert found.lanes == [("l", "unknown", 1), ("l", "waiting", 1)]


def test_a_story_that_is_too_long_is_left_to_show() -> None:
    long = charged()
    found = view(replace(long, state=replace(long.state, seq=20_000)))
    assert found.story == []
    assert "What happened is too long to be shown here: durazzo show has it." in found.advice
    assert [step.calls for step in found.steps] == [1, 1]


def test_a_run_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnknownRun, match="durazzo runs lists the runs that are there"):
        views().run("gone")


class Refusing(Sealed):
    """For a user of Redis' who may not read the key."""

    def read(self, run: str) -> State | None:
        raise JournalUnavailable("the user may not use a key", reason="not-permitted")


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("01m80rg4hrtnfrkgbxrbry69h4", JournalUnavailable), ("may-1", JournalUnavailable),
        ("2f1c7d0e-4d0b-4c9a-8a51-9d5f3f0c000a", UnknownRun), ("may", UnknownRun),
    ],
)  # fmt: skip
def test_a_word_that_is_no_runs_id_is_no_trouble_of_redis(run: str, told: type[Exception]) -> None:
    with pytest.raises(told):
        JournalViews(cast("Any", Refusing({}))).run(run)


@pytest.mark.parametrize(
    ("search", "meant"),
    [
        ("may-1", "args:'may-1'"), ("MAY-1", "args:'MAY-1'"), ("may", "may"), ("may-", "may-"),
        ("may-1 AND state:FAILURE", "args:'may-1' AND state:FAILURE"), ("", ""),
        ("(may-1 OR may-12) name:x", "(args:'may-1' OR args:'may-12') name:x"),
        ('"may-1"', '"may-1"'), ("may-1.pay.1.1", "may-1.pay.1.1"), ("args:may-1", "args:may-1"),
    ],
)  # fmt: skip
def test_a_runs_id_in_a_search_means_that_run_alone(search: str, meant: str) -> None:
    assert exact(search, {"may-1", "may-12"}) == meant


def test_a_question_that_nobody_answers_holds_nobody_for_long_and_not_too_many_wait() -> None:
    answers = threading.Event()

    async def ask() -> list[Any]:
        asking = Asking(patience=0.05)
        questions = [asking.ask(answers.wait) for _ in range(17)]
        found = await asyncio.gather(*questions, return_exceptions=True)
        answers.set()
        return found

    found = asyncio.run(ask())
    assert all(isinstance(error, JournalUnavailable) for error in found)
    said = [str(error) for error in found]
    assert sum("too many pages" in text for text in said) == 1
    assert sum("does not answer within 0.05 s" in text for text in said) == 16


def test_what_a_question_raises_is_raised() -> None:
    def newer() -> None:
        raise NewerRelease("newer")

    with pytest.raises(NewerRelease):
        asyncio.run(Asking().ask(newer))

"""Workers that are told to end: calls land or are handed over, and nothing is done twice.

The heartbeat is ten minutes here: a run that had to wait for it would not end in time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from ops import lab
from orchestrator.engine.state import Phase
from orchestrator.service import Run
from tests.process.house import CHARGE_AND_TEXT, House, house, plan_of, wait_for
from tests.process.test_look_ups import later

pytestmark = pytest.mark.process

CHARGES: Final = "POST /stripe/v1/payment_intents*"
TEXTS: Final = "POST /twilio/*/Messages.json"
LIMIT: Final = 60

Worker = subprocess.Popen[bytes]
End = Callable[[Worker], None]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, DURAZZO_HEARTBEAT="600") as found:
        yield found


def durazzo(home: House, pool: str, *words: str) -> Worker:
    """``durazzo worker``, in a group of its own."""
    with (home.folder / f"worker-{len(home.workers)}.log").open("ab") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "ops.cli.main", "worker", "--pool", pool,
                "--concurrency", "2", *words,
            ],
            env={**home.environ, "PYTHONPATH": str(lab.CHECKOUT)},
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    home.workers.append(process)
    return process


def in_a_call(home: House, match: str, step: str, *, seconds: float) -> Run:
    """A run whose worker has sent, and waits for an answer that takes its time."""
    fault = {"match": match, "do": "latency", "ms": seconds * 1_000, "after": True, "times": 1}
    home.sandbox.faults(fault)
    run = home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs())
    books = "charges" if match == CHARGES else "messages"
    wait_for(lambda: bool(home.ledger()[books]), "the call", seconds=LIMIT)
    assert run.state().visits[step].phase is Phase.CALLING
    return run


def says(home: House, words: str) -> None:
    wait_for(lambda: words in home.logs(), words, seconds=LIMIT)


def ended(worker: Worker) -> int:
    return worker.wait(timeout=LIMIT)


def doubts(run: Run) -> list[str]:
    """Steps that were taken over from a worker in the middle of a call."""
    return [e.fields["s"] for e in run.history() if e.kind == "claimed" and e.fields.get("d")]


def done_once(home: House) -> None:
    ledger = home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (1, 1)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


def by_process(worker: Worker) -> None:
    worker.send_signal(signal.SIGTERM)


def by_group(worker: Worker) -> None:
    """As systemd does: every child of the pool gets it as well."""
    os.killpg(worker.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("pool", "cli", "end"),
    [("prefork", False, by_process), ("prefork", True, by_group), ("threads", True, by_process)],
)
def test_a_worker_that_is_told_to_end_lets_its_call_land(
    home: House, pool: str, cli: bool, end: End
) -> None:
    worker = durazzo(home, pool) if cli else home.worker(pool=pool)
    run = in_a_call(home, CHARGES, "create-payment", seconds=3)
    end(worker)
    says(home, "finishing 1 call, up to 25 s")
    home.worker()
    assert ended(worker) == 0
    assert run.wait(LIMIT) == "succeeded"
    assert doubts(run) == []
    assert "handing-over" not in home.logs()
    done_once(home)


def twice(number: int, home: House) -> End:
    def end(worker: Worker) -> None:
        worker.send_signal(number)
        says(home, "worker.draining")
        worker.send_signal(number)

    return end


def end_of(home: House, how: str) -> End:
    match how:
        case "sigterm-twice":
            return twice(signal.SIGTERM, home)
        case "ctrl-c-twice":
            return twice(signal.SIGINT, home)
        case "sigquit":
            return lambda worker: worker.send_signal(signal.SIGQUIT)
        case _:
            return by_process


@pytest.mark.parametrize(
    ("pool", "cli", "how"),
    [
        ("prefork", False, "sigterm-twice"),
        ("prefork", True, "grace-is-over"),
        ("threads", True, "ctrl-c-twice"),
        ("threads", True, "grace-is-over"),
        ("solo", False, "sigquit"),
    ],
)
def test_a_call_that_does_not_land_in_time_is_handed_over_at_once(
    home: House, pool: str, cli: bool, how: str
) -> None:
    """Another worker replays it under its key: not after the heartbeat, and not twice."""
    grace = "1" if how == "grace-is-over" else "300"
    worker = durazzo(home, pool, "--grace", grace) if cli else home.worker(pool=pool)
    run = in_a_call(home, CHARGES, "create-payment", seconds=70)
    end_of(home, how)(worker)
    says(home, "worker.handing-over")
    home.worker()
    assert ended(worker) == 0
    assert run.wait(LIMIT) == "succeeded"
    assert doubts(run) == ["create-payment"]
    assert run.state().visits["create-payment"].attempts == 2
    done_once(home)


def test_a_text_that_was_handed_over_is_looked_up_and_not_sent_again(home: House) -> None:
    worker = durazzo(home, "threads", "--grace", "0")
    run = in_a_call(home, TEXTS, "send-confirmation", seconds=25)
    by_process(worker)
    assert ended(worker) == 0
    home.worker()
    wait_for(lambda: run.status() == "unknown", "the doubt", seconds=LIMIT)
    later(home)
    wait_for(lambda: run.status() == "succeeded", "the text's being found", seconds=LIMIT)
    done_once(home)


def _arrived(home: House, before: frozenset[str]) -> bool:
    return bool(home.wiring.core.journal.alive() - before)


def _left(worker: Worker) -> bool:
    return worker.poll() is not None


def test_workers_replaced_one_after_the_other_delay_nothing_and_cut_no_call(home: House) -> None:
    """A rolling restart, twice over, under a stream of runs."""
    slow = {"match": "POST *", "do": "latency", "ms": 300, "after": True, "times": None}
    home.sandbox.faults(slow)
    plan = plan_of(CHARGE_AND_TEXT)
    runs: list[Run] = []

    def stream(until: Callable[[], object]) -> None:
        """As many runs as two workers have hands for, until then."""
        open_runs: list[Run] = []
        while not until():
            open_runs = [run for run in open_runs if not run.state().end]
            if len(open_runs) < 4 and len(runs) < 400:
                open_runs.append(home.submit(plan, home.charge_inputs()))
                runs.append(open_runs[-1])

    serving = [home.worker(), home.worker(pool="threads")]
    alive = home.wiring.core.journal.alive
    wait_for(lambda: len(alive()) >= 3, "both workers", seconds=LIMIT)
    for pool in ("prefork", "threads", "prefork", "threads"):
        before = alive()
        serving.append(home.worker(pool=pool))
        stream(partial(_arrived, home, before))
        old = serving.pop(0)
        old.send_signal(signal.SIGTERM)
        stream(partial(_left, old))
        assert old.returncode == 0
    assert {run.wait(LIMIT) for run in runs} == {"succeeded"}
    took = sorted(state.ended - state.accepted for state in (run.state() for run in runs))
    print(f"{len(runs)} runs: {took[len(took) // 2]} ms each, the slowest {took[-1]} ms")
    assert [step for run in runs for step in doubts(run)] == []
    ledger = home.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == len(runs)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    assert took[-1] < LIMIT * 1_000

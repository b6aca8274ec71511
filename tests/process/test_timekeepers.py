"""The timekeeper that leads is killed, or frozen, and another leads within seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ops import lab
from orchestrator.canvas.messages import lists
from orchestrator.engine.events import fold
from orchestrator.engine.state import Phase
from orchestrator.journal.keys import Keys
from orchestrator.service import Run
from orchestrator.wiring import connect
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for
from workers.timekeeper import LEADER_LEASE

pytestmark = pytest.mark.process


@contextmanager
def timekeeper(home: House) -> Iterator[subprocess.Popen[bytes]]:
    words = ["-c", "from ops.cli.main import main; main()", "timekeeper"]
    with (home.folder / "timekeepers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            env={**home.environ, "PYTHONPATH": str(lab.CHECKOUT)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def leader(home: House) -> int:
    """Its process id, 0 while nobody leads."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        holder = client.get(Keys().leader)
        left = client.pttl(Keys().leader)
    assert isinstance(left, int)
    assert left <= LEADER_LEASE, "who is gone leads no longer than that"
    return int(holder.decode().rsplit("-", 2)[1]) if isinstance(holder, bytes) else 0


def lead_changes(home: House, old: int) -> int:
    wait_for(lambda: leader(home) not in {0, old}, "another to lead", seconds=60)
    return leader(home)


def a_lost_message(home: House) -> Run:
    """Accepted, and the broker has lost its first message."""
    run = home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs())
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.delete(*lists(run.state().lane))
    return run


def sent(run: Run) -> int:
    return sum(event.kind == "sent" for event in run.history())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_another_leads_when_the_leader_is_killed_or_frozen_and_one_that_wakes_up_does_no_harm(
    at_home: House, how: signal.Signals
) -> None:
    with ExitStack() as stack:
        keepers = [stack.enter_context(timekeeper(at_home)) for _ in range(2)]
        wait_for(lambda: leader(at_home), "a leader", seconds=60)
        first = leader(at_home)
        os.kill(first, how)
        second = lead_changes(at_home, first)
        assert {first, second} == {keeper.pid for keeper in keepers}
        run = a_lost_message(at_home)
        wait_for(lambda: sent(run) == 1, "the new leader to send what was lost", seconds=60)
        if how is signal.SIGSTOP:
            os.kill(first, signal.SIGCONT)
        at_home.worker()
        assert run.wait(60) == "succeeded"
        wait_for(lambda: fold(run.history()) == run.state(), "the duties", seconds=60)
        again = run.state().visits["create-payment"]
        assert (sent(run), again.sends, again.phase) == (1, 2, Phase.SUCCEEDED)
        ledger = at_home.ledger()
        assert (len(ledger["charges"]), len(ledger["messages"])) == (1, 1)

"""An emergency stop: from then on nobody calls the provider; afterwards all goes on, once each."""

from __future__ import annotations

from functools import partial

import pytest

from orchestrator.engine.state import Phase
from orchestrator.service import Run, go_on, stop_all, stops
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for

pytestmark = pytest.mark.process

RUNS = 30
SOME = 4
PATIENCE = 60


def called(home: House) -> int:
    """Calls that came to Stripe, by the sandbox's own books."""
    return sum(r["path"].startswith("/stripe/") for r in home.ledger()["requests"])


def rests(run: Run) -> bool:
    """It has ended, or its charge waits: nothing of it is on its way."""
    state = run.state()
    charge = state.visits["create-payment"]
    return bool(state.end) or (charge.phase is Phase.WAITING and charge.attempts == 0)


def test_a_stop_in_the_middle_of_many_runs_lets_no_further_call_begin_and_loses_none(
    at_home: House,
) -> None:
    core = at_home.wiring.core
    at_home.sandbox.faults({
        "match": "POST /stripe/v1/payment_intents", "do": "latency", "ms": 300, "times": RUNS,
    })  # fmt: skip
    at_home.worker()
    plan = plan_of(CHARGE_AND_TEXT)
    runs = [at_home.submit(plan, at_home.charge_inputs()) for _ in range(RUNS)]
    wait_for(lambda: called(at_home) >= SOME, "the first charges", seconds=PATIENCE)
    stop_all(core, "stripe", by="ops", reason="wrong account")
    begun = {r.id for r in runs if r.state().visits["create-payment"].attempts}

    wait_for(lambda: all(map(rests, runs)), "what was under way to land", seconds=PATIENCE)
    ledger = at_home.ledger()
    assert SOME <= len(begun) < RUNS, "in the middle"
    assert called(at_home) == len(ledger["charges"]) == len(begun), "those under way, no other"
    assert len(ledger["messages"]) == len(begun), "other providers are called as ever"
    late = at_home.submit(plan, at_home.charge_inputs())
    wait_for(partial(rests, late), "one that came later to wait as well", seconds=PATIENCE)
    (stop,) = stops(core)
    assert stop.waiting == RUNS - len(begun) + 1
    assert called(at_home) == len(begun)

    woken = go_on(core, "stripe", by="ops").woken
    assert woken == stop.waiting
    assert {run.wait(PATIENCE) for run in (*runs, late)} == {"succeeded"}
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == RUNS + 1
    assert called(at_home) == RUNS + 1
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    assert stops(core) == ()

"""Keys are rotated beside workers: every run ends, once, and the old key is needed no more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ops.lab import wait_for
from orchestrator.journal.keys import Keys
from orchestrator.journal.rotation import Rotation, census
from orchestrator.journal.seal import AesSeal, keyring, new_key
from orchestrator.service import Run, submit
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, connect, wire
from tests.process.house import CHARGE_AND_TEXT, House, house, plan_of

pytestmark = pytest.mark.process
#: Runs, before and while keys are rotated.
_BEFORE, _MEANWHILE = 3, 12


def _wired(at: House, keys: str) -> Wiring:
    at.environ["DURAZZO_KEYS"] = keys
    return wire(from_environ(at.environ))


def _started(at: House, wiring: Wiring, number: int) -> list[Run]:
    plan = plan_of(CHARGE_AND_TEXT)
    return [
        submit(wiring.core, plan, at.charge_inputs(), key=f"order-{os.urandom(8).hex()}")
        for _ in range(number)
    ]


def test_runs_go_on_and_end_once_while_keys_are_rotated(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    (old_id,), (new_id,) = AesSeal(keyring(old)).ids, AesSeal(keyring(new)).ids
    with house(tmp_path, DURAZZO_KEYS=old) as at:
        first = at.worker()
        runs = _started(at, at.wiring, _BEFORE)
        wait_for(lambda: all(_end(at.wiring, run) for run in runs), "runs", seconds=60)
        os.killpg(first.pid, signal.SIGKILL)
        # Accepted under the old key, and carried on under the new one.
        runs += _started(at, at.wiring, _BEFORE)

        both = _wired(at, f"{new},{old}")
        at.worker()
        runs += _started(at, both, _MEANWHILE)
        with connect(at.environ["DURAZZO_REDIS_URL"]) as client:
            rotation = Rotation(client, AesSeal(keyring(f"{new},{old}")), Keys())

            def rotated_and_over() -> bool:
                rotation.rotate(lambda _: None)
                return all(_end(both, run) for run in runs)

            wait_for(rotated_and_over, "runs while keys are rotated", seconds=90)
            assert rotation.rotate(lambda _: None).late == 0
            found = census(client, lambda _: None)
        assert (found.under(old_id), found.ids) == ({}, (new_id,))

        alone = _wired(at, new)
        assert [_end(alone, run) for run in runs] == ["succeeded"] * len(runs)
        assert all(alone.core.journal.inputs(run.id)["amount"] == 2000 for run in runs)
        ledger = at.ledger()
        assert ledger["duplicates"] == {"charges": 0, "messages": 0}
        assert (len(ledger["charges"]), len(ledger["messages"])) == (len(runs), len(runs))
        for wiring in (both, alone):
            wiring.app.close()


def _end(wiring: Wiring, run: Run) -> str:
    state = wiring.core.journal.read(run.id)
    assert state is not None
    return state.end

"""Workers, timekeeper and Redis are killed at one blow, and started again.

Bigger by hand: ``DURAZZO_BLOWS=10 DURAZZO_KILLED_RUNS=200``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from ops import lab
from ops.embedded import Embedded
from ops.sandbox.server import BackgroundSandbox
from orchestrator.engine.events import fold
from orchestrator.journal.keys import Keys
from orchestrator.journal.seal import new_key
from orchestrator.service import Run
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, wire
from tests.process.house import CHARGE_AND_TEXT, House, osop_with, plan_of, wait_for

BLOWS = int(os.environ.get("DURAZZO_BLOWS", "1"))
RUNS = int(os.environ.get("DURAZZO_KILLED_RUNS", "8"))
WORKERS = 2
#: Of every call: something is always in flight.
LATENCY_MS = 60
#: Longer than any first look-up waits. ms.
LATER = 130_000

pytestmark = [pytest.mark.process, pytest.mark.timeout(240 + 60 * BLOWS)]


@dataclass
class Plant:
    """All that can be killed."""

    home: House
    valkey: Embedded
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        self._begin(self.valkey.command())
        wait_for(self.valkey.answers, "Redis", seconds=60)
        self._begin([sys.executable, "-c", "from ops.cli.main import main; main()", "timekeeper"])
        self.running += [self.home.worker() for _ in range(WORKERS)]

    def kill(self) -> None:
        """None has the time to see another one die."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
        for process in self.running:
            process.wait()
        self.running.clear()

    def _begin(self, words: list[str]) -> None:
        with (self.home.folder / "others.log").open("ab") as log:
            environ = {**self.home.environ, "PYTHONPATH": str(lab.CHECKOUT)}
            process = subprocess.Popen(
                words, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        self.running.append(process)

    def later(self) -> None:
        with connect(self.valkey.url) as client:
            client.incrby(Keys().clock, LATER)


@contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    valkey = Embedded(folder / "data")
    valkey.home.mkdir()
    with BackgroundSandbox() as sandbox:
        environ = {
            **lab.base_environ(),
            **sandbox.env,
            "DURAZZO_REDIS_URL": valkey.url,
            "DURAZZO_KEYS": new_key(),
            "DURAZZO_HEARTBEAT": "1",
        }
        wiring = wire(from_environ(environ))
        found = Plant(House(folder=folder, sandbox=sandbox, environ=environ, wiring=wiring), valkey)
        try:
            yield found
        finally:
            found.kill()
            wiring.app.close()
            valkey.socket.unlink(missing_ok=True)


def requests(found: Plant) -> int:
    return int(found.home.sandbox.summary()["requests"])


def test_all_is_killed_at_one_blow_and_every_run_ends_with_its_effects_once(
    tmp_path: Path,
) -> None:
    chance = random.Random(RUNS * 1_000 + BLOWS)
    with plant(tmp_path) as found:
        home = found.home
        home.sandbox.faults({"match": "*", "do": "latency", "ms": LATENCY_MS, "times": None})
        found.start()
        keyed = [home.submit(osop_with("pm_card_visa"), {}) for _ in range(RUNS)]
        inputs = [home.charge_inputs() for _ in range(RUNS)]
        texting = [home.submit(plan_of(CHARGE_AND_TEXT), given) for given in inputs]
        runs = [*keyed, *texting]
        share = 5 * RUNS // (BLOWS + 1)
        struck = 0
        for _ in range(BLOWS):
            wanted = requests(found) + chance.randrange(1, share)
            wait_for(partial(_under_way, found, wanted, runs), "work under way", seconds=60)
            struck += not _at_rest(runs)
            found.kill()
            found.start()
        assert struck, "all had ended before"
        wait_for(lambda: _at_rest(runs), "all runs to come to rest", seconds=120)
        found.later()
        phones = [str(given["toPhone"]) for given in inputs]
        wait_for(lambda: _settled(found, texting, phones), "texts to be found", seconds=60)
        _check(found, keyed, texting)


def _at_rest(runs: list[Run]) -> bool:
    return all(run.status() in {"succeeded", "unknown"} for run in runs)


def _settled(found: Plant, texting: list[Run], phones: list[str]) -> bool:
    """Nobody can say of a text that never arrived that it will not: only that run is unknown."""
    texted = {message["to"] for message in found.home.ledger()["messages"]}
    return all(
        run.status() == ("succeeded" if phone in texted else "unknown")
        for run, phone in zip(texting, phones, strict=True)
    )


def _check(found: Plant, keyed: list[Run], texting: list[Run]) -> None:
    ledger = found.home.ledger()
    assert {run.status() for run in keyed} == {"succeeded"}
    assert len(ledger["charges"]) == len(keyed) + len(texting)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    phones = [message["to"] for message in ledger["messages"]]
    assert len(set(phones)) == len(phones)
    # Those that were in flight at a blow, at most.
    assert sum(run.status() == "unknown" for run in texting) <= 2 * WORKERS * BLOWS
    for run in (*keyed, *texting):
        wait_for(partial(_is_whole, run), "its duties", seconds=60)


def _under_way(found: Plant, wanted: int, runs: list[Run]) -> bool:
    return requests(found) >= wanted or _at_rest(runs)


def _is_whole(run: Run) -> bool:
    return fold(run.history()) == run.state()

"""Several workers under one command: whoever dies is replaced, and nobody is left behind.

First with commands of a line for workers, then with real ones.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from ops import lab
from ops.cli.supervisor import LIMIT
from ops.embedded import Embedded
from orchestrator.service import Run
from orchestrator.wiring import connect
from tests.process.house import CHARGE_AND_TEXT, House, house, plan_of, wait_for
from tests.process.test_deploy import CHARGES, doubts, says

pytestmark = [pytest.mark.process, pytest.mark.timeout(360)]

LIMITS: Final = 120

Worker = subprocess.Popen[bytes]


class Yard:
    """A supervisor whose workers are lines of shell that write to one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, number: int, line: str, *, works: bool = True) -> subprocess.Popen[str]:
        """``works``: who is started counts as one that works."""
        line = f"echo $$ >> pids; {'touch arrived; ' if works else ''}{line}"
        return self.supervise(number, "sh", "-c", line)

    def supervise(self, number: int, *words: str) -> subprocess.Popen[str]:
        arrived = str(self.folder / "arrived")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.process.supervising", str(number), *words],
            env={**lab.base_environ(), "PYTHONPATH": str(lab.CHECKOUT), "ARRIVED": arrived},
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def started(self) -> list[int]:
        pids = self.folder / "pids"
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    found = Yard(tmp_path)
    yield found
    found.stop()


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Its result, and what was said before."""
    said, _ = process.communicate(timeout=LIMITS)
    return said.splitlines()[-1], said


def lives(pid: int) -> bool:
    """A zombie does not: whoever is to reap it may be gone, or slow."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()[:1] not in {"", "Z"}


def test_a_refusal_of_the_first_worker_is_the_commands_own_and_nobody_else_is_started(
    yard: Yard,
) -> None:
    process = yard.begin(3, "echo no; exit 3", works=False)
    assert end_of(process) == ("3", "no\n3\n")
    assert len(yard.started()) == 1


def test_workers_that_die_in_a_row_are_given_up(yard: Yard) -> None:
    result, said = end_of(yard.begin(1, "kill -9 $$"))
    assert result == "no-worker"
    assert len(yard.started()) == LIMIT
    assert said.count("worker.died") == LIMIT - 1


def test_workers_that_cannot_be_started_are_given_up(yard: Yard) -> None:
    result, said = end_of(yard.supervise(1, "./nowhere"))
    assert result == "no-worker"
    assert said.count("worker.died") == LIMIT - 1


def test_one_that_dies_is_replaced_as_long_as_another_works(yard: Yard) -> None:
    """More often than would give up a lonely one."""
    process = yard.begin(2, '[ "$(wc -l < pids)" = 1 ] || exit 5; exec sleep 600')
    wait_for(lambda: len(yard.started()) > LIMIT + 1, "replacements", seconds=LIMITS)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert end_of(process)[0] == "0"


def test_one_that_was_told_to_end_is_not_replaced(yard: Yard) -> None:
    result, said = end_of(yard.begin(2, "exit 0"))
    assert (result, said.count("worker.ended")) == ("0", len(yard.started()))


def test_one_that_does_not_end_in_its_time_is_killed(yard: Yard) -> None:
    process = yard.begin(2, "trap '' INT TERM QUIT; : > deaf-$$; while :; do sleep 0.1; done")
    wait_for(lambda: len(list(yard.folder.glob("deaf-*"))) == 2, "both", seconds=LIMITS)
    process.send_signal(signal.SIGTERM)
    result, said = end_of(process)
    assert (result, said.count("worker.killed")) == ("0", 2)
    assert not any(lives(pid) for pid in yard.started())


@pytest.mark.parametrize(
    ("signals", "handed_on"),
    [
        ([signal.SIGTERM], "INT"),
        ([signal.SIGINT], "TERM"),
        ([signal.SIGQUIT], "QUIT"),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], "TERM QUIT"),
        ([signal.SIGTERM, signal.SIGQUIT], "INT QUIT"),
    ],
)
def test_a_worker_never_gets_a_kind_twice_that_its_command_got_once(
    yard: Yard, signals: list[signal.Signals], handed_on: str
) -> None:
    """A supervisor of the system's may have signalled the worker as well."""
    traps = "; ".join(f"trap 'echo {name} >> heard' {name}" for name in ("INT", "TERM", "QUIT"))
    many = len(handed_on.split())
    process = yard.begin(
        1, f'{traps}; : > heard; while [ "$(wc -l < heard)" -lt {many} ]; do sleep 0.05; done'
    )
    heard = yard.folder / "heard"
    wait_for(heard.exists, "the worker", seconds=LIMITS)
    process.send_signal(signals[0])
    wait_for(heard.read_text, "the first", seconds=LIMITS)
    for number in signals[1:]:
        process.send_signal(number)
    assert end_of(process)[0] == "0"
    assert heard.read_text().split() == handed_on.split()


# Real workers


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as found:
        yield found


def several(home: House, *words: str, **environ: str) -> Worker:
    """Two workers of a slot each, so that two calls are in both."""
    with (home.folder / "worker-several.log").open("ab") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "ops.cli.main", "worker", "--processes", "2",
                "--pool", "threads", "--concurrency", "1", *words,
            ],
            env={**home.environ, "PYTHONPATH": str(lab.CHECKOUT), **environ},
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    home.workers.append(process)
    return process


def at_work(home: House, number: int = 2) -> dict[str, int]:
    """Workers with a heartbeat, by name, and their processes; returns when there are so many."""
    alive = home.wiring.core.journal.alive
    wait_for(lambda: len(alive()) == number, "the workers", seconds=LIMITS)
    return {name: int(name.rsplit("-", 2)[1]) for name in alive()}


def in_both(home: House, *, seconds: float) -> list[Run]:
    """Two runs, each in a call of a worker of its own."""
    at_work(home)
    fault = {"match": CHARGES, "do": "latency", "ms": seconds * 1_000, "after": True, "times": 2}
    home.sandbox.faults(fault)
    runs = [home.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs()) for _ in range(2)]
    wait_for(lambda: len(home.ledger()["charges"]) == 2, "the calls", seconds=LIMITS)
    assert len({run.state().visits["create-payment"].worker for run in runs}) == 2
    return runs


def done_once(home: House) -> None:
    ledger = home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (2, 2)
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


def by_process(command: Worker, number: signal.Signals) -> None:
    command.send_signal(number)


def by_group(command: Worker, number: signal.Signals) -> None:
    """As systemd does it, and a terminal: every worker gets it as well."""
    os.killpg(command.pid, number)


Signal = Callable[[Worker, signal.Signals], None]


@pytest.mark.parametrize("send", [by_process, by_group])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_once_every_worker_lets_its_call_land(
    home: House, send: Signal, number: signal.Signals
) -> None:
    command = several(home)
    runs = in_both(home, seconds=3)
    send(command, number)
    assert command.wait(LIMITS) == 0
    assert home.logs().count("finishing 1 call, up to 25 s") == 2
    assert "handing-over" not in home.logs()
    home.worker()
    assert {run.wait(LIMITS) for run in runs} == {"succeeded"}
    assert [doubts(run) for run in runs] == [[], []]
    done_once(home)


@pytest.mark.parametrize("send", [by_process, by_group])
def test_ctrl_c_twice_hands_all_calls_over_at_once(home: House, send: Signal) -> None:
    command = several(home, "--grace", "300")
    runs = in_both(home, seconds=70)
    send(command, signal.SIGINT)
    wait_for(lambda: home.logs().count("worker.draining") == 2, "the drain", seconds=LIMITS)
    send(command, signal.SIGINT)
    assert command.wait(LIMITS) == 0
    assert home.logs().count("worker.handing-over") == 2
    home.worker()
    assert {run.wait(LIMITS) for run in runs} == {"succeeded"}
    assert [doubts(run) for run in runs] == [["create-payment"]] * 2
    done_once(home)


def test_what_does_not_land_within_the_grace_is_handed_over(home: House) -> None:
    command = several(home, "--grace", "1")
    in_both(home, seconds=70)
    command.send_signal(signal.SIGTERM)
    assert command.wait(LIMITS) == 0
    assert home.logs().count("worker.handing-over") == 2


def test_a_killed_worker_is_replaced_and_its_run_goes_on(home: House) -> None:
    command = several(home)
    runs = in_both(home, seconds=8)
    before = at_work(home)
    os.kill(before[runs[0].state().visits["create-payment"].worker], signal.SIGKILL)
    says(home, "worker.died")
    wait_for(lambda: set(at_work(home)) - set(before), "the replacement", seconds=LIMITS)
    assert {run.wait(LIMITS) for run in runs} == {"succeeded"}
    assert home.logs().count('"worker.died"') == 1
    done_once(home)
    command.send_signal(signal.SIGTERM)
    assert command.wait(LIMITS) == 0


def test_a_killed_command_leaves_nobody_and_its_calls_land(home: House) -> None:
    command = several(home)
    runs = in_both(home, seconds=3)
    pids = at_work(home).values()
    command.kill()
    wait_for(lambda: not any(lives(pid) for pid in pids), "their end", seconds=LIMITS)
    home.worker()
    assert {run.wait(LIMITS) for run in runs} == {"succeeded"}
    assert [doubts(run) for run in runs] == [[], []]
    done_once(home)


@pytest.mark.parametrize(
    ("unfit", "keys", "code", "said"),
    [(True, True, 4, "error: redis-unfit: "), (False, False, 2, "error: settings-refused: ")],
)
def test_what_a_worker_refuses_is_said_once_and_is_the_commands_own_end(
    home: House, *, unfit: bool, keys: bool, code: int, said: str
) -> None:
    if unfit:
        with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
            client.config_set("maxmemory", 1 << 28)
            client.config_set("maxmemory-policy", "allkeys-lru")
    command = several(home, **({} if keys else {"DURAZZO_KEYS": ""}))
    assert command.wait(LIMITS) == code
    assert home.logs().count(said) == 1
    assert home.logs().count("\n") == 1


def test_without_a_redis_all_workers_use_one_embedded_server(home: House) -> None:
    embedded = Embedded(home.folder / "own")
    command = several(home, DURAZZO_REDIS_URL="", DURAZZO_HOME=str(embedded.home))
    wait_for(lambda: home.logs().count(" ready.") == 2, "both", seconds=LIMITS)
    assert home.logs().count(f"Connected to redis+socket://{embedded.socket}") == 2
    command.send_signal(signal.SIGTERM)
    assert command.wait(LIMITS) == 0
    assert not embedded.answers()

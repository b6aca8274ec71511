"""Redis in trouble under real workers: they wait, say why, act never twice, and carry on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops import lab
from ops.chaos.links import Links
from orchestrator.errors import JournalUnavailable
from orchestrator.service import Run
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, wire
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

#: For whatever waits on real processes. s.
PATIENCE = 90
#: Lines that a worker of two children may log of one trouble, however long it lasts.
FEW = 60


def submitted(home: House, count: int = 3) -> list[Run]:
    plan = plan_of(CHARGE_AND_TEXT)
    return [home.submit(plan, home.charge_inputs()) for _ in range(count)]


def refused(home: House) -> str:
    """Why nothing is accepted."""
    with pytest.raises(JournalUnavailable) as caught:
        submitted(home, 1)
    assert caught.value.exit_code == 4
    return caught.value.reason


def in_flight(home: House, more_than: int) -> Callable[[], bool]:
    return lambda: len(home.ledger()["requests"]) > more_than


def said(home: House, reason: str) -> bool:
    return f'"reason": "{reason}"' in home.logs()


def finish(home: House) -> None:
    """Every run that the journal has ends well, each charged and texted once, by one worker."""
    runs = home.wiring.core.journal.recent(1_000)
    for run in runs:
        assert Run(home.wiring.core, run).wait(PATIENCE) == "succeeded", home.logs()[-4000:]
    ledger = home.ledger()
    assert (len(ledger["charges"]), len(ledger["messages"])) == (len(runs), len(runs))
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}
    assert [worker.poll() for worker in home.workers] == [None]


def slow_providers(home: House) -> None:
    home.sandbox.faults({"match": "POST *", "do": "latency", "ms": 300, "times": 10_000})


@dataclass(frozen=True, slots=True)
class Server:
    """The house's Redis, which the test puts in trouble."""

    client: Any
    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        self.client.config_set("maxmemory", self.client.info("memory")["used_memory"] - 100_000)
        yield
        self.client.config_set("maxmemory", 0)

    @contextmanager
    def replica(self) -> Iterator[None]:
        self.client.replicaof("127.0.0.1", "1")
        yield
        self.client.replicaof("NO", "ONE")

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.client.config_set("min-replicas-to-write", "1")
        yield
        self.client.config_set("min-replicas-to-write", "0")

    @contextmanager
    def without_disk(self) -> Iterator[None]:
        self.client.config_set("save", "3600 1")
        (self.folder / "dump.rdb").mkdir()
        self._snapshot("err")
        yield
        (self.folder / "dump.rdb").rmdir()
        self._snapshot("ok")

    def _snapshot(self, status: str) -> None:
        self.client.bgsave()
        wait_for(
            lambda: self.client.info("persistence")["rdb_last_bgsave_status"] == status,
            "a snapshot",
            seconds=PATIENCE,
        )


def test_while_redis_refuses_writes_workers_wait_and_then_carry_on_by_themselves(
    at_home: House,
) -> None:
    """One trouble after the other, in the middle of calls: their outcomes are not lost."""
    slow_providers(at_home)
    at_home.worker()
    with connect(at_home.environ["DURAZZO_REDIS_URL"]) as client:
        server = Server(client, at_home.folder)
        for reason, trouble in (
            ("out-of-memory", server.full),
            ("read-only", server.replica),
            ("no-replicas", server.alone),
            ("disk-failing", server.without_disk),
        ):
            seen = len(at_home.ledger()["requests"])
            runs = submitted(at_home, 5)
            wait_for(in_flight(at_home, seen), "a call", seconds=PATIENCE)
            before = len(at_home.logs().splitlines())
            with trouble():
                assert refused(at_home) == reason
                wait_for(lambda why=reason: said(at_home, why), reason, seconds=PATIENCE)  # type: ignore[misc]
                assert len(at_home.logs().splitlines()) - before < FEW
            # One of them at least, before the next trouble.
            wait_for(
                lambda these=runs: any(run.state().end for run in these),  # type: ignore[misc]
                f"a run to end after {reason}",
                seconds=PATIENCE,
            )
    finish(at_home)
    for line in at_home.logs().splitlines():
        # Nothing that nobody foresaw.
        event = json.loads(line).get("event", "") if line.startswith("{") else ""
        assert "Unrecoverable" not in event
        assert event not in {"pulse.broken", "step.crashed"}, line


def test_a_silent_redis_holds_nobody_for_long_and_loses_nothing(at_home: House) -> None:
    slow_providers(at_home)
    at_home.worker()
    with connect(at_home.environ["DURAZZO_REDIS_URL"]) as client:
        server = int(client.info("server")["process_id"])  # type: ignore[index,arg-type,unused-ignore]
    submitted(at_home)
    wait_for(in_flight(at_home, 0), "a call", seconds=PATIENCE)
    os.kill(server, signal.SIGSTOP)
    try:
        # What was sent meanwhile may be carried out later: then it is in the journal.
        assert refused(at_home) == "silent"
        wait_for(lambda: said(at_home, "silent"), "the worker to say it", seconds=PATIENCE)
    finally:
        os.kill(server, signal.SIGCONT)
    finish(at_home)


def test_a_failover_is_waited_out_and_nothing_happens_twice(at_home: House, tmp_path: Path) -> None:
    """A coordinated one. What a primary had not passed on when it died, no client can know."""
    slow_providers(at_home)
    (tmp_path / "other").mkdir()
    with ExitStack() as stack:
        there = stack.enter_context(lab.valkey(tmp_path / "other"))
        old = stack.enter_context(connect(at_home.environ["DURAZZO_REDIS_URL"]))
        new = stack.enter_context(connect(there))
        ports = [lab.free_port(), lab.free_port()]
        for client, port in zip((old, new), ports, strict=True):
            client.config_set("port", port)
        new.replicaof("127.0.0.1", str(ports[0]))
        wait_for(
            lambda: info(new, "replication").get("master_link_status") == "up",
            "the replica",
            seconds=PATIENCE,
        )
        links = stack.enter_context(Links())
        here = at_home.environ["DURAZZO_REDIS_URL"].removeprefix("unix://")
        line = links.lay("redis", to=here, at=f"{here}-line")
        at_home.environ["DURAZZO_REDIS_URL"] = f"unix://{line.at}"
        at_home.wiring.app.close()
        at_home.wiring = wire(from_environ(at_home.environ))
        at_home.worker()
        submitted(at_home)
        wait_for(in_flight(at_home, 0), "a call", seconds=PATIENCE)
        old.execute_command("FAILOVER", "TO", "127.0.0.1", ports[1])
        wait_for(
            lambda: info(new, "replication")["role"] == "master", "the failover", seconds=PATIENCE
        )
        assert refused(at_home) == "read-only"
        links.begin(line.lead(there.removeprefix("unix://")))
        links.calm()
        submitted(at_home)
        finish(at_home)
        at_home.stop()


def info(client: Any, section: str) -> dict[str, Any]:
    found: dict[str, Any] = client.info(section)
    return found

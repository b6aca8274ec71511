"""Durability: what a Redis server says of how well it keeps what it acknowledged.

Nothing here changes the server. None everywhere means: it could not be asked, because an ACL
forbids it or a hosted service does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from orchestrator.journal.trouble import answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    #: Name and version, e.g. "Valkey 9.1.2".
    server: str | None = None
    #: A replica refuses writes.
    replica: bool | None = None
    #: Whether every write goes to an append-only file.
    aof: bool | None = None
    #: When that file goes to disk: "always", "everysec", "no".
    fsync: str | None = None
    #: Whether snapshots (RDB) are made by themselves.
    snapshots: bool | None = None
    #: The last write of the file, or the last snapshot, failed.
    failing: bool | None = None
    #: What is thrown away when the memory is used up; "noeviction": nothing.
    eviction: str | None = None
    #: Bytes.
    used: int | None = None
    #: Bytes; 0: no limit is set.
    limit: int | None = None
    #: Whether a client can wait until its write is on disk (WAITAOF).
    waitaof: bool | None = None


def ask(client: redis.Redis) -> Durability:
    """Raises JournalUnavailable when the server cannot be reached."""
    with answering():
        client.ping()
        told: Mapping[str, Any] = _told(client, "INFO") or {}
        # One by one: older servers take one name, and "*" would bring passwords along.
        config: Mapping[str, str] = {
            name: value
            for asked in ("appendfsync", "save")
            for name, value in (_told(client, "CONFIG GET", asked) or {}).items()
        }
        command = _told(client, "COMMAND INFO", "WAITAOF")
    return Durability(
        server=_server(told),
        replica=_as(told, "role", lambda role: role != "master"),
        aof=_as(told, "aof_enabled", bool),
        fsync=config.get("appendfsync"),
        snapshots=_as(config, "save", bool),
        failing=_failing(told),
        eviction=told.get("maxmemory_policy"),
        used=told.get("used_memory"),
        limit=told.get("maxmemory"),
        waitaof=None if command is None else bool(command[0]),
    )


def _told(client: redis.Redis, *words: str) -> Any:
    try:
        return client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return None


def _as(told: Mapping[str, Any], name: str, read: Any) -> Any:
    return read(told[name]) if name in told else None


def _server(told: Mapping[str, Any]) -> str | None:
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told['redis_version']}" if "redis_version" in told else None


def _failing(told: Mapping[str, Any]) -> bool | None:
    names = ("aof_last_write_status", "rdb_last_bgsave_status")
    found = [told[name] for name in names if name in told]
    return any(status != "ok" for status in found) if found else None

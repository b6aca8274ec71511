"""The scripts, and one round trip for a call of one.

They are beside this file; each opens with its signature and what is atomic.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

import redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from orchestrator.errors import JournalUnavailable
from orchestrator.journal.line import BARRIER
from orchestrator.journal.trouble import answering


class Scripts:
    def __init__(self, client: redis.Redis, names: Sequence[str], *, barrier: bool) -> None:
        """``barrier``: what is called as durable is on disk before its answer is given."""
        self._client = client
        self._barrier = barrier
        self._scripts: Final = {name: client.register_script(source(name)) for name in names}

    def __getitem__(self, name: str) -> Script:
        return self._scripts[name]

    def call(
        self, name: str, keys: Sequence[str], args: Sequence[Any], *, durable: bool = False
    ) -> Any:
        """Raises JournalUnavailable."""
        with answering():
            if not (durable and self._barrier):
                return self._once(self._scripts[name], keys, args)
            # One connection: the server waits for the writes of this one only.
            with self._client.pipeline(transaction=False) as pipeline:
                self._scripts[name](keys=keys, args=args, client=pipeline)
                pipeline.execute_command("WAITAOF", 1, 0, BARRIER)  # type: ignore[no-untyped-call]
                reply, synced = pipeline.execute(raise_on_error=False)
            if isinstance(reply, redis.RedisError):
                raise reply
        _require_on_disk(synced)
        return reply

    def _once(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        try:
            return self._client.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # A server that was restarted: redis-py hands it the script and calls it.
            return script(keys=keys, args=args)


def _require_on_disk(synced: Any) -> None:
    """``synced``: what WAITAOF answered."""
    if isinstance(synced, redis.RedisError):
        raise JournalUnavailable(
            "DURAZZO_BARRIER needs a server that has WAITAOF (Redis 7.2, Valkey) and appendonly"
            " yes",
            reason="no-barrier",
        ) from synced
    if not synced[0]:
        raise JournalUnavailable(
            f"Redis did not have it on disk within {BARRIER} ms; it may or may not be kept",
            reason="not-on-disk",
        )


def source(name: str) -> str:
    """A script as the server gets it.

    Its first line says when the server may start it. ``#!lua``: not while the server refuses
    writes, so that no script stops halfway, and nothing new begins on a server that is full.
    ``allow-oom``: also while its memory is used up; what was begun ends, and keeps its lease.
    ``no-writes``: always.
    """
    folder = resources.files("orchestrator.journal")
    lib, script = ((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("lib", name))
    flags, _, rest = script.partition("\n")
    return f"{flags}\n{lib}{rest}"

"""Measuring on Redis: one script, and what the server and the broker's lists say beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from orchestrator.engine.state import Visit
from orchestrator.journal.gauges import Measured, Queue, Server, Use
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Ref
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.trouble import answering, unavailable

#: A run that is looked at later than this from now waits; one that was due longer ago is stuck. ms.
LONG: Final = 60_000


class RedisGauges:
    def __init__(self, client: redis.Redis, keys: Keys | None = None) -> None:
        self._client = client
        self._keys = keys or Keys()
        self._scripts = Scripts(client, ("gauges",), barrier=False)

    def measure(self, scopes: Sequence[str]) -> Measured:
        k = self._keys
        keys = [k.due, k.doubt, k.leader, k.clock, *map(k.limit, scopes)]
        now, unfinished, waiting, overdue, due, unknown, since, led, ticked, limits = (
            self._scripts.call("gauges", keys, [LONG, LONG])
        )
        counts, server = self._told()
        return Measured(
            now=now,
            unfinished=unfinished,
            waiting=waiting,
            overdue=overdue,
            first_due=_ms(due),
            unknown=unknown,
            unknown_since=_ms(since),
            led=bool(led),
            ticked=_ms(ticked),
            uses=dict(zip(scopes, map(_use, limits), strict=True)),
            counts=counts,
            server=server,
        )

    def _told(self) -> tuple[dict[str, int], Server]:
        """A server that does not speak of itself is measured all the same."""
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(self._keys.counts)
            pipeline.info("memory")
            pipeline.info("persistence")
            plain, *told = pipeline.execute(raise_on_error=False)
        if isinstance(plain, redis.RedisError):
            raise unavailable(plain) from plain
        memory, persistence = ({} if isinstance(t, redis.RedisError) else t for t in told)
        counts = {name.decode(): int(number) for name, number in plain.items()}
        return counts, Server(
            memory=memory.get("used_memory"),
            limit=memory.get("maxmemory"),
            delayed=persistence.get("aof_delayed_fsync"),
        )

    def queues(self, names: Sequence[str]) -> list[Queue]:
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.llen(name)
                # kombu puts a message at a list's head, and takes one from its end.
                pipeline.lindex(name, -1)
            told = iter(pipeline.execute())
        return [Queue(length=n, oldest=last or b"") for n, last in zip(told, told, strict=True)]

    def sent(self, refs: Sequence[Ref]) -> list[int]:
        if not refs:
            return []
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for ref in refs:
                pipeline.hget(self._keys.run(ref.run), f"s:{ref.step}")
            # A message may name what is no run: whoever has Redis may put anything there.
            found = pipeline.execute(raise_on_error=False)
        return [_since(ref, text) for ref, text in zip(refs, found, strict=True)]


def _since(ref: Ref, text: Any) -> int:
    try:
        visit = Visit.decode(text.decode()) if isinstance(text, bytes) else None
    except (KeyError, TypeError, ValueError):
        # Of a newer release.
        return 0
    return visit.since if visit and visit.number == ref.visit else 0


def _use(told: Sequence[Any]) -> Use:
    gate, urgent, bulk, busy, factor, until = told
    return Use(
        gate_us=int(gate),
        urgent_us=int(urgent),
        bulk_us=int(bulk),
        busy=busy,
        factor=float(factor),
        until=_ms(until),
    )


def _ms(text: Any) -> int:
    """Redis writes what is stored as a number with a fraction, as Lua makes it, in its own way."""
    return int(float(text))


__all__ = ["LONG", "RedisGauges"]

"""redis-py's client with a short way for what durazzo sends most: the call of a script.

redis-py's own way takes every command apart, counts and times it, and polls the socket before it is
used: more than half of what a call costs its caller.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import Any

import hiredis
import redis
from redis.connection import AbstractConnection


class Client(redis.Redis):
    """Thread-safe, as redis-py's; a child that is forked opens connections of its own."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: Of the pool, and in use as it sees it: ``close`` ends them with the others.
        self._idle: deque[AbstractConnection] = deque()
        self._pid = os.getpid()

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Tries again as the connection's ``retry`` says, and raises what redis-py raises."""
        packed = (hiredis.pack_command(("EVALSHA", sha, numkeys, *keys_and_args)),)
        connection: Any = self._lent()

        def ask() -> Any:
            # A connection that broke is made anew here.
            connection.send_packed_command(packed)
            return connection.read_response()

        try:
            answer = connection.retry.call_with_retry(ask, lambda _: connection.disconnect())
        except redis.ResponseError:
            raise
        except BaseException:
            # Cut short, the answer to this would be the next caller's.
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)
        return answer

    def _lent(self) -> AbstractConnection:
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()
        with suppress(IndexError):
            return self._idle.pop()
        return self.connection_pool.get_connection()

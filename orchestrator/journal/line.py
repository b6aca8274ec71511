"""The line to Redis: how long anybody waits for it, durazzo's own client and Celery's two alike.

A server that is silent holds nobody for longer than ANSWER, or CONNECT and ANSWER where a
connection must be made first. Whoever waits longer than a heartbeat has lost its leases anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

T = TypeVar("T")

#: For a connection to come about. s.
CONNECT: Final = 3.0
#: For an answer: longer than a slow disk or a fork takes a healthy server. s.
ANSWER: Final = 5.0
#: How long a write may take to the disk; under appendfsync everysec it takes up to a second.
#: Below ANSWER, or a slow disk would look like a silent server. ms.
BARRIER: Final = 4_000
#: A connection that was idle for so long is tried before it is trusted. s.
HEALTH: Final = 10

#: Of one process: a worker's threads (1,000 at most), its pulse, and what Celery has beside them.
#: Where there are none left, a call fails at once.
CONNECTIONS: Final = 1_200

#: Tries after the first, while they fail at once: a server that is restarted is back soon.
_AGAIN: Final = 3


class Patience(Retry):
    """One call's tries, in all the layers in which the client tries.

    A command, the health check before it and the connecting before that each try by themselves:
    four tries of ten seconds came to 160. Here only the outermost tries again, and not once
    ANSWER is over. What is sent again may have been executed: every script says so ("lost",
    "busy"), and harms nothing.
    """

    def __init__(self) -> None:
        super().__init__(ExponentialBackoff(cap=0.5, base=0.02), retries=_AGAIN)
        # A connection has its own copy, and is used by one thread at a time.
        self._within = False

    def call_with_retry(
        self, do: Callable[[], T], fail: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> T:
        if self._within:
            return Retry(NoBackoff(), 0).call_with_retry(do, fail, *args, **kwargs)
        ends = time.monotonic() + ANSWER

        def failed(error: Exception, *rest: Any) -> None:
            fail(error, *rest)
            if time.monotonic() >= ends:
                raise error

        self._within = True
        try:
            return super().call_with_retry(do, failed, *args, **kwargs)
        finally:
            self._within = False

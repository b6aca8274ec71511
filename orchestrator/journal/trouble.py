"""Redis in trouble: whatever its client raises becomes JournalUnavailable, which says why.

Nobody above sees an error of the client's: its text may quote what was sent.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Final

import redis
from redis.exceptions import ClusterDownError, MasterDownError, NoPermissionError

from orchestrator.errors import JournalUnavailable

#: By type, most exact first: the reason as logs have it, and in words.
_KINDS: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (redis.AuthenticationError, "not-let-in", "it refuses the user or the password"),
    (redis.BusyLoadingError, "loading", "it still loads its data"),
    (redis.OutOfMemoryError, "out-of-memory", "its memory is used up (maxmemory)"),
    (redis.ReadOnlyError, "read-only", "it is a replica, which refuses writes"),
    (MasterDownError, "primary-lost", "it is a replica that has lost its primary"),
    (ClusterDownError, "cluster-down", "its cluster is down"),
    (ssl.SSLError, "no-tls", "no TLS connection comes about"),
    (TimeoutError, "silent", "it does not answer in time"),
    (redis.TimeoutError, "silent", "it does not answer in time"),
    (OSError, "no-connection", "no connection comes about"),
)
#: Answers that the client has no type for, by their first word.
_WORDS: Final = {
    "MISCONF": ("disk-failing", "it cannot write to its disk, and refuses writes until it can"),
    "NOREPLICAS": ("no-replicas", "too few replicas follow it (min-replicas-to-write)"),
    "BUSY": ("busy", "a script of somebody's keeps it busy"),
    "UNBLOCKED": ("read-only", "it became a replica, which refuses writes"),
}
#: How Valkey and Redis begin where a script lacks a right: for the client any error of a script.
_IN_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")
_COMMAND: Final = re.compile(r"run the '([a-z|_-]{1,40})' command")
_DEPTH: Final = 5
_REFUSED: Final = ("refused", "it refuses a command")
_BROKEN: Final = ("broken-off", "the connection breaks")


class _Answering:
    """A class, as each call of a script enters it: a generator would cost ten times as much."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if isinstance(error, redis.RedisError):
            raise unavailable(error) from error


_ANSWERING: Final = _Answering()


def answering() -> _Answering:
    """All that Redis' client raises as JournalUnavailable, with the reason, without a secret."""
    return _ANSWERING


def unavailable(error: BaseException) -> JournalUnavailable:
    """``error``: the client's, or one that was raised because of it."""
    reason, words = _reason(error)
    return JournalUnavailable(f"Redis cannot be used: {words}", reason=reason)


def _reason(error: BaseException) -> tuple[str, str]:
    chain = list(_chain(error))
    for found in chain:
        # A pipeline puts its own words, and the command, in front.
        answer = str(found).rpartition("caused error: ")[2]
        if isinstance(found, NoPermissionError) or answer.startswith(_IN_SCRIPT):
            return "not-permitted", f"the user may not {_right(answer)}"
        for kind, reason, words in _KINDS:
            if isinstance(found, kind):
                return reason, words
        if isinstance(found, redis.ResponseError):
            return _WORDS.get(answer.partition(" ")[0], _REFUSED)
    broken = any(isinstance(found, redis.ConnectionError) for found in chain)
    return _BROKEN if broken else _REFUSED


def _right(answer: str) -> str:
    """What the user's rules lack: the name of a command, and never that of a key."""
    if found := _COMMAND.search(answer):
        return f"run {found[1].upper()}, which durazzo needs"
    kind = next((kind for kind in ("key", "channel") if kind in answer), "")
    return f"use a {kind} that durazzo needs" if kind else "do what durazzo needs"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The client wraps what the system said, and Celery what the client said."""
    found: BaseException | None = error
    for _ in range(_DEPTH):
        if found is not None:
            yield found
            found = found.__cause__ or found.__context__

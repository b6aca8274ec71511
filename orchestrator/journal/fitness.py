"""What a server's settings mean for runs, in words: one place for `doctor` and a worker's start.

A setting that breaks a promise is refused; one that can lose what was acknowledged is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.errors import RedisUnfit
from orchestrator.journal.durability import Durability

_FULL: Final = 0.95
_FILLING: Final = 0.8
_MIB: Final = 1024 * 1024
#: The scripts' first lines are understood since then; Valkey always did.
_OLDEST: Final = 7
_PERSIST: Final = "set appendonly yes, and appendfsync everysec or always"
_UNSAID: Final = "it must persist (appendonly yes) and never evict (maxmemory-policy noeviction)"


class Grade(StrEnum):
    OK = "ok"
    #: It can lose something, or soon will.
    WARNING = "warning"
    ERROR = "error"
    #: The server does not say.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    name: str
    grade: Grade = Grade.OK
    message: str
    #: What to do; "" when there is nothing to do.
    hint: str = ""
    #: Whether a promise is broken for as long as it stays so: no worker starts.
    unfit: bool = False


def judge(told: Durability, *, barrier: bool, allow_eviction: bool) -> list[Judgement]:
    """``barrier``, ``allow_eviction``: as in the settings."""
    return [
        _version(told),
        _persistence(told),
        _eviction(told, allowed=allow_eviction),
        _memory(told),
        *_writable(told),
        *(_barrier(told) if barrier else ()),
    ]


def require_fit(judgements: list[Judgement]) -> None:
    """Raises RedisUnfit with all that breaks a promise."""
    if broken := [f"{one.message}: {one.hint}" for one in judgements if one.unfit]:
        raise RedisUnfit("; ".join(broken))


def _version(told: Durability) -> Judgement:
    if told.server is None:
        return _unsaid("version", hint="")
    found = re.fullmatch(r"Redis (\d{1,4})\b.*", told.server)
    if found and int(found[1]) < _OLDEST:
        return _unfit(
            "version", f"{told.server} is too old", f"use Redis {_OLDEST} or later, or Valkey"
        )
    waits = {
        True: ", with WAITAOF",
        False: ", without WAITAOF (Redis 7.2 and Valkey have it)",
        None: "",
    }
    return Judgement(name="version", message=told.server + waits[told.waitaof])


def _persistence(told: Durability) -> Judgement:
    match told:
        case Durability(aof=None):
            return _unsaid("persistence")
        case Durability(aof=True, fsync=fsync):
            return _file(fsync)
        case Durability(snapshots=False):
            lost = "nothing is written to disk: a restart loses every run, and what it charged"
        case Durability(snapshots=True):
            lost = "snapshots only: a crash loses every run, and every charge, since the last one"
        case _:
            lost = "no append-only file: a crash loses at least all since the last snapshot"
    return _warning("persistence", lost, _PERSIST)


def _file(fsync: str | None) -> Judgement:
    match fsync:
        case "always":
            lost = "a power cut loses nothing that was acknowledged"
        case "everysec":
            lost = "a power cut can lose the last second, two at most"
        case None:
            return Judgement(
                name="persistence",
                grade=Grade.UNKNOWN,
                message="append-only file; CONFIG is not allowed, so appendfsync is not known",
                hint="everysec can lose a second at a power cut, always nothing",
            )
        case _:
            lost = "append-only file, appendfsync no: a power cut can lose half a minute"
            return _warning("persistence", lost, "set appendfsync everysec or always")
    return Judgement(name="persistence", message=f"append-only file, appendfsync {fsync}: {lost}")


def _eviction(told: Durability, *, allowed: bool) -> Judgement:
    name = "eviction"
    if told.eviction is None:
        return _unsaid(name)
    if told.eviction == "noeviction":
        return Judgement(name=name, message="noeviction: nothing is thrown away")
    # The volatile-… policies take what has an expiry: whose a text is that was looked up.
    whole = told.eviction.startswith("allkeys")
    lost = "runs and messages" if whole else "what keeps one text from counting for two orders"
    message = f"maxmemory-policy {told.eviction}: a full server throws {lost} away"
    hint = "set maxmemory-policy noeviction"
    if not told.limit:
        return _warning(name, f"{message} (no maxmemory is set now)", hint)
    if allowed:
        return _warning(name, f"{message}, which DURAZZO_ALLOW_EVICTION=1 allows", hint)
    return _unfit(name, message, f"{hint}, or DURAZZO_ALLOW_EVICTION=1 to accept that")


def _memory(told: Durability) -> Judgement:
    if told.used is None or told.limit is None:
        return _unsaid("memory")
    used = f"{told.used / _MIB:.1f} MiB used"
    if not told.limit:
        return Judgement(name="memory", message=f"{used}, no maxmemory is set")
    share = told.used / told.limit
    message = f"{used} of {told.limit / _MIB:.1f} MiB ({share:.0%})"
    if share < _FILLING:
        return Judgement(name="memory", message=message)
    return Judgement(
        name="memory",
        grade=Grade.ERROR if share >= _FULL else Grade.WARNING,
        message=message,
        hint="raise maxmemory: a full server accepts no run and begins no call",
    )


def _writable(told: Durability) -> Iterator[Judgement]:
    if told.replica:
        yield _unfit(
            "role",
            "it is a replica, which refuses writes",
            "name the primary in DURAZZO_REDIS_URL",
        )
    if told.failing:
        yield Judgement(
            name="disk",
            grade=Grade.ERROR,
            message="its last write to disk failed: it may refuse writes until one succeeds",
            hint="look at the server's log, and whether its disk is full",
        )


def _barrier(told: Durability) -> Iterator[Judgement]:
    if told.waitaof is False or told.aof is False:
        missing = "has no WAITAOF" if told.waitaof is False else "writes no append-only file"
        yield _unfit(
            "barrier",
            f"DURAZZO_BARRIER=on, and the server {missing}",
            "use Redis 7.2 or later, or Valkey, with appendonly yes; or unset it",
        )


def _warning(name: str, message: str, hint: str) -> Judgement:
    return Judgement(name=name, grade=Grade.WARNING, message=message, hint=hint)


def _unfit(name: str, message: str, hint: str) -> Judgement:
    return Judgement(name=name, grade=Grade.ERROR, message=message, hint=hint, unfit=True)


def _unsaid(name: str, *, hint: str = _UNSAID) -> Judgement:
    return Judgement(
        name=name,
        grade=Grade.UNKNOWN,
        message="could not be checked: the server does not answer INFO",
        hint=hint,
    )

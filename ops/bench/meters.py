"""What is read off: CPU time by process, Redis' own statistics, the commands it saw."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from orchestrator.journal.scripts import source

_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Journal scripts that beat and keep time, whether runs are under way or not.
_PULSE: Final = frozenset({"heartbeat", "tick", "alive", "postpone"})
_CHORES: Final = frozenset({"PING", "EVAL", "CLIENT", "INFO", "MONITOR", "HELLO", "SELECT"})


def cpu_seconds(pid: int) -> float:
    """User and system time of one living process, without its children."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS


def children(pid: int) -> list[int]:
    """Those that are there; what goes away meanwhile has none."""
    found: list[int] = []
    # The folder itself may go while it is listed, and a file after it was.
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with suppress(FileNotFoundError, ProcessLookupError):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                found += map(int, text.split())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Of the whole server since it started."""

    bytes_in: int
    bytes_out: int
    scripts: int
    memory: int

    @staticmethod
    def read(redis: Any) -> Traffic:
        stats, commands = redis.info("stats"), redis.info("commandstats")
        return Traffic(
            bytes_in=stats["total_net_input_bytes"],
            bytes_out=stats["total_net_output_bytes"],
            scripts=commands.get("cmdstat_evalsha", {"calls": 0})["calls"],
            memory=redis.info("memory")["used_memory"],
        )


@dataclass(slots=True)
class Seen:
    """Commands as clients sent them, by whom and what; those that scripts ran are apart."""

    journal: Counter[str] = field(default_factory=Counter)
    celery: Counter[str] = field(default_factory=Counter)
    inside: int = 0
    #: Bytes of the messages that were published.
    published: list[int] = field(default_factory=list)
    _group: list[str] | None = None

    def take(self, origin: str, command: str, names: dict[str, str]) -> None:
        words = command.split(" ", 3)
        verb = words[0].upper()
        if origin == "lua":
            self.inside += 1
        elif verb == "EVALSHA":
            self._script(names.get(words[1]))
        elif verb == "HGETALL" or (verb == "HGET" and "}:" in words[1]):
            self.journal[f"{verb} (a read)"] += 1
        elif verb not in _CHORES and "pidbox" not in command:
            self._of_celery(verb, words)

    def _script(self, name: str | None) -> None:
        if name is None:
            self.celery["EVALSHA (a lock of kombu's)"] += 1
        elif name not in _PULSE:
            self.journal[name] += 1

    def _of_celery(self, verb: str, words: list[str]) -> None:
        if verb == "LPUSH":
            self.published.append(len(" ".join(words[2:])))
        if verb == "MULTI":
            self._group = []
        elif verb == "EXEC":
            self.celery[f"MULTI {'+'.join(self._group or [])} EXEC"] += 1
            self._group = None
        elif self._group is not None:
            self._group.append(verb)
        elif verb != "PUBLISH" or "celeryev" in words[1]:
            self.celery["PUBLISH (events)" if verb == "PUBLISH" else verb] += 1


@contextmanager
def watching(redis: Any) -> Iterator[Seen]:
    """Every command until the block ends, by MONITOR. It slows the server: let no clock run."""
    seen, names = Seen(), _script_names()
    ended = os.urandom(8).hex()
    ready = threading.Event()

    def listen() -> None:
        with redis.monitor() as monitor:
            ready.set()
            for said in monitor.listen():
                if ended in said["command"]:
                    return
                seen.take(said["client_type"], said["command"], names)

    thread = threading.Thread(target=listen, daemon=True, name="monitor")
    thread.start()
    ready.wait()
    try:
        yield seen
    finally:
        redis.echo(ended)
        thread.join()


def _script_names() -> dict[str, str]:
    """The journal's scripts by the digest that EVALSHA names."""
    files = [file.name for file in resources.files("orchestrator.journal").iterdir()]
    names = {file.removesuffix(".lua") for file in files if file.endswith(".lua")} - {"lib"}
    return {hashlib.sha1(source(name).encode()).hexdigest(): name for name in names}  # noqa: S324

"""Processes that belong to this one: each in a group of its own, none of them outlives it.

Their data and logs are in one folder. All of it is gone when the context ends, or when this
process does: see ``sweeper``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ops import sweeper

#: The sweeper's own patience, and some. s.
_SWEPT: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """And its group."""
        return self.process.pid

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        """Living processes of its group but itself, by age."""
        return [pid for pid in group(self.pid) if pid != self.pid]


class Crew:
    def __init__(self, name: str, broken: Callable[[str], Exception]) -> None:
        """``name``: of the folder. ``broken``: what is raised when a process or the folder is not
        as it should be; what went wrong is its argument.
        """
        self._name = name
        self._broken = broken
        self._members: list[Member] = []

    def __enter__(self) -> Self:
        self._sweeper = subprocess.Popen(
            [sys.executable, "-I", "-S", sweeper.__file__, f"durazzo-{self._name}-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C and a closed terminal are for this process, which the sweeper outlives.
            start_new_session=True,
        )
        assert self._sweeper.stdout is not None  # noqa: S101
        made = self._sweeper.stdout.readline().rstrip("\n")
        if not made:
            self._leave()
            raise self._broken(
                "no temporary folder can be made: set TMPDIR to one that can be written"
            )
        self.folder = Path(made)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def start(self, name: str, words: Sequence[str], environ: Mapping[str, str]) -> Member:
        """It runs in the folder: nothing of the caller's is imported there.

        Its log goes on where that of a former one of its name ends. Raises ``broken``.
        """
        log = self.folder / f"{name.replace(' ', '-')}.log"
        try:
            with log.open("ab") as out:
                process = subprocess.Popen(
                    list(words),
                    cwd=self.folder,
                    # What a killed one leaves among temporary files goes with the folder.
                    env={**environ, "TMPDIR": str(self.folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise self._broken(f"{name} cannot be started: {error.strerror}") from error
        self._tell(f"group {process.pid}")
        member = Member(name=name, process=process, log=log)
        self._members.append(member)
        return member

    def bury(self, member: Member) -> None:
        """Kills what is left of its group, and returns when its first process is gone."""
        _end(member)
        if member in self._members:
            self._members.remove(member)
            self._tell(f"ended {member.pid}")

    def check(self) -> None:
        """Raises ``broken`` for a process that ended by itself."""
        for member in self._members:
            if (code := member.process.poll()) is not None:
                raise self._broken(
                    f"{member.name} ended by itself (exit code {code}): see {member.log}"
                )

    def of(self, pid: int) -> Member | None:
        """Whose group this process belongs to, if it lives."""
        try:
            found = os.getpgid(pid)
        except ProcessLookupError:
            return None
        return next((member for member in self._members if member.pid == found), None)

    def also_remove(self, file: Path) -> None:
        self._tell(f"file {file}")

    def keep_logs(self) -> None:
        self._tell("keep")

    def _tell(self, line: str) -> None:
        assert self._sweeper.stdin is not None  # noqa: S101
        # Without a sweeper nobody listens, and the groups are ended at the end as well.
        with suppress(BrokenPipeError):
            self._sweeper.stdin.write(f"{line}\n")
            self._sweeper.stdin.flush()

    def _leave(self) -> None:
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            # Closes its standard input, which is its sign.
            self._sweeper.communicate(timeout=_SWEPT)
        for member in self._members:
            _end(member)


def _end(member: Member) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(member.pid, signal.SIGKILL)
    member.process.wait()


def group(leader: int) -> list[int]:
    """Living processes of a group."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat="],  # noqa: S607 - of the system's path
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return sorted(int(pid) for pid, of, state in rows if int(of) == leader and state[0] != "Z")


def strike(pid: int, number: signal.Signals, *, whole_group: bool = False) -> bool:
    """Whether there was somebody to strike."""
    try:
        os.killpg(pid, number) if whole_group else os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True

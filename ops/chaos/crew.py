"""The storm's processes, each in a group of its own. None of them outlives the storm.

The demo's sweeper ends them should this process be killed itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ops.demo import sweeper

#: The sweeper's own patience, and some. s.
_SWEPT: Final = 10.0


class ChaosBroken(Exception):
    """The storm itself does not work: it says nothing about durazzo."""


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
    def __init__(self) -> None:
        self._members: list[Member] = []

    def __enter__(self) -> Self:
        self._sweeper = subprocess.Popen(
            [sys.executable, "-I", "-S", sweeper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._sweeper.stdout is not None  # noqa: S101
        folder = self._sweeper.stdout.readline().rstrip("\n")
        if not folder:
            self._leave()
            raise ChaosBroken("no temporary folder can be made: set TMPDIR to one that can")
        self.folder = Path(folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def start(self, name: str, words: Sequence[str], environ: Mapping[str, str]) -> Member:
        """Its log is ``<name>.log`` in the folder, and goes on where that of a former one ends."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                list(words),
                cwd=self.folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tell(f"group {process.pid}")
        member = Member(name=name, process=process, log=log)
        self._members.append(member)
        return member

    def bury(self, member: Member) -> None:
        """Ends what is left of its group, and waits for its first process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(member.pid, signal.SIGKILL)
        member.process.wait()
        if member in self._members:
            self._members.remove(member)
            self._tell(f"ended {member.pid}")

    def also_remove(self, file: Path) -> None:
        self._tell(f"file {file}")

    def _tell(self, line: str) -> None:
        assert self._sweeper.stdin is not None  # noqa: S101
        # Without a sweeper nobody listens, and the groups are ended at the end as well.
        with suppress(BrokenPipeError):
            self._sweeper.stdin.write(f"{line}\n")
            self._sweeper.stdin.flush()

    def _leave(self) -> None:
        for member in list(self._members):
            self.bury(member)
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            # Closes its standard input, which is its sign.
            self._sweeper.communicate(timeout=_SWEPT)


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

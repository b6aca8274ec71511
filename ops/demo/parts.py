"""The demo's processes, each in a group of its own, and the folder of their data and logs.

All of it is gone when the context ends, or when this process does: see ``sweeper``.
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
from typing import ClassVar, Final, Self

from ops.demo import sweeper
from orchestrator.errors import DurazzoError

#: The sweeper's own patience, and some. s.
_SWEPT: Final = 10.0


class PartBroke(DurazzoError):
    """A process of the demo did not start, or ended by itself."""

    code: ClassVar[str] = "demo-part-broke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def group(self) -> int:
        return self.process.pid


class Parts:
    def __init__(self) -> None:
        self._running: list[Part] = []

    def __enter__(self) -> Self:
        self._sweeper = subprocess.Popen(
            [sys.executable, "-I", "-S", sweeper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C and a closed terminal are for the demo, which the sweeper outlives.
            start_new_session=True,
        )
        assert self._sweeper.stdout is not None  # noqa: S101
        made = self._sweeper.stdout.readline().rstrip("\n")
        if not made:
            self._leave()
            raise PartBroke(
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

    def start(self, name: str, words: Sequence[str], environ: Mapping[str, str]) -> Part:
        """Raises PartBroke. It runs in the folder: nothing of the caller's is imported there."""
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
            raise PartBroke(f"{name} cannot be started: {error.strerror}") from error
        self._tell(f"group {process.pid}")
        part = Part(name=name, process=process, log=log)
        self._running.append(part)
        return part

    def check(self) -> None:
        """Raises PartBroke for a process that ended by itself."""
        for part in self._running:
            if (code := part.process.poll()) is not None:
                raise PartBroke(f"{part.name} ended by itself (exit code {code}): see {part.log}")

    def of(self, pid: int) -> Part | None:
        """The part that this process belongs to, if it lives."""
        try:
            group = os.getpgid(pid)
        except ProcessLookupError:
            return None
        return next((part for part in self._running if part.group == group), None)

    def kill(self, part: Part) -> None:
        """Kills the whole group, and returns when its first process is gone."""
        os.killpg(part.group, signal.SIGKILL)
        self._running.remove(part)
        part.process.wait()
        self._tell(f"ended {part.group}")

    def also_remove(self, file: Path) -> None:
        self._tell(f"file {file}")

    def keep_logs(self) -> None:
        self._tell("keep")

    def _tell(self, line: str) -> None:
        assert self._sweeper.stdin is not None  # noqa: S101
        # Without a sweeper nobody listens, and the processes are ended at the end as well.
        with suppress(BrokenPipeError):
            self._sweeper.stdin.write(f"{line}\n")
            self._sweeper.stdin.flush()

    def _leave(self) -> None:
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            # Closes its standard input, which is its sign.
            self._sweeper.communicate(timeout=_SWEPT)
        for part in self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(part.group, signal.SIGKILL)
            part.process.wait()

"""Programs of a rival: told and heard in lines of JSON, and what they and theirs spent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from ops import lab
from ops.bench.stage import BenchBroken

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Program:
    """A process of the rival's own Python. It says a first line when it is ready."""

    def __init__(
        self, python: Path, *words: str, environ: Mapping[str, str], folder: Path, name: str
    ) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", *words],
                env={**environ, "PYTHONPATH": str(lab.CHECKOUT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def tell(self, **fields: object) -> None:
        said = _there(self._process.stdin)
        with suppress(BrokenPipeError):  # It ended: hear says so.
            said.write(json.dumps(fields) + "\n")
            said.flush()

    def hear(self) -> dict[str, Any]:
        """Raises BenchBroken when it has ended."""
        line = _there(self._process.stdout).readline()
        if not line:
            raise BenchBroken(f"a rival's program ended: {self._log.read_text()[-2000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def kill(self) -> None:
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            _there(self._process.stdin).close()
            _there(self._process.stdout).close()


def _there(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise BenchBroken("a program without pipes")
    return pipe


def spent(pids: Iterable[int]) -> float:
    """CPU seconds so far of these and of all their children, the ended ones as well."""
    return sum(_spent(pid) for pid in pids)


def _spent(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        tasks = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        # A thread or a child ended while it was read: then its parent has its time.
        return _spent(pid) if Path(f"/proc/{pid}").exists() else 0.0
    return cpu_of(stat) + spent(int(child) for children in tasks for child in children)


def cpu_of(stat: str) -> float:
    """Of one line of /proc/PID/stat: its own time and that of children it has waited for."""
    # The second field is a name that may have spaces and brackets in it.
    fields = stat.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS

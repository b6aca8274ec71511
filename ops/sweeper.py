"""A process apart that clears up after another: ``python sweeper.py PREFIX``.

It makes a folder of this prefix for it and prints its path. Then it is told, a line each:

    group PID    a process group was started
    ended PID    it is gone, and its number may be somebody else's by now
    file PATH    a file outside the folder
    keep         the logs in the folder stay

When its standard input ends, the other is gone, however it went: orderly, by Ctrl-C, with its
terminal or killed. Every group is then killed, and every file removed. Imports nothing of
durazzo's: it has to start at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

#: A killed process may write until it is gone: so long is its folder removed again. s.
_PATIENCE: Final = 5.0


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix=sys.argv[1]))
    groups: set[int] = set()
    files: list[Path] = []
    keep = False
    with suppress(OSError):
        print(folder, flush=True)
    for line in sys.stdin:
        match line.rstrip("\n").split(" ", 1):
            case ["group", pid]:
                groups.add(int(pid))
            case ["ended", pid]:
                groups.discard(int(pid))
            case ["file", path]:
                files.append(Path(path))
            case _:
                keep = True
    sweep(folder, groups, files, keep=keep)


def sweep(folder: Path, groups: Iterable[int], files: Iterable[Path], *, keep: bool) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    ends = time.monotonic() + _PATIENCE
    while not _cleared(folder, keep=keep) and time.monotonic() < ends:
        time.sleep(0.01)
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _cleared(folder: Path, *, keep: bool) -> bool:
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    # Deepest first, so that a folder is empty when its turn comes.
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()
            elif path.suffix != ".log":
                path.unlink()
    return all(path.suffix == ".log" for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()

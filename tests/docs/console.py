"""A page's ``console`` blocks, run in one shell as its reader would run them.

What is printed must be what the page shows, but for ids, durations and ports; a line ``…`` in
the page stands for any lines. DURAZZO_REWRITE_GOLDEN=1 writes what was printed into the page.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.lab import CHECKOUT, free_port, wait_for

_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```)", re.MULTILINE | re.DOTALL)
_MARK = "\x1e"
_PORT = "8099"
#: Said only where a worker takes its time to end.
_SLOW = "a call is under way: waiting"
_DIFFERS = (
    (r"\bpi_\w{24}(_secret_\w+)?", "pi_ID"),
    (r"\bcus_\w{14}", "cus_ID"),
    (r"\bSM[0-9a-f]{32}", "SM_ID"),
    (r"\b0[0-9a-hjkmnp-tv-z]{25}\b", "RUN"),
    (r"\bb-[a-z2-7]{16}\b", "BATCH"),
    (r"\b[0-9a-f]{32}\b", "HEX"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "DATE"),
    (r"\b\d+(\.\d+)? (s|ms)\b", "TIME"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r" +", " "),
)


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    #: What the page says that it prints.
    printed: str


def commands(page: str) -> list[Command]:
    return [command for block in _BLOCK.findall(page) for command in _in_block(block)]


def _in_block(block: str) -> list[Command]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        lines = part.splitlines(keepends=True)
        count = 1
        while lines[count - 1].endswith("\\\n"):
            count += 1
        found.append(Command("".join(lines[:count]).rstrip("\n"), "".join(lines[count:])))
    return found


def check(file: Path, folder: Path) -> None:
    """Run the page's commands in ``folder`` and compare what they print."""
    page = file.read_text()
    expected = commands(page)
    printed = _run([command.text for command in expected], folder)
    if os.environ.get("DURAZZO_REWRITE_GOLDEN"):
        file.write_text(_rewritten(page, printed))
        expected = commands(file.read_text())
    for command, output in zip(expected, printed, strict=True):
        shown, real = _plain(command.printed), _plain(output)
        assert _matches(shown, real), (
            f"{file.name}: $ {command.text}\nshows:\n{command.printed}\nprinted:\n{output}"
        )


def _run(texts: list[str], folder: Path) -> list[str]:
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "COLUMNS": "100",
    }
    port = str(free_port())
    lines = [f"cp -r {CHECKOUT}/specs .", "exec 2>&1"]
    for text in texts:
        lines += [f"printf '{_MARK}\\n'", _adapted(text.replace(_PORT, port))]
    with (folder / "printed").open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(lines)],
            cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: shell.poll() is not None, "the page's commands", seconds=110)
    finally:
        # What it started in the background goes on, as a reader's would.
        os.killpg(shell.pid, signal.SIGKILL)
    text = (folder / "printed").read_text()
    text = text.replace(str(folder), "~").replace(f"127.0.0.1:{port}", f"127.0.0.1:{_PORT}")
    return [part.removeprefix("\n") for part in text.split(_MARK)[1:]]


def _adapted(text: str) -> str:
    """What runs in the background prints nothing into the page, and is waited for."""
    if "durazzo sandbox" not in text:
        return text
    waiting = "while [ ! -s sandbox.env ]; do sleep 0.05; done"
    return f"{text.removesuffix('&')} >/dev/null 2>&1 &\n{waiting}"


def _rewritten(page: str, printed: list[str]) -> str:
    rest = list(reversed(printed))

    def block(match: re.Match[str]) -> str:
        return "".join(
            f"$ {command.text}\n{_kept(command.printed, rest.pop())}"
            for command in _in_block(match[0])
        )

    return _BLOCK.sub(block, page)


def _kept(shown: str, real: str) -> str:
    """The page's own text where it still holds, ids and all."""
    if _matches(_plain(shown), _plain(real)):
        return shown
    return "".join(line.rstrip() + "\n" for line in real.splitlines())


def _plain(text: str) -> str:
    for pattern, word in _DIFFERS:
        text = re.sub(pattern, word, text)
    return "\n".join(
        line.rstrip() for line in text.splitlines() if line.strip() and _SLOW not in line
    )


def _matches(shown: str, real: str) -> bool:
    lines = (r"(?:.*\n)*" if line == "…" else re.escape(line) + r"\n" for line in shown.split("\n"))
    return re.fullmatch("".join(lines), real + "\n") is not None


__all__ = ["Command", "check", "commands"]

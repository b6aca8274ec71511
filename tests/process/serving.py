"""A command of durazzo's that runs beside a test, and what is asked of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ops.lab import CHECKOUT, wait_for

_URL = re.compile(r"http://[^/\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    process: subprocess.Popen[bytes]
    out: Path

    @property
    def url(self) -> str:
        """Once it listens."""
        what = f"{self.out.stem} to listen"
        wait_for(lambda: _URL.search(self.out.read_text()), what, seconds=60)
        found = _URL.search(self.out.read_text())
        return found[0] if found else ""

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@contextmanager
def serving(
    folder: Path, environ: Mapping[str, str], *words: str, name: str = ""
) -> Iterator[Served]:
    """Its output is in ``NAME.out``, its errors in ``NAME.log``; told to end when the test does."""
    name = name or words[0]
    out, log = folder / f"{name}.out", folder / f"{name}.log"
    with out.open("wb") as stdout, log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *words],
            env=dict(environ),
            cwd=CHECKOUT,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield Served(process=process, out=out)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


__all__ = ["Served", "serving"]

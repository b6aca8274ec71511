"""Where the rivals are installed, so that the project itself need not have them.

An environment for each in the user's cache: filled at the first use, which needs PyPI, and taken
as it is from then on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

DBOS: Final = ("dbos==3.4.0", "SQLAlchemy==2.1.9", "psycopg[binary]==3.3.9", "httpx==0.28.1")
ARAZZO_RUNNER: Final = ("arazzo-runner==0.9.6", "requests==2.34.2", "PyYAML==6.0.3")
_INSTALLING_S: Final = 600


class NotInstalled(Exception):
    """Why a rival is left out."""


def python_with(packages: tuple[str, ...]) -> Path:
    """A Python that can import them. Raises NotInstalled."""
    name = packages[0].replace("==", "-")
    place = _cache() / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix="unfinished-") as folder:
            unfinished = Path(folder) / place.name
            _install(unfinished, packages)
            # Somebody else may have been quicker: then theirs is as good.
            with suppress(OSError):
                unfinished.rename(place)
    return place / "bin" / "python"


def _cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "durazzo-rivals"


def _install(place: Path, packages: tuple[str, ...]) -> None:
    pip = (str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries", "1")
    print(f"Installing {packages[0]} into {_cache()}.", flush=True)
    for command in ((sys.executable, "-m", "venv", str(place)), (*pip, *packages)):
        try:
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_INSTALLING_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotInstalled(
                f"{packages[0]} cannot be installed (the first time needs PyPI)"
            ) from error

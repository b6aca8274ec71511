"""The whole deployment, each service by its own command, with secrets that its own script made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.lab import CHECKOUT
from tests.deploy.native import Deployment

#: For a machine without Redis' own program: the same words to the same server.
_REDIS_CLI = """\
#!{python}
import os
import sys
import redis

words = sys.argv[1:]
options = {{"-p": "6379", "--user": None, "--pass": os.environ.get("REDISCLI_AUTH")}}
while words and words[0].startswith("-"):
    name = words.pop(0)
    if name != "--no-auth-warning":
        options[name] = words.pop(0)
client = redis.Redis(
    port=int(options["-p"]), username=options["--user"], password=options["--pass"],
    decode_responses=True,
)
answer = client.execute_command(*words)
print("PONG" if answer is True else answer)
"""


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """Down, and gone at the end, whatever a test left."""
    with tempfile.TemporaryDirectory(prefix="dz-", ignore_cleanup_errors=True) as folder:
        made = deploy(Path(folder))
        try:
            yield made
        finally:
            made.kill_all()


def deploy(folder: Path) -> Deployment:
    deployment = Deployment(folder)
    redis = f"127.0.0.1:{deployment.ports['6379']}"
    script = str(CHECKOUT / "ops" / "deploy" / "secrets.sh")
    subprocess.run(
        [script, "--demo", "--redis", redis], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    name, _, value = (folder / ".env").read_text().strip().partition("=")
    deployment.dotenv = {name: value}
    _programs(folder / "bin")
    return deployment


def _programs(folder: Path) -> None:
    """What a person has on the path."""
    folder.mkdir()
    (folder / "durazzo").symlink_to(Path(sys.executable).parent / "durazzo")
    native = f'exec {sys.executable} -m tests.deploy.native {folder.parent} "$@"'
    _script(folder / "docker", f"#!/bin/sh\ncd {CHECKOUT} && {native}\n")
    if shutil.which("redis-cli", path=os.defpath) is None:
        _script(folder / "redis-cli", _REDIS_CLI.format(python=sys.executable))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)

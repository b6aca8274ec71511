"""What the acts are played on: Valkey, the sandbox, workers and Flower, all on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Final

import httpx

from ops import lab
from ops.crew import Crew, Member
from ops.demo.acts import Act
from ops.embedded import Embedded
from ops.sandbox.server import BackgroundSandbox
from orchestrator.errors import DurazzoError
from orchestrator.service import Core, Loaded, Run, submit, validate
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, load_profiles, wire

#: A slow disk, an old machine. ms.
_PATIENCE: Final = 60_000
#: Seconds until a killed worker's calls are another's. In earnest: six.
_HEARTBEAT: Final = "1"


class PartBroke(DurazzoError):
    """A process of the demo did not start, or ended by itself."""

    code: ClassVar[str] = "demo-part-broke"


class Stage:
    def __init__(
        self,
        *,
        crew: Crew,
        valkey: Embedded,
        sandbox: BackgroundSandbox,
        environ: Mapping[str, str],
        wiring: Wiring,
        interrupted: Callable[[], None],
    ) -> None:
        """``interrupted`` is called while something is waited for, and may raise."""
        self.sandbox = sandbox
        self.flower = f"http://127.0.0.1:{lab.free_port()}"
        self._crew = crew
        self._valkey = valkey
        self._environ = environ
        self._wiring = wiring
        self._interrupted = interrupted

    @property
    def core(self) -> Core:
        return self._wiring.core

    @property
    def logs(self) -> str:
        return str(self._crew.folder)

    def keep_logs(self) -> None:
        """Everything else goes at the end all the same."""
        self._crew.keep_logs()

    def check(self) -> None:
        """Raises PartBroke, and what ``interrupted`` does."""
        self._interrupted()
        self._crew.check()

    def begin(self) -> None:
        """Starts everything but the second worker; ``ready`` waits for it. Raises PartBroke."""
        self._crew.start("Valkey", self._valkey.command(), lab.base_environ())
        self._wait(self._valkey.answers, "Valkey")
        self._start_flower()
        self._start_worker("worker 1")

    def ready(self) -> None:
        """The first worker works, and Flower hears it; a second one is on its way."""
        self._wait(lambda: self._working("worker 1"), "worker 1")
        self._wait(self._flower_hears, "Flower")
        self._start_worker("worker 2")

    def submit(self, act: Act, loaded: Loaded) -> Run:
        if act.kill:
            # Somebody has to carry on.
            self._wait(lambda: self._working("worker 2"), "worker 2")
        if act.faults:
            self.sandbox.faults(act.faults)
        return submit(self.core, loaded.plan, act.inputs)

    def written(self, act: Act, run: Run) -> str:
        """What the act's step wrote, "" while it has written nothing."""
        if act.writes is None:
            return ""
        step, name = act.writes
        found = self.core.journal.outputs(run.id, [step]).get(step, {})
        return str(found.get(name, ""))

    def kill_who_calls(self, run: Run, step: str) -> Member:
        """Kills the worker that has the lease of this step, with its children."""
        part = self._crew.of(_pid(run.state().visits[step].worker))
        if part is None:
            raise PartBroke(f"the worker in step {step} was gone before it was killed")
        self._crew.bury(part)
        return part

    def _working(self, name: str) -> bool:
        parts = (self._crew.of(_pid(worker)) for worker in self.core.journal.alive())
        return any(part is not None and part.name == name for part in parts)

    def _start_worker(self, name: str) -> None:
        # -P: what lies in the folder is not imported.
        words = [
            sys.executable, "-P", "-m", "ops.cli.main", "worker", "--pool", "prefork",
            "--concurrency", "2",
        ]  # fmt: skip
        self._crew.start(name, words, self._environ)

    def _start_flower(self) -> None:
        words = [
            sys.executable, "-P", "-m", "ops.cli.main", "flower", "--no-login",
            "--port", self.flower.rpartition(":")[2],
            "--db", str(self._crew.folder / "flower" / "tasks"),
        ]  # fmt: skip
        self._crew.start("Flower", words, self._environ)

    def _flower_hears(self) -> bool:
        """It shows what it was told while it listened, so the acts wait for it."""
        try:
            answer = httpx.get(f"{self.flower}/workers?json=1", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success and bool(answer.json()["data"])

    def _wait(self, ready: Callable[[], object], part: str) -> None:
        clock = self.core.clock
        ends = clock.monotonic_ms() + _PATIENCE
        while not ready():
            self.check()
            if clock.monotonic_ms() > ends:
                raise PartBroke(f"{part} did not answer in {_PATIENCE // 1000} s: see {self.logs}")
            clock.sleep_ms(20)


@contextmanager
def staged(interrupted: Callable[[], None]) -> Iterator[Stage]:
    """A stage that nothing is left of when the context ends. Raises PartBroke."""
    with BackgroundSandbox() as sandbox, Crew("demo", PartBroke) as crew:
        valkey = Embedded(crew.folder / "data")
        valkey.home.mkdir(mode=0o700)
        crew.also_remove(valkey.socket)
        environ = {
            **lab.base_environ(),
            **sandbox.env,
            "DURAZZO_REDIS_URL": valkey.url,
            "DURAZZO_KEYS": valkey.key(),
            "DURAZZO_HEARTBEAT": _HEARTBEAT,
        }
        wiring = wire(from_environ(environ))
        yield Stage(
            crew=crew,
            valkey=valkey,
            sandbox=sandbox,
            environ=environ,
            wiring=wiring,
            interrupted=interrupted,
        )


def load(act: Act) -> Loaded:
    """Raises DocumentRefused."""
    return validate(act.file, load_profiles().values(), overlays=act.overlays)


def _pid(worker: str) -> int:
    """As ``workers.process.incarnation`` makes names: host-pid-token."""
    return int(worker.rsplit("-", 2)[1])


__all__ = ["PartBroke", "Stage", "load", "staged"]

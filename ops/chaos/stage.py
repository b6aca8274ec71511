"""What the storm passes over: Valkey, the sandbox, workers, and the lines between them."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from ops import lab
from ops.chaos.disk import Disk
from ops.chaos.links import Link, Links
from ops.chaos.schedule import Fault, Options, link_names
from ops.crew import Crew, Member, strike
from ops.embedded import Embedded
from ops.sandbox.settings import TWILIO_ACCOUNT_SID
from orchestrator.settings import from_environ
from orchestrator.wiring import Wiring, wire

#: A slow disk, an old machine. s.
_PATIENCE: Final = 60.0
#: Between a worker's end and its successor's start. s.
_PAUSE: Final = 0.3
#: Children whose parent was killed may finish what they do. s.
_ORPHANS: Final = 3.0


class ChaosBroken(Exception):
    """The storm itself does not work: it says nothing about durazzo."""


class Slot:
    """A place for a worker: when one dies, the next is started."""

    def __init__(
        self, number: int, crew: Crew, words: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self.member: Member | None = None
        self.restarts = 0
        self._name = f"worker {number}"
        self._crew = crew
        self._words = words
        self._environ = environ
        self._died: float | None = None

    def start(self) -> None:
        self.member = self._crew.start(self._name, self._words, self._environ)

    def tend(self) -> None:
        """Buries the dead, with children that outlived them, and starts the successor."""
        if self.member is None or self.member.lives:
            return
        now = time.monotonic()
        if self._died is None:
            self._died = now
        gone = now - self._died
        if gone < _PAUSE or (gone < _ORPHANS and self.member.children()):
            return
        self._crew.bury(self.member)
        self._died = None
        self.restarts += 1
        self.start()

    @property
    def log(self) -> Path:
        assert self.member is not None  # noqa: S101  started with the stage
        return self.member.log


class Stage:
    def __init__(
        self,
        *,
        crew: Crew,
        links: Links,
        lines: Mapping[str, Link],
        valkey: Embedded,
        redis: Member,
        disk: Disk,
        sandbox: str,
        slots: Sequence[Slot],
        desk: Wiring,
        judge: Wiring,
    ) -> None:
        """``desk`` submits over a line that breaks; ``judge`` looks past it."""
        self.links = links
        self.lines = list(lines.values())
        self.slots = slots
        self.desk = desk
        self.judge = judge
        self._crew = crew
        self._valkey = valkey
        self._redis = redis
        self._disk = disk
        self._sandbox = sandbox
        self._mark = 0

    @property
    def folder(self) -> Path:
        return self._crew.folder

    def behind(self, line: Link) -> Member | None:
        """The worker whose line it is, None for the submitter's."""
        number = self.lines.index(line) // 2
        return self.slots[number].member if number < len(self.slots) else None

    def wait_ready(self) -> None:
        """Every child of every worker has a heartbeat. Raises ChaosBroken."""
        for slot in self.slots:
            slot.start()
        _wait(self._all_alive, f"the workers: see {self.folder}")

    def tend(self) -> None:
        for slot in self.slots:
            slot.tend()

    def kill_redis(self, *, lost: float = 0) -> None:
        """``lost``: the share that a power cut takes of what was not on the disk yet."""
        self._mark = self._disk.mark()
        self._crew.bury(self._redis)
        if lost:
            self._disk.cut_power(lost)

    def keep(self) -> None:
        """Returns when no power cut takes what was written before."""
        self._disk.catch_up()

    def start_redis(self) -> bool:
        """Whether it has all that it had acknowledged."""
        self._redis = _started_redis(self._crew, self._valkey)
        return self._disk.has(self._mark)

    def faults(self, faults: Sequence[Fault]) -> None:
        self._ask("POST", "/faults", list(map(dict, faults)))

    def end_faults(self) -> Sequence[Mapping[str, Any]]:
        """What they were, each with how often it struck."""
        rows: list[Mapping[str, Any]] = self._ask("GET", "/faults")["faults"]
        self._ask("DELETE", "/faults")
        return rows

    def ledger(self) -> dict[str, Any]:
        return self._ask("GET", "/ledger")

    def thaw(self) -> None:
        """Nobody stays frozen."""
        for slot in self.slots:
            if slot.member is not None:
                strike(slot.member.pid, signal.SIGCONT, whole_group=True)

    def _all_alive(self) -> bool:
        self._check()
        alive = {pid_of(name) for name in self.judge.core.journal.alive()}
        return all(
            slot.member is not None and bool(children := slot.member.children())
            and alive.issuperset(children)
            for slot in self.slots
        )  # fmt: skip

    def _check(self) -> None:
        for slot in self.slots:
            if slot.member is not None and not slot.member.lives:
                log = slot.log.read_text(errors="replace")[-2000:]
                raise ChaosBroken(f"a worker did not start:\n{log}")

    def _ask(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        try:
            answer = httpx.request(
                method, self._sandbox + path, json=document, timeout=60, trust_env=False
            )
        except httpx.TransportError as error:
            raise ChaosBroken(f"the sandbox does not answer ({type(error).__name__})") from error
        if not answer.is_success:
            raise ChaosBroken(f"the sandbox answers {path} with {answer.text[:500]}")
        said: dict[str, Any] = answer.json()
        return said


@contextmanager
def staged(options: Options) -> Iterator[Stage]:
    """Nothing of it is left when the context ends, however it ends. Raises ChaosBroken."""
    with Crew("chaos", ChaosBroken) as crew, Links() as links, ExitStack() as stack:
        valkey = Embedded(crew.folder / "data")
        valkey.home.mkdir(mode=0o700)
        crew.also_remove(valkey.socket)
        redis = _started_redis(crew, valkey)
        # As appendfsync everysec has it, whatever this disk is like.
        every = 0 if options.barrier else 1.0
        disk = stack.enter_context(Disk(valkey.home, valkey.socket, every=every))
        sandbox, variables = _started_sandbox(crew)
        lines = _laid(options, links, crew.folder, valkey=valkey, sandbox=sandbox)
        environ = {
            **lab.base_environ(),
            **variables,
            "DURAZZO_KEYS": valkey.key(),
            "DURAZZO_HEARTBEAT": str(options.heartbeat),
            "PYTHONPATH": str(lab.CHECKOUT),
            "DURAZZO_BARRIER": "on" if options.barrier else "off",
            "DURAZZO_CHAOS_BREAK": options.broken,
        }
        submitter = lines["submitter to redis"]
        wirings = [
            wire(from_environ({**environ, "DURAZZO_REDIS_URL": url}))
            for url in (f"unix://{submitter.at}", valkey.url)
        ]
        try:
            yield Stage(
                crew=crew,
                links=links,
                lines=lines,
                valkey=valkey,
                redis=redis,
                disk=disk,
                sandbox=sandbox,
                slots=list(_slots(options, crew, lines, environ)),
                desk=wirings[0],
                judge=wirings[1],
            )
        finally:
            for wiring in wirings:
                wiring.app.close()


def pid_of(worker: str) -> int:
    """As ``workers.process.incarnation`` makes names: host-pid-token."""
    return int(worker.rsplit("-", 2)[1])


def _slots(
    options: Options, crew: Crew, lines: Mapping[str, Link], environ: Mapping[str, str]
) -> Iterator[Slot]:
    for number in range(options.workers):
        words = [
            # -P: what lies in the folder is not imported.
            sys.executable, "-P", "-m", "celery", "-A", "ops.chaos.worker", "worker",
            "--pool", "prefork", "-c", str(options.children), "-l", "INFO", "-E",
            "--without-gossip", "--without-mingle", "-n", f"chaos-{number}@%h",
        ]  # fmt: skip
        redis = lines[f"worker {number} to redis"].at
        servers = json.loads(environ["DURAZZO_SERVERS"])
        port = lines[f"worker {number} to providers"].at
        own = {
            "DURAZZO_REDIS_URL": f"unix://{redis}",
            "DURAZZO_SERVERS": json.dumps({
                prefix: f"http://127.0.0.1:{port}/{url.rpartition('/')[2]}"
                for prefix, url in servers.items()
            }),
        }
        yield Slot(number, crew, words, {**environ, **own})


def _laid(
    options: Options, links: Links, folder: Path, *, valkey: Embedded, sandbox: str
) -> dict[str, Link]:
    port = int(sandbox.rpartition(":")[2])
    return {
        name: links.lay(name, to=str(valkey.socket), at=str(folder / f"line-{number}"))
        if name.endswith("redis")
        else links.lay(name, to=port)
        for number, name in enumerate(link_names(options.workers))
    }


def _started_redis(crew: Crew, valkey: Embedded) -> Member:
    member = crew.start("valkey", valkey.command(), lab.base_environ())
    _wait(valkey.answers, "Valkey")
    return member


def _started_sandbox(crew: Crew) -> tuple[str, dict[str, str]]:
    """Its URL, and what points durazzo at it."""
    file = crew.folder / "sandbox.env"
    words = [sys.executable, "-P", "-m", "ops.sandbox", "--env-file", str(file)]
    crew.start("sandbox", words, {**lab.base_environ(), "PYTHONPATH": str(lab.CHECKOUT)})
    _wait(file.exists, "the sandbox")
    pairs = shlex.split(file.read_text())
    variables = dict(word.split("=", 1) for word in pairs if word != "export")
    if variables["TWILIO_ACCOUNT_SID"] != TWILIO_ACCOUNT_SID:
        raise ChaosBroken("the sandbox has another account than its settings say")
    stripe: str = json.loads(variables["DURAZZO_SERVERS"])["https://api.stripe.com"]
    return stripe.removesuffix("/stripe"), variables


def _wait(ready: Callable[[], object], what: str) -> None:
    try:
        lab.wait_for(ready, what, seconds=_PATIENCE)
    except TimeoutError as error:
        raise ChaosBroken(str(error)) from None

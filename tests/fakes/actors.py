"""Work that a test stops, kills and lets go on at every place where a process can die.

Each actor is a thread that runs only while the test waits for it, so what happens is
decided by the test alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from orchestrator.journal.port import Ref

Fate = Literal["end", "stop", "crash"]
_here = threading.local()


@dataclass(frozen=True, slots=True)
class Silence:
    """Which of an actor's calls to Redis get no answer, by number from 0."""

    first: int = 0
    #: The first that gets one again.
    past: int = 0
    #: Whether the first of them is carried out all the same.
    carried_out: bool = False


HEARD = Silence()


class Crashed(BaseException):
    """The process is gone: nothing may catch this."""


class Actor:
    def __init__(self, worker: str, work: Callable[[], object], ref: Ref | None = None) -> None:
        self.worker = worker
        #: The visit that it drives, if it does.
        self.ref = ref
        #: Where it stands, "" when it is done.
        self.at = "start"
        self.crashed = False
        self.error: BaseException | None = None
        #: Every change of the journal is sent twice, as a client does that lost an answer.
        self.echo = False
        self.silence = HEARD
        self.calls = 0
        #: Places that it went past.
        self.passed = 0
        self._work = work
        self._passes: int | None = None
        self._kill = False
        self._started = False
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def done(self) -> bool:
        return not self.at

    def go(self, fate: Fate, passes: int = 0) -> None:
        """Run to the end, or past so many places and then stop or die at the next.

        Raises what the work raised, but for a crash.
        """
        assert not self.done
        self._passes = None if fate == "end" else passes
        self._kill = fate == "crash"
        if not self._started:
            self._started = True
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self.error is not None:
            raise self.error

    def crash(self) -> None:
        """Die where it stands."""
        if not self._started:
            self.at = ""
            self.crashed = True
            return
        self.go("crash")

    def pause(self, place: str) -> None:
        self.passed += 1
        if self._passes is None:
            return
        if self._passes > 0:
            self._passes -= 1
            return
        self.at = place
        if self._kill:
            raise Crashed
        self._back.release()
        self._go.acquire()
        self._woken()

    def _woken(self) -> None:
        """Woken to die at once, it dies here; woken to go on, it goes past this place for free."""
        if self._kill and self._passes == 0:
            raise Crashed

    def _run(self) -> None:
        self._go.acquire()
        _here.actor = self
        try:
            self._work()
        except Crashed:
            self.crashed = True
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.error = error
        finally:
            self.at = ""
            self._back.release()


def current() -> Actor | None:
    """The actor whose thread this is."""
    return getattr(_here, "actor", None)


def pause(place: str) -> None:
    """A place where a process can die. Nothing outside of an actor."""
    if (actor := current()) is not None:
        actor.pause(place)

"""What runs beside Redis: the workers by their own word, the timekeeper, runs in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from ops.cli.doctor.finding import Finding, State, counted
from ops.cli.telling import age
from orchestrator.engine.state import VERSION
from orchestrator.journal.keys import Keys
from orchestrator.wiring import Wiring, connect
from workers.signs import ASKED

WORKERS: Final = "Workers"
RUNS: Final = "Runs"
#: How long workers have to say what they are. s.
_SAY: Final = 1.0
#: Of what somebody else wrote.
_LONGEST: Final = 80
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one worker answered."""

    release: str
    lanes: frozenset[str]


def ask(wiring: Wiring, alive: int) -> list[Said]:
    """Those that answer in time; one that is about to end, or of another kind, may not.

    ``alive``: heartbeats, no fewer than there are workers that answer.
    """
    told = wiring.app.control.broadcast(ASKED, reply=True, timeout=_SAY, limit=alive) or []
    answers = [answer for reply in told if isinstance(reply, dict) for answer in reply.values()]
    return [_said(answer) for answer in answers if isinstance(answer, dict)]


def _said(answer: dict[str, Any]) -> Said:
    lanes = answer.get("lanes")
    return Said(
        release=str(answer.get("release", "not known"))[:_LONGEST],
        lanes=frozenset(x for x in lanes if isinstance(x, str))
        if isinstance(lanes, list)
        else frozenset(),
    )


def served(said: Iterable[Said]) -> frozenset[str]:
    return frozenset(lane for one in said for lane in one.lanes)


def taken(said: Iterable[Said]) -> Iterator[Finding]:
    if lanes := sorted(served(said)):
        more = f" and {len(lanes) - _SHOWN} more" if len(lanes) > _SHOWN else ""
        shown = ", ".join(lane[:_LONGEST] for lane in lanes[:_SHOWN])
        yield Finding(group=WORKERS, name="lanes", message=f"they take {shown}{more}")


def releases(said: Iterable[Said]) -> Iterator[Finding]:
    """Whether they are what is installed here: a deploy may be under way, or have stopped."""
    here = version("durazzo")
    others = sorted({one.release for one in said} - {here})
    if others:
        yield Finding(
            group=WORKERS,
            name="release",
            state=State.WARNING,
            message=f"here it is {here}, and workers run {', '.join(others)}",
            hint="finish the deploy: start the older ones again with the newer release",
        )


def idle_lanes(said: list[Said], lanes: Iterable[str], busy: Iterable[str]) -> Iterator[Finding]:
    """Lanes of unfinished runs that no worker takes, also while no message waits in them."""
    if said:
        for lane in sorted(set(lanes) - served(said) - set(busy)):
            yield Finding(
                group=WORKERS,
                name=f"lane {lane}",
                state=State.WARNING,
                message="unfinished runs stand in it, and no worker takes it",
                hint=f"durazzo worker --lane {lane}",
            )


def timekeeper(wiring: Wiring, *, wanted: bool) -> Iterator[Finding]:
    """``wanted``: there is something to keep time for. Within ``answering``."""
    with connect(wiring.settings.redis_url) as client:
        found = client.get(Keys().leader)
    holder = found.decode(errors="replace") if isinstance(found, bytes) else ""
    number, _, who = holder.rpartition(" ")
    if holder and number.isdecimal() and int(number) > VERSION:
        yield _timekeeper(
            "it is of a newer release, which goes on with what this one cannot read",
            "finish the deploy: start the older workers again with the newer release",
        )
    elif holder:
        # As ``workers.process.incarnation`` makes it.
        host = who.rsplit("-", 2)[0][:_LONGEST]
        yield Finding(group=WORKERS, name="timekeeper", message=f"one on {host} keeps time")
    elif wanted:
        yield _timekeeper(
            "nobody keeps time: what waits is not taken up again",
            "ask again in 5 s; if it stays so, durazzo timekeeper or durazzo worker does it",
        )


def _timekeeper(message: str, hint: str) -> Finding:
    return Finding(
        group=WORKERS, name="timekeeper", state=State.WARNING, message=message, hint=hint
    )


def doubts(wiring: Wiring, now: int) -> Iterator[Finding]:
    """Runs with a step of which nobody knows whether it was executed. Within ``answering``."""
    with connect(wiring.settings.redis_url) as client:
        count = int(client.zcard(Keys().doubt))
        first = client.zrange(Keys().doubt, 0, 0, withscores=True)
    if count:
        since = f", the oldest for {age(now - int(first[0][1]))}" if first else ""
        yield Finding(
            group=RUNS,
            name="unknown",
            state=State.WARNING,
            message=f"{counted(count, 'run')} with a step that nobody knows the end of{since}",
            hint="durazzo runs --unknown lists them, and durazzo show says what to do",
        )

"""Charge, then text (seed 000): durazzo beside the same two calls hand-written in Celery."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from ops.bench import anatomy, report
from ops.bench.drain import drain, idle
from ops.bench.meters import Seen, watching
from ops.bench.stage import CONCURRENCY, Stage, Team, now, stage
from ops.bench.weight import weigh

SUMMARY: Final = "charge, then text: round trips, bytes, runs per second, where the time goes"
#: Runs of a team in one round, and rounds: durazzo, by hand, durazzo, by hand, …
RUNS: Final = 300
ROUNDS: Final = 5
_WARM: Final = 60
_COUNTED: Final = 50
_DISSECTED: Final = 150


def main(*, runs: int, rounds: int) -> None:
    """Prints as it goes. Raises BenchBroken when the sandbox's ledger is not what it must be."""
    began = now()
    print(_machine())
    with stage() as found:
        teams: tuple[Team, Team] = (found.durazzo, found.handwritten)
        for team in teams:
            drain(found, team, _WARM)
        ours, theirs = (_watched(found, team) for team in teams)
        report.round_trips(ours, theirs, _COUNTED)
        background = idle(found)
        played = [
            (drain(found, teams[0], runs), drain(found, teams[1], runs)) for _ in range(rounds)
        ]
        report.weights(played, weigh(found), background)
        report.rates(played)
        report.cpu(played)
        report.parts(anatomy.dissect(found, min(runs, _DISSECTED)), played)
        report.verdict(found.ledger(), _sent_again(found), now() - began)


def _watched(found: Stage, team: Team) -> Seen:
    with watching(found.redis) as seen:
        drain(found, team, _COUNTED)
    return seen


def _sent_again(found: Stage) -> int:
    return found.workers[found.durazzo.name].log.read_text().count("segment.sent-again")


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (
        f"{cpu}, {cores} cores, load {load:.1f} before; Python {platform.python_version()}.\n"
        f"One Valkey (AOF everysec), one sandbox, a worker a team: prefork -c {CONCURRENCY}, acks"
        " late, prefetch 1, events on;\ndurazzo's values sealed."
    )

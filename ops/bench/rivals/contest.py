"""The contest: rounds in turn, medians, ratios to durazzo, and what a death in a call does."""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from ops.bench.rivals import figures
from ops.bench.rivals.chart import chart
from ops.bench.rivals.death import Aftermath, dbos_dies, durazzo_dies
from ops.bench.rivals.figures import Standing, standings
from ops.bench.rivals.foreign import OnArazzoRunner, OnDbos
from ops.bench.rivals.installed import ARAZZO_RUNNER, DBOS, NotInstalled, python_with
from ops.bench.rivals.postgres import postgres
from ops.bench.rivals.teams import OnCelery, Play, Provider, Round, Shape, Team
from ops.bench.stage import BenchBroken, Stage, now, stage

SUMMARY: Final = "charge, then text beside DBOS, arazzo-runner and a hand-written chain"
RUNS: Final = 300
ROUNDS: Final = 5
_WARM: Final = 30
_TRIAL: Final = 100
#: A bar does not say what it is the price of.
_NOTES: Final = (
    "When a worker dies in a call: durazzo goes on and texts once;",
    "DBOS and hand-written Celery go on and may text twice; arazzo-runner forgets the run.",
)
INSTANT: Final = Provider(title="an instant provider", latency_ms=0, at_once=16)
SLOW: Final = Provider(title="a provider that takes 200 ms", latency_ms=200, at_once=50)


def arguments(parser: ArgumentParser, number: Callable[[str], int]) -> None:
    parser.add_argument("--runs", type=number, default=RUNS, help="runs a team and round")
    parser.add_argument("--rounds", type=number, default=ROUNDS, help="rounds of each team")
    parser.add_argument("--own", action="store_true", help="only durazzo and the chain")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="an SVG to write")
    parser.set_defaults(
        main=lambda given: main(
            runs=given.runs, rounds=given.rounds, own=given.own, drawn=given.chart
        )
    )


def main(*, runs: int, rounds: int, own: bool = False, drawn: Path | None = None) -> None:
    """Prints as it goes. Raises BenchBroken when the sandbox's ledger is not what it must be."""
    began = now()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before.")
    with ExitStack() as stack:
        found = stack.enter_context(stage())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="durazzo-bench-")))
        teams = list(_own(found, folder))
        if not own:
            teams += _foreign(found, folder, stack)
        results = {}
        for provider in (INSTANT, SLOW):
            with _latency(found, provider.latency_ms):
                results[provider] = _race(teams, provider, runs, rounds)
            figures.show(provider, results[provider])
        figures.show_deaths(_deaths(teams))
    if drawn is not None:
        drawn.write_text(chart(results, _NOTES))
        print(f"\nThe chart is in {drawn}.")
    print(f"\nThe bench took {now() - began:.0f} s; load {os.getloadavg()[0]:.1f} after.")


def _own(found: Stage, folder: Path) -> Iterator[Team]:
    for team, name in ((found.durazzo, "durazzo"), (found.handwritten, "hand-written Celery")):
        yield OnCelery(found=found, team=team, name=name, folder=folder)


def _foreign(found: Stage, folder: Path, stack: ExitStack) -> Iterator[Team]:
    """Those that can be had. Why one cannot is said."""

    def sqlite() -> Team:
        return OnDbos(
            found=found, python=python_with(DBOS), name="DBOS on SQLite",
            database=f"sqlite:///{folder}/dbos.sqlite", folder=folder,
        )  # fmt: skip

    def on_postgres() -> Team:
        python = python_with(DBOS)
        server = stack.enter_context(postgres(folder / "postgres.log"))
        return OnDbos(
            found=found, python=python, name="DBOS on Postgres", database=server.url,
            store=(server.pid,), folder=folder,
        )  # fmt: skip

    def runner() -> Team:
        return OnArazzoRunner(
            found=found, python=python_with(ARAZZO_RUNNER), name="arazzo-runner", folder=folder
        )

    makers = {"DBOS on SQLite": sqlite, "DBOS on Postgres": on_postgres, "arazzo-runner": runner}
    for name, make in makers.items():
        try:
            yield make()
        except NotInstalled as error:
            print(f"{name} is left out: {error}.")


def _race(teams: Sequence[Team], provider: Provider, runs: int, rounds: int) -> Sequence[Standing]:
    """Each in its quickest shape, one round in turn with the others."""
    shapes = [_quickest(team, provider) for team in teams]
    with ExitStack() as stack:
        plays = [
            (team.name, stack.enter_context(team.running(shape)))
            for team, shape in zip(teams, shapes, strict=True)
        ]
        for name, play in plays:
            _played(name, play, _WARM)
        played = [[_played(name, play, runs) for name, play in plays] for _ in range(rounds)]
    return standings([team.name for team in teams], shapes, played)


def _played(name: str, play: Play, runs: int) -> Round:
    try:
        return play(runs)
    except BenchBroken as error:
        raise BenchBroken(f"{name}: {error}") from error


def _quickest(team: Team, provider: Provider) -> Shape:
    """By one round of each."""

    def rate(shape: Shape) -> float:
        with team.running(shape) as play:
            _played(team.name, play, _WARM)
            return _played(team.name, play, _TRIAL).rate

    return max(team.shapes(provider), key=rate)


def _deaths(teams: Sequence[Team]) -> dict[str, Aftermath]:
    """The last part: from here on the ledger has duplicates."""
    deaths = {}
    for team in teams:
        match team:
            case OnDbos():
                deaths[team.name] = dbos_dies(team)
            case OnCelery() if team.team is team.found.durazzo:
                deaths[team.name] = durazzo_dies(team)
            case _:
                pass
    return deaths


@contextmanager
def _latency(found: Stage, ms: int) -> Iterator[None]:
    if not ms:
        yield
        return
    url = f"{found.sandbox}/faults"
    if httpx.post(url, json={"match": "*", "do": "latency", "ms": ms, "times": None}).is_error:
        raise BenchBroken("the sandbox takes no latency")
    try:
        yield
    finally:
        httpx.delete(url)

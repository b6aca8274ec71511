"""``python -m ops.chaos``: a storm over real processes; the sandbox's books say what came of it."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from ops.chaos import report
from ops.chaos.mutations import MUTATIONS
from ops.chaos.passage import passed
from ops.chaos.schedule import PROCESSES, Kind, Options, schedule
from ops.chaos.stage import ChaosBroken
from ops.chaos.workflows import WORKFLOWS
from orchestrator.errors import DurazzoError
from orchestrator.service.batch import MAX_WINDOW

_INTERRUPTED: Final = 130
_BROKEN: Final = 2
#: So much of all the time may be storm.
_STORM: Final = 0.7
#: A day. s.
_LONGEST: Final = 86_400.0
#: Each has a phone number and an amount of their own. And processes of this machine.
_MOST: Final = 100_000
_MOST_PROCESSES: Final = 64
#: In place of a mistake's name.
_ALL: Final = "all"
#: Storms for each.
_TRIES: Final = 3
_DEFAULT: Final = Options(seed=0)


def main(words: Sequence[str] | None = None) -> int:
    """0: every run is accounted for. 1: findings. 2: the storm itself did not work."""
    parser = _parser()
    given = parser.parse_args(words)
    options = _options(given, "" if given.broken == _ALL else given.broken or "")
    if options.seconds > _STORM * 60 * options.minutes:
        parser.error(
            f"a storm of {options.seconds:.0f} s and the calm after it need more than"
            f" --minutes {options.minutes:g}"
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        # So that an end from outside also ends what was started here.
        signal.signal(number, lambda *_: sys.exit(_INTERRUPTED))
    try:
        if given.broken == _ALL:
            return _every_mistake(given)
        return _storm(options, given.keep, only_plan=given.plan)
    except (ChaosBroken, DurazzoError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return _BROKEN
    except KeyboardInterrupt:
        print("chaos: interrupted, everything that it started was ended", file=sys.stderr)
        return _INTERRUPTED


def _storm(options: Options, kept: Path | None, *, only_plan: bool) -> int:
    plan = schedule(options)
    for strike in plan.strikes:
        lasts = f"  {strike.seconds} s" if strike.seconds else ""
        print(f"{strike.at:7.1f} s  {strike.what}  {strike.target(options)}{lasts}")
    for order in plan.orders:
        lasts = f"  {order.seconds} s" if order.seconds else ""
        print(f"{order.at:7.1f} s  {order.what}  batch{lasts}")
    print(f"seed {options.seed}: the same plan again by --seed {options.seed}\n", flush=True)
    if only_plan:
        return 0
    with passed(plan) as (outcome, logs):
        for line in report.lines(outcome):
            print(line)
        if kept is None and not outcome.verdict.ok:
            kept = Path(tempfile.mkdtemp(prefix="durazzo-chaos-"))
        if kept is not None:
            report.keep(outcome, kept, logs)
            print(f"evidence: {kept}")
    return 0 if outcome.verdict.ok else 1


def _every_mistake(given: argparse.Namespace) -> int:
    """0: each was caught. A mistake that needs a moment's luck has a few storms to show itself."""
    missed = []
    for name in MUTATIONS:
        options = _options(given, name)
        seeds = range(options.seed, options.seed + _TRIES)
        if not any(_caught(replace(options, seed=seed)) for seed in seeds):
            missed.append(name)
    print(f"not caught: {', '.join(missed)}" if missed else f"all {len(MUTATIONS)} were caught")
    return 1 if missed else 0


def _caught(options: Options) -> bool:
    with passed(schedule(options)) as (outcome, _):
        codes = sorted({finding.code for finding in outcome.verdict.findings})
    told = f"caught: {', '.join(codes)}" if codes else "not caught"
    print(f"{options.broken}, seed {options.seed}: {told}", flush=True)
    return bool(codes)


def _options(given: argparse.Namespace, broken: str) -> Options:
    """Those of the mutation's own storm go before the defaults, what is asked for before both."""
    storm = MUTATIONS[broken].storm if broken else {}
    asked = {
        f.name: value
        for f in fields(Options)
        if (value := getattr(given, f.name, None)) is not None
    }
    seed = {"seed": secrets.randbelow(2**30)}
    return replace(_DEFAULT, **{**seed, **storm, **asked, "broken": broken})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.chaos", description=__doc__)

    def option(name: str, says: str, **more: Any) -> None:
        default = getattr(_DEFAULT, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", help=f"{says} (default {default})", **more
        )

    parser.add_argument("--seed", type=int, help="of all chance (by default another each time)")
    option("runs", "runs that are submitted", type=_from(1, _MOST, int))
    option("workers", "worker processes", type=_from(1, _MOST_PROCESSES, int))
    option("children", "children of each", type=_from(1, _MOST_PROCESSES, int))
    option("workflow", "what runs", choices=list(WORKFLOWS))
    parser.add_argument(
        "--batch",
        action="store_const",
        const=True,
        help="the runs are the rows of one batch, which is paused, resumed, started again and"
        " repaired meanwhile",
    )
    option("window", "rows of the batch that are busy at a time", type=_from(1, MAX_WINDOW, int))
    option("kills", "processes killed, ended or frozen", type=_from(0, _MOST, int))
    option("redis_kills", "kills of Redis", type=_from(0, _MOST, int))
    option("cuts", "lines cut, stalled or refused", type=_from(0, _MOST, int))
    option("dropped_after", "share of calls carried out without an answer", type=_from(0, 1, float))
    option(
        "dropped_before", "share of calls neither carried out nor answered", type=_from(0, 1, float)
    )
    option("failing", "share of calls answered with 5xx", type=_from(0, 1, float))
    option("dripping", "share of answers sent byte by byte", type=_from(0, 1, float))
    option(
        "storm",
        "seconds that the storm lasts, 0: as long as it needs",
        type=_from(0, _LONGEST, float),
    )
    option("minutes", "when everything ends", type=_from(0, _LONGEST, float))
    option(
        "heartbeat",
        "seconds after which a silent worker has lost its leases",
        type=_from(0.5, 60, float),
    )
    option("look_ups", "seconds for parked calls to be looked up", type=_from(0, _LONGEST, float))
    parser.add_argument(
        "--only",
        type=Kind,
        nargs="+",
        metavar="KIND",
        choices=list(PROCESSES),
        help="ways to strike processes",
    )
    parser.add_argument(
        "--no-429", dest="limited", action="store_const", const=False, help="no storm of 429s"
    )
    parser.add_argument(
        "--power-cuts",
        action="store_const",
        const=True,
        help="each kill of Redis takes what was not on its disk yet, acknowledged or not: without"
        " --barrier accepted runs may be lost",
    )
    parser.add_argument(
        "--barrier",
        action="store_const",
        const=True,
        help="DURAZZO_BARRIER=on: what must not be lost is waited for until it is on the disk",
    )
    parser.add_argument("--keep", type=Path, help="folder for plan, verdict and evidence")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    breaks = "; ".join(f"{name}: {mutation.says}" for name, mutation in MUTATIONS.items())
    parser.add_argument(
        "--break",
        dest="broken",
        choices=[*MUTATIONS, _ALL],
        help="workers with a deliberate mistake, in a storm that shows it; 'all' makes one after"
        f" the other, and says whether each was caught. {breaks}",
    )
    return parser


def _from(low: float, high: float, kind: type[int | float]) -> Callable[[str], float]:
    """A number in these bounds, or argparse says what they are."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}")
        return value

    return read


if __name__ == "__main__":
    sys.exit(main())

"""``python -m ops.bench``: lists the benchmarks; ``python -m ops.bench spine`` runs one."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ops.bench import backlog, batch, durability, limited, overtake, pools, speed, spine, timers
from ops.bench.rivals import contest
from ops.bench.stage import BenchBroken

_INTERRUPTED: Final = 130
#: Name → its module, and its options: what they are by default, and what they mean.
_BENCHES: Final[dict[str, tuple[Any, dict[str, tuple[int, str]]]]] = {
    "spine": (spine, {
        "runs": (spine.RUNS, "runs a team and round"),
        "rounds": (spine.ROUNDS, "rounds of each team"),
    }),
    "speed": (speed, {
        "runs": (speed.RUNS, "runs a team and round"),
        "rounds": (speed.ROUNDS, "rounds of each team"),
        "slow_runs": (speed.SLOW_RUNS, "where the provider is slow"),
        "slow_rounds": (speed.SLOW_ROUNDS, "where it is slow"),
    }),
    "pools": (pools, {
        "runs": (pools.RUNS, "runs a round, where the provider is instant"),
        "rounds": (pools.ROUNDS, "rounds of each shape"),
    }),
    "durability": (durability, {
        "runs": (durability.RUNS, "runs in a round"),
        "rounds": (durability.ROUNDS, "rounds of each"),
    }),
    "timers": (timers, {"runs": (timers.RUNS, "runs that wait")}),
    "batch": (batch, {
        "rows": (batch.ROWS, "of the batch"),
        "workers": (batch.WORKERS, "of 25 threads"),
        "window": (batch.WINDOW, "runs at one time"),
    }),
    "limited": (limited, {
        "rows": (limited.ROWS, "of the batch"),
        "workers": (limited.WORKERS, "of 25 threads"),
        "window": (limited.WINDOW, "runs at one time"),
        "rate": (limited.RATE, "charges a second that Stripe takes"),
    }),
    "overtake": (overtake, {
        "runs": (overtake.RUNS, "confirmations"),
        "workers": (overtake.WORKERS, "of 25 threads"),
        "window": (overtake.WINDOW, "of the batch"),
        "latency": (overtake.LATENCY_MS, "of each call, ms"),
    }),
    "backlog": (backlog, {
        "runs": (backlog.RUNS, "runs in the lane"),
        "seconds": (backlog.SECONDS, "how long each part lasts"),
    }),
}  # fmt: skip


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if options.bench is None:
        parser.print_help()
        return 0
    # So that an end from outside also ends what was started here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_INTERRUPTED))
    try:
        options.main(options)
    except BenchBroken as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, everything that it started was ended", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="Benchmarks.")
    benches = parser.add_subparsers(dest="bench", title="benchmarks", metavar="NAME")
    for name, (bench, numbers) in _BENCHES.items():
        one = benches.add_parser(name, help=bench.SUMMARY, description=bench.SUMMARY)
        for option, (default, text) in numbers.items():
            flag = f"--{option.replace('_', '-')}"
            one.add_argument(flag, type=_positive, default=default, help=text)
        one.set_defaults(main=partial(_run, bench.main, tuple(numbers)))
        if bench is batch:
            one.add_argument("--no-kill", dest="kill", action="store_false", help="kill nothing")
            one.set_defaults(main=partial(_run, bench.main, (*numbers, "kill")))
    one = benches.add_parser("rivals", help=contest.SUMMARY, description=contest.SUMMARY)
    contest.arguments(one, _positive)
    return parser


def _run(main: Callable[..., None], names: tuple[str, ...], given: argparse.Namespace) -> None:
    main(**{name: getattr(given, name) for name in names})


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
